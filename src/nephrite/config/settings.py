"""What every section of params.yaml is made of: the frozen model, and types with their ranges."""

from __future__ import annotations

from typing import Annotated

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, model_validator


def rising(limits: tuple[float, float]) -> tuple[float, float]:
    """Limits as they were given, if the first is not above the second."""
    if limits[0] > limits[1]:
        raise ValueError(f"the first of {list(limits)} is above the second")
    return limits


Fraction = Annotated[float, Field(ge=0, le=1)]
Positive = Annotated[int, Field(ge=1)]
Range = Annotated[tuple[Annotated[float, Field(ge=0)], Annotated[float, Field(ge=0)]], AfterValidator(rising)]
Name = Annotated[str, Field(pattern=r"^[A-Za-z0-9._-]+$")]
Remote = Annotated[str, Field(pattern=r"^(s3://[A-Za-z0-9._-]+(/.*)?|[^:]+)$")]  # no other scheme, no user:password@


class Settings(BaseModel):
    """A section of params.yaml: frozen, and unknown keys are refused."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False, defer_build=True)

    @model_validator(mode="before")
    @classmethod
    def _truth_is_no_number(cls, content: object) -> object:
        """YAML reads 'yes' as true, and pydantic true as 1."""
        for name, value in content.items() if isinstance(content, dict) else ():
            if isinstance(value, bool) and name in cls.model_fields and cls.model_fields[name].annotation is not bool:
                raise ValueError(f"'{name}' is {str(value).lower()}, which is no value for it")
        return content
