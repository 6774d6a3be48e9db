from __future__ import annotations

import re
from collections.abc import Callable

import pytest

from nephrite.config import Config

Load = Callable[..., Config]
Refusal = Callable[[str], str]

REFUSED = {
    "train_gan.pix2pix.epochs=true": r"train_gan\.pix2pix: 'epochs' is true",
    "train_gan.pix2pix.learning_rate=.nan": r"learning_rate: value nan: .*finite",
}


@pytest.mark.parametrize(("override", "message"), REFUSED.items())
def test_wrong_settings_are_one_line_with_key_value_and_rule(override: str, message: str, refusal: Refusal) -> None:
    assert re.search(message, refusal(override))


def test_settings_cannot_be_changed_after_validation(load: Load) -> None:
    with pytest.raises(ValueError, match="frozen"):
        load().train_gan["pix2pix"].epochs = 3
