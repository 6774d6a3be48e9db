"""What the parameters of every random change have in common: fields that lead with the batch."""

from __future__ import annotations

from dataclasses import fields
from typing import Any, TypeVar

from torch import Tensor

Parameters = TypeVar("Parameters")


def take(parameters: Parameters, share: slice) -> Parameters:
    """The parameters of some slices of a batch, e.g. of every second slice for the first of two devices.

    Args:
        parameters: a dataclass of tensors that lead with the batch, or of such dataclasses.
        share: which slices.
    """
    values: dict[str, Any] = {field.name: getattr(parameters, field.name) for field in fields(parameters)}  # type: ignore[arg-type] # any dataclass
    parts = {name: value[share] if isinstance(value, Tensor) else take(value, share) for name, value in values.items()}
    return type(parameters)(**parts)
