from __future__ import annotations

import re
from collections.abc import Callable

import pytest

from nephrite.config import Config

Refusal = Callable[[str], str]

REFUSED = {
    "screen.agreement=[0.9, 0.3]": r"screen.agreement: the first of \[0.9, 0.3\] is above the second",
    "screen.agreement_by_channel={tumor: [0.9, 0.3]}": r"agreement_by_channel: the first of \[0.9, 0.3\] is above the",
    "screen.agreement_by_channel={liver: [0.1, 1]}": r"names 'liver'; not among 'prepare.channels'",
    "train_segmenter.segmenters.light={kind: monai, network: BasicUNet}": r"'light' of kind 'monai', which gives no",
    "screen.intensity_distance=-1": r"screen.intensity_distance",
}


@pytest.mark.parametrize(("override", "message"), REFUSED.items())
def test_wrong_settings_are_one_line_with_key_value_and_rule(override: str, message: str, refusal: Refusal) -> None:
    assert re.search(message, refusal(override))


def test_a_segmenter_without_features_will_do_where_nothing_is_measured(load: Callable[..., Config]) -> None:
    config = load("train_segmenter.segmenters.light={kind: monai, network: BasicUNet}", "screen.filter=all")
    assert not config.train_segmenter.segmenters[config.screen.segmenter].FEATURES
