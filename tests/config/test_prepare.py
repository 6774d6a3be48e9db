from __future__ import annotations

import re
from collections.abc import Callable

import pytest

from nephrite.config import Config

Load = Callable[..., Config]
Refusal = Callable[[str], str]

REFUSED = {
    "prepare.in_plane={kind: resize}": r"prepare\.in_plane\.size: is missing; add it",
    "prepare.intensity={kind: percentile, low: 9, high: 2}": r"prepare\.intensity: 'low' 9.0 is not below 'high' 2.0",
    "prepare.split.test=0.5": r"prepare\.split: train \+ validation \+ test \+ confirmation is 1\.2, not 1",
    "prepare.lesions={mass: kidney}": r"prepare: 'lesions' names \['mass'\]; the classes are \['kidney', 'tumor'\]",
    "prepare.classes={0: body}": r"prepare\.classes\.0: ",
    "prepare.lesions={cyst: kidney}": r"prepare: 'lesions' names \['cyst'\]",
}


@pytest.mark.parametrize(("override", "message"), REFUSED.items())
def test_wrong_settings_are_one_line_with_key_value_and_rule(override: str, message: str, refusal: Refusal) -> None:
    assert re.search(message, refusal(override))


def test_lesions_are_named_by_class_and_found_by_value(load: Load) -> None:
    assert load().prepare.lesion_values == {2: 1}
    assert load("prepare.lesions={kidney: null}").prepare.lesion_values == {1: None}
