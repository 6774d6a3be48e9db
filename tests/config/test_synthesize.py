from __future__ import annotations

import re
from collections.abc import Callable

import pytest

Refusal = Callable[[str], str]

REFUSED = {
    "synthesize.deformation.strength=0.2": r"synthesize\.deformation\.strength: value 0\.2: .*less than",
    "synthesize.edits.removed=0.6": r"synthesize\.edits: removed \+ rescaled \+ moved is 1\.1, more than 1",
    "synthesize.edits.factor=[0, 1]": r"synthesize\.edits: 'factor' \[0\.0, 1\.0\] begins at 0",
    "synthesize.edits.sizes={tiny: 0}": r"synthesize\.edits: 'sizes' gives no size a weight above 0",
    "synthesize.edits.sizes={huge: 1}": r"synthesize\.edits\.sizes\.huge: ",
    "synthesize.masks=other": r"synthesize\.masks: value 'other'",
    "synthesize.unlabeled=1.2": r"synthesize\.unlabeled: value 1\.2",
}


@pytest.mark.parametrize(("override", "message"), REFUSED.items())
def test_wrong_settings_are_one_line_with_key_value_and_rule(override: str, message: str, refusal: Refusal) -> None:
    assert re.search(message, refusal(override))
