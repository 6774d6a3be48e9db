"""A scan on the in-plane grid, as 16-bit numbers, with the window that a network sees it through.

What `prepare` writes for training is what `predict` shows to the trained network: both call `store_image`.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float32, Int16

from nephrite.config import PercentileSettings, WindowSettings
from nephrite.imaging.grid import Grid, resize_image
from nephrite.imaging.intensity import OFFSET, resolve_range
from nephrite.imaging.volume import ScanVolume

WHOLE_NUMBERS = 1000.0  # a range of intensities below this loses too much when rounded to whole numbers
INT16 = np.iinfo(np.int16)


@dataclass(frozen=True)
class StoredScale:
    """What stored values mean: intensity = stored * slope + intercept; the window's two ends are stored values."""

    window: tuple[float, float]
    slope: float
    intercept: float


def store_image(
    volume: ScanVolume,
    grid: Grid,
    intensity: WindowSettings | PercentileSettings,
    image: Int16[np.ndarray, "slice size size"],
    *,
    block: int,
) -> StoredScale:
    """Fill `image` with the scan's slices on the grid, `block` slices at a time.

    Raises:
        VolumeError: the scan is not finite, truncated or damaged.
    """
    histogram, slope, intercept = _fill_image(volume, grid, block, image)
    low, high = resolve_range(intensity, histogram)
    if intensity.kind == "window":
        low, high = ((end - intercept) / slope for end in (low, high))
    return StoredScale((low, high), slope, intercept)


def _fill_image(
    volume: ScanVolume, grid: Grid, size: int, image: Int16[np.ndarray, "slice height width"]
) -> tuple[np.ndarray, float, float]:
    """Fill `image`; return its histogram and the slope and intercept that lead back to intensities."""
    histogram = np.zeros(2 * OFFSET, dtype=np.int64)
    fractions: list[Float32[np.ndarray, "slice height width"]] = []
    # resize block by block; fractional values wait for a common scale
    for part, block in volume.image_blocks(size):
        resized = resize_image(block, grid)
        if block.dtype.kind == "f":
            fractions.append(resized)  # small: already at the store's size
        else:
            image[part] = np.clip(np.rint(resized), INT16.min, INT16.max)
    slope, intercept = _quantize(fractions, image) if fractions else (1.0, 0.0)
    # the histogram is of what is stored
    for plane in image:
        histogram += np.bincount(plane.ravel().astype(np.int64) + OFFSET, minlength=2 * OFFSET)
    return histogram, slope, intercept


def _quantize(
    blocks: list[Float32[np.ndarray, "slice height width"]], image: Int16[np.ndarray, "slice height width"]
) -> tuple[float, float]:
    """Round to whole numbers where the range allows it, else spread the range over 16 bits."""
    low, high = min(float(block.min()) for block in blocks), max(float(block.max()) for block in blocks)
    fits = low >= INT16.min and high <= INT16.max and high - low >= WHOLE_NUMBERS
    slope = 1.0 if fits or high == low else (high - low) / (INT16.max - INT16.min)
    intercept = 0.0 if fits else low - INT16.min * slope
    start = 0
    for block in blocks:
        image[start : start + len(block)] = np.rint((block - intercept) / slope)
        start += len(block)
    return slope, intercept
