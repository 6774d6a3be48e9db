"""One picture of a case: the slice that holds most of its label map, with outlines."""

from __future__ import annotations

import io

import numpy as np
from jaxtyping import Float32, UInt8
from PIL import Image
from scipy import ndimage

from nephrite.imaging.sheet import COLORS, gray_slice

COLORS_KEPT = 64  # of the palette of a thumbnail, which keeps a page of hundreds of cases small


def chosen_slice(label: UInt8[np.ndarray, "slice height width"]) -> int:
    """The slice with most labeled pixels; the middle one where there are none."""
    areas = np.count_nonzero(label, axis=(1, 2))
    return int(areas.argmax()) if areas.any() else len(label) // 2


def draw_thumbnail(image: Float32[np.ndarray, "height width"], label: UInt8[np.ndarray, "height width"]) -> bytes:
    """A PNG of a slice with the outline of each label value.

    Args:
        image: windowed to [0, 1].
        label: of the same slice.
    """
    # as large as the sheets of the other pages
    picture = gray_slice(image)
    times = picture.shape[0] // label.shape[0]
    values = label.repeat(times, axis=0).repeat(times, axis=1)
    # outlines, one color per value
    for value in np.unique(values[values > 0]):
        mask = values == value
        picture[mask & ~ndimage.binary_erosion(mask)] = COLORS[(int(value) - 1) % (len(COLORS) - 1) + 1]
    target = io.BytesIO()
    Image.fromarray(picture).quantize(COLORS_KEPT).save(target, format="PNG", optimize=True)
    return target.getvalue()
