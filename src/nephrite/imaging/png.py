"""Label maps stored as one PNG per slice."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np
from jaxtyping import UInt8
from PIL import Image, UnidentifiedImageError

from nephrite.errors import LabelValueError, VolumeError
from nephrite.imaging.volume import to_label_map

_INDEX_MODES = {"1", "L", "P", "I", "I;16"}


def png_shape(path: Path) -> tuple[int, int]:
    """Height and width of a PNG, from its header.

    Raises:
        VolumeError: the file is empty or not an image.
    """
    try:
        with Image.open(path) as image:
            return image.height, image.width
    except (UnidentifiedImageError, OSError) as error:
        raise VolumeError(path, "is empty or not a PNG", "fetch the file again") from error


def read_png(path: Path, classes: Mapping[int, str]) -> UInt8[np.ndarray, "height width"]:
    """Read one slice's label map.

    A 1-bit PNG and a palette PNG hold class indices. A gray PNG with nothing but 0 and 255 is a mask of the
    one class, if there is one class only.

    Raises:
        LabelValueError: a color PNG, or values that are not among the classes.
        VolumeError: the file is truncated.
    """
    try:
        with Image.open(path) as image:
            mode, values = image.mode, np.asarray(image)
    except (UnidentifiedImageError, OSError, SyntaxError) as error:  # Pillow says SyntaxError for a broken chunk
        raise VolumeError(path, "is truncated or damaged", "fetch the file again") from error
    if mode not in _INDEX_MODES:
        raise LabelValueError(path, f"is a color image (mode {mode})", "save class indices as a gray or palette PNG")
    if mode == "L" and len(classes) == 1 and 255 not in classes and set(np.unique(values)) <= {0, 255}:
        values = (values == 255) * np.uint8(next(iter(classes)))
    return to_label_map(values.astype(np.uint8) if mode == "1" else values, classes, path)
