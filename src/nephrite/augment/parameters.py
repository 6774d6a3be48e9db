"""What the parameters of every random change have in common: fields that lead with the batch."""

from __future__ import annotations

from dataclasses import fields
from typing import Any, TypeVar

from jaxtyping import Integer
from torch import Tensor

Parameters = TypeVar("Parameters")


def take(parameters: Parameters, share: slice) -> Parameters:
    """The parameters of some slices of a batch, e.g. of every second slice for the first of two devices.

    Args:
        parameters: a dataclass of tensors that lead with the batch, or of such dataclasses.
        share: which slices.
    """
    return _indexed(parameters, share)


def take_places(parameters: Parameters, places: Integer[Tensor, " place"]) -> Parameters:
    """The parameters of the slices at some places of a batch; see `take`."""
    return _indexed(parameters, places)


def _indexed(parameters: Parameters, index: slice | Tensor) -> Parameters:
    values: dict[str, Any] = {field.name: getattr(parameters, field.name) for field in fields(parameters)}  # type: ignore[arg-type] # any dataclass
    parts = {name: each[index] if isinstance(each, Tensor) else _indexed(each, index) for name, each in values.items()}
    return type(parameters)(**parts)
