from __future__ import annotations

import re
from collections.abc import Callable

import pytest

Refusal = Callable[[str], str]

REFUSED = {
    "train_segmenter.intensity.gamma=[2, 1]": r"the first of \[2\.0, 1\.0\] is above the second",
}


@pytest.mark.parametrize(("override", "message"), REFUSED.items())
def test_wrong_settings_are_one_line_with_key_value_and_rule(override: str, message: str, refusal: Refusal) -> None:
    assert re.search(message, refusal(override))
