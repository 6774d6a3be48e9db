"""Weights of a network as a file, without pickle."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from jaxtyping import Shaped
from safetensors import SafetensorError
from safetensors.torch import load_file, save
from torch import Tensor, nn

from nephrite.errors import StoreError
from nephrite.files import LONGEST_TEXT, whole_file


def save_weights(path: Path, weights: Mapping[str, Shaped[Tensor, "..."]]) -> None:
    """Write a state dict as safetensors, whole or not at all, in plain memory order."""
    with whole_file(path) as partial:
        # the library's own writing hides what the disk answers
        partial.write_bytes(save({name: value.detach().cpu().contiguous() for name, value in weights.items()}))


def load_weights(network: nn.Module, path: Path, *, remedy: str, finding: str = "cannot be loaded") -> None:
    """Fill a network of the same settings with kept weights.

    Args:
        network: on any device.
        path: of the file.
        remedy: what the user can do about a file that is missing, broken, or of another network.
        finding: the finding about such a file; the reason follows in brackets.

    Raises:
        StoreError: with finding and remedy.
    """
    try:
        network.load_state_dict(load_file(path))
    except (OSError, SafetensorError, RuntimeError) as error:
        reason = " ".join(str(error).split())[:LONGEST_TEXT]  # torch lists every tensor that does not fit
        raise StoreError(path, f"{finding} ({reason})", remedy) from None
