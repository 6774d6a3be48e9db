"""Building blocks of every section of params.yaml: the frozen model, and types with their ranges."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, model_validator


def rising(limits: tuple[float, float]) -> tuple[float, float]:
    """The limits unchanged, if the first is not above the second."""
    if limits[0] > limits[1]:
        raise ValueError(f"the first of {list(limits)} is above the second")
    return limits


def refuse(findings: Sequence[str]) -> None:
    """Refuse a section: one line for each finding; without findings nothing happens.

    Raises:
        ValueError: there are findings.
    """
    if findings:
        raise ValueError("\n".join(findings))


def no_column(name: str) -> str:
    """The name unchanged, if it can head a column of its own beside those that every table has."""
    if name.casefold() in COLUMNS:
        raise ValueError(f"'{name}' is a column of index.csv and of screening.csv, so no class may be called so")
    return name


COLUMNS = frozenset(("patient", "slice", "split", "source_slice", "class", "index"))
Fraction = Annotated[float, Field(ge=0, le=1)]
Positive = Annotated[int, Field(ge=1, le=10**9)]
Count = Annotated[int, Field(ge=0, le=10**9)]
Seed = Annotated[int, Field(ge=0, lt=2**63)]
LabelValue = Annotated[int, Field(ge=1, le=255)]
Millimeters = Annotated[float, Field(gt=0, le=10_000)]
Range = Annotated[
    tuple[Annotated[float, Field(ge=0, le=1000)], Annotated[float, Field(ge=0, le=1000)]], AfterValidator(rising)
]
Signed = Annotated[
    tuple[Annotated[float, Field(ge=-1000, le=1000)], Annotated[float, Field(ge=-1000, le=1000)]],
    AfterValidator(rising),
]
# Names are parts of paths, of columns and of addresses: no slash, no dot at an end or beside another, no first hyphen.
Name = Annotated[str, Field(pattern=r"^[A-Za-z0-9_][A-Za-z0-9_-]*(\.[A-Za-z0-9_-]+)*$", max_length=100)]
ClassName = Annotated[Name, AfterValidator(no_column)]
SetLabel = Annotated[str, Field(pattern=r"^[A-Za-z0-9_][A-Za-z0-9_-]*([.+][A-Za-z0-9_-]+)*$", max_length=200)]
Remote = Annotated[str, Field(pattern=r"^(s3://[A-Za-z0-9._-]+(/.*)?|[^:]+)$")]  # no other scheme, no user:password@


class Settings(BaseModel):
    """A section of params.yaml: frozen, and unknown keys are refused."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False, defer_build=True, validate_default=True)

    @model_validator(mode="before")
    @classmethod
    def _truth_is_no_number(cls, content: object) -> object:
        """Pydantic would read true as 1."""
        given = content.items() if isinstance(content, dict) else ()
        switches = {name for name, field in cls.model_fields.items() if field.annotation in (bool, bool | None)}
        wrong = [(name, value) for name, value in given if isinstance(value, bool) and name not in switches]
        refuse(
            [f"'{n}' is {str(value).lower()}, which is no value for it" for n, value in wrong if n in cls.model_fields]
        )
        return content
