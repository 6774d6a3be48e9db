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


Fraction = Annotated[float, Field(ge=0, le=1)]
Positive = Annotated[int, Field(ge=1)]
Range = Annotated[tuple[Annotated[float, Field(ge=0)], Annotated[float, Field(ge=0)]], AfterValidator(rising)]
Name = Annotated[str, Field(pattern=r"^[A-Za-z0-9._-]+$")]
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
