from __future__ import annotations

from typing import Any

import pytest
from pydantic import ValidationError

from nephrite.report.comparison_record import ComparisonRecord, CurvePointRecord, NullRecord

NULL: dict[str, Any] = {
    **{"pairs": 3, "typical": 0.01, "largest": 0.02, "trial_pairs": 1, "mean": 0.01},
    **{"low": -0.01, "high": 0.03, "arm": None},
}
ROW: dict[str, Any] = {
    **{"training_set": "real+synthetic", "against": "real", "segmenters": ("light",), "fraction": 1.0},
    **{"measure": None},
    **{"cells": (0, 1, 2), "patients": 9, "better": 6, "worse": 3, "mean": 0.02, "low": 0.01, "high": 0.03},
    **{"sampled": ("cells", "patients"), "p": 0.01, "family": "question", "p_adjusted": 0.02, "null": NULL},
    **{"adjusted_low": -0.05, "adjusted_high": 0.15},
    **{"verdict": "helps", "reason": "the interval lies above zero"},
}


def test_a_comparison_keeps_what_it_is_given_and_cannot_be_changed() -> None:
    row = ComparisonRecord.model_validate(ROW)
    assert row.model_dump() == ROW
    with pytest.raises(ValidationError, match="frozen"):
        row.mean = 0.5


@pytest.mark.parametrize(
    ("change", "found"),
    [
        ({"surprise": 1}, "surprise"),
        ({"mean": 1.5}, "mean"),
        ({"mean": float("nan")}, "mean"),
        ({"mean": "0.02"}, "mean"),
        ({"p": -0.1}, "p"),
        ({"fraction": 0.0}, "fraction"),
        ({"cells": ()}, "cells"),
        ({"cells": (0, 0)}, "holds something twice"),
        ({"segmenters": ("light", "light")}, "holds something twice"),
        ({"patients": 0}, "patients"),
        ({"patients": True}, "patients"),
        ({"sampled": ("slices",)}, "sampled"),
        ({"verdict": "perhaps"}, "verdict"),
        ({"reason": ""}, "reason"),
        ({"null": {**NULL, "typical": 1.1}}, "typical"),
    ],
)
def test_a_comparison_refuses_what_it_cannot_be(change: dict[str, Any], found: str) -> None:
    with pytest.raises(ValidationError, match=found):
        ComparisonRecord.model_validate(ROW | change)


@pytest.mark.parametrize("model", [NullRecord, CurvePointRecord])
def test_an_interval_without_ends_is_null_and_never_left_out(model: type[NullRecord | CurvePointRecord]) -> None:
    content: dict[str, Any] = NULL if model is NullRecord else {"patients": 5, "mean": 0.5}
    assert model.model_validate({**content, "low": None, "high": None}).low is None
    with pytest.raises(ValidationError, match="high"):
        model.model_validate({name: value for name, value in content.items() if name != "high"} | {"low": None})
