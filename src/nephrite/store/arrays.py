"""NumPy files that are written in place, slice by slice."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Int16, UInt8


def create_array(path: Path, dtype: type[np.generic], shape: tuple[int, ...]) -> np.memmap[Any, Any]:
    """A new NumPy file as an array; its space is taken now, since a full disk would kill the process that writes later.

    Raises:
        OSError: no space is left on the device.
    """
    array: np.memmap[Any, Any] = np.lib.format.open_memmap(path, mode="w+", dtype=dtype, shape=shape)
    with path.open("r+b") as file:
        os.posix_fallocate(file.fileno(), 0, path.stat().st_size)
    return array


def create_arrays(
    root: Path, patient: str, shape: tuple[int, int, int], *, channels: int = 1
) -> tuple[Int16[np.ndarray, "slice *channels height width"], UInt8[np.ndarray, "slice height width"]]:
    """Create a patient's image and label map in a store, memory-mapped for writing.

    Args:
        root: the store that is being written.
        patient: id.
        shape: slices, height and width.
        channels: of the image, which has an axis of them if there are several.
    """
    folder = root / "patients" / patient
    folder.mkdir(parents=True)
    several = (channels,) if channels > 1 else ()
    image = create_array(folder / "image.npy", np.int16, (shape[0], *several, *shape[1:]))
    label = create_array(folder / "label.npy", np.uint8, shape)
    return image, label
