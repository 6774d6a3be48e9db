from __future__ import annotations

from typing import Any

import pytest
from pydantic import TypeAdapter, ValidationError

from nephrite.record_fields import (
    Count,
    HistoryRow,
    InnerPath,
    LabelValue,
    LabelValues,
    Line,
    Millimeters,
    NotNegative,
    Number,
    PatientId,
    Percent,
    Sha256,
    Share,
    distinct_ends,
)

GOOD: list[tuple[Any, object]] = [
    (PatientId, "case_00000"),
    (PatientId, "Ähre 3 ~2"),
    (PatientId, "..x"),
    (InnerPath, "patients/case 1/image.npy"),
    (Line, ""),
    (Share, 0.0),
    (Share, 1.0),
    (Percent, 100.0),
    (Count, 0),
    (LabelValue, 255),
    (Millimeters, 0.001),
    (Number, -1e12),
    (Sha256, "0" * 64),
    (HistoryRow, {"step": 3.0}),
]
BAD: list[tuple[Any, object]] = [
    *((PatientId, text) for text in ("", ".", "..", "a/b", "/a", "a\\b", "a\nb", "a\x00", "a\u2028b", "x" * 256)),
    *((InnerPath, path) for path in ("", "/etc", "a/../b", "../a", "a//b", "a/", "./a", "a\\..\\b")),
    *((Line, text) for text in ("a\nb", "a\rb", "\x1b[2J", "x" * 1001)),
    *((Share, value) for value in (-0.001, 1.001, 5.0, float("nan"), float("inf"), None, "much")),
    *((NotNegative, value) for value in (-1e-9, float("nan"), float("inf"), 1e10)),
    *((Percent, value) for value in (-1, 100.1, float("nan"))),
    *((Count, value) for value in (-1, 10**10, 0.5, None)),
    *((LabelValue, value) for value in (0, 256, -1, True)),
    (LabelValues, []),
    *((number, True) for number in (Share, Count, Number, Percent, NotNegative, Millimeters)),
    *((Millimeters, value) for value in (0, -1, float("nan"), 1e5)),
    *((Number, value) for value in (1e13, float("-inf"))),
    *((Sha256, text) for text in ("0" * 63, "0" * 65, "G" * 64, "0" * 64 + "\n")),
    (HistoryRow, {"a\nb": 1.0}),
    (HistoryRow, {"step": float("nan")}),
    (HistoryRow, {"step": None}),
    (HistoryRow, []),
]


@pytest.mark.parametrize(("kind", "value"), GOOD)
def test_values_of_records_pass_unchanged(kind: Any, value: object) -> None:
    assert TypeAdapter(kind).validate_python(value) == value


@pytest.mark.parametrize(("kind", "value"), BAD)
def test_values_outside_of_their_range_are_refused(kind: Any, value: object) -> None:
    with pytest.raises(ValidationError):
        TypeAdapter(kind).validate_python(value)


def test_a_window_begins_below_its_end() -> None:
    assert distinct_ends((-1.0, 1.0)) == (-1.0, 1.0)
    for window in ((1.0, 1.0), (2.0, 1.0)):
        with pytest.raises(ValueError, match="does not begin below its end"):
            distinct_ends(window)
