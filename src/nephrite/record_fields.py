"""Types of the fields of records - manifests, cards, scores - with their ranges: what is outside of them is no record.

A record is read by `files.read_record` or `evidence.read_sealed`, whoever wrote or edited it.
"""

from __future__ import annotations

import unicodedata
from typing import Annotated

from pydantic import AfterValidator, BeforeValidator, ConfigDict, Field

LONGEST_NAME = 255  # bytes of a file's name
MOST = 10**9  # of anything that is counted
STRICT = ConfigDict(extra="forbid", allow_inf_nan=False)  # `__pydantic_config__` of a record


def on_one_line(text: str) -> str:
    """The text unchanged, if it has no line break and no other control character."""
    if any(unicodedata.category(sign) in ("Cc", "Cs", "Zl", "Zp") for sign in text):
        raise ValueError("holds a line break or another control character")
    return text


def as_folder_name(text: str) -> str:
    """The text unchanged, if it names a file or folder within another folder, and leads nowhere else."""
    if text in ("", ".", "..") or "/" in text or "\\" in text or len(text.encode()) > LONGEST_NAME:
        raise ValueError("is no name of a folder")
    return on_one_line(text)


def as_inner_path(text: str) -> str:
    """The text unchanged, if it is a path that does not leave the folder that it starts in."""
    for part in text.split("/"):
        as_folder_name(part)
    return text


def distinct_ends(window: tuple[float, float]) -> tuple[float, float]:
    """The window unchanged, if it begins below its end."""
    if not window[0] < window[1]:
        raise ValueError("does not begin below its end")
    return window


def no_truth(value: object) -> object:
    """The value unchanged, if it is not true or false, which Python would take for 1 and 0."""
    if isinstance(value, bool):
        raise ValueError(f"is {str(value).lower()}, which is no number")
    return value


_NO_TRUTH = BeforeValidator(no_truth)
Sha256 = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]
Line = Annotated[str, Field(max_length=1000), AfterValidator(on_one_line)]
PatientId = Annotated[str, AfterValidator(as_folder_name)]
InnerPath = Annotated[str, AfterValidator(as_inner_path)]
Count = Annotated[int, Field(ge=0, le=MOST), _NO_TRUTH]
Share = Annotated[float, Field(ge=0, le=1, allow_inf_nan=False), _NO_TRUTH]
Percent = Annotated[float, Field(ge=0, le=100, allow_inf_nan=False), _NO_TRUTH]
NotNegative = Annotated[float, Field(ge=0, le=MOST, allow_inf_nan=False), _NO_TRUTH]
Number = Annotated[float, Field(ge=-1e12, le=1e12, allow_inf_nan=False), _NO_TRUTH]
Millimeters = Annotated[float, Field(gt=0, le=10_000, allow_inf_nan=False), _NO_TRUTH]
CubicMillimeters = Annotated[float, Field(ge=0, le=1e12, allow_inf_nan=False), _NO_TRUTH]
Volumes = dict[Line, tuple[CubicMillimeters, CubicMillimeters]]  # of each class, the smallest and the largest
Side = Annotated[int, Field(ge=1, le=10**6), _NO_TRUTH]  # pixels
LabelValue = Annotated[int, Field(ge=1, le=255), _NO_TRUTH]
LabelValues = Annotated[tuple[LabelValue, ...], Field(min_length=1)]
Files = dict[InnerPath, Sha256]
Inputs = dict[Annotated[str, Field(min_length=1, max_length=LONGEST_NAME), AfterValidator(on_one_line)], Sha256]
HistoryRow = dict[Annotated[str, Field(max_length=100), AfterValidator(on_one_line)], Number]
