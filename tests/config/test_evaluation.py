from __future__ import annotations

import re
from collections.abc import Callable

import pytest

Refusal = Callable[[str], str]

REFUSED = {
    "evaluate.regions={}": r"evaluate\.regions: value {}: .*at least 1",
    "evaluate.regions.tumor.tolerance=0": r"evaluate\.regions\.tumor\.tolerance: value 0: .*greater than 0",
    "report.confidence=0.5": r"report\.confidence: value 0\.5: .*greater than 0\.5",
    "promote.floor=1.1": r"promote\.floor: value 1\.1: .*less than or equal to 1",
}


@pytest.mark.parametrize(("override", "message"), REFUSED.items())
def test_wrong_settings_are_one_line_with_key_value_and_rule(override: str, message: str, refusal: Refusal) -> None:
    assert re.search(message, refusal(override))
