"""A scan on the in-plane grid, as 16-bit numbers, with the window that a network sees it through.

What `prepare` writes for training is what `predict` shows to the trained network: both call `store_image`.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from jaxtyping import Float32, Int16

from nephrite.config import PercentileSettings, WindowSettings
from nephrite.errors import VolumeError
from nephrite.imaging.grid import Grid, resize_image
from nephrite.imaging.intensity import AIR, HIGHEST, OFFSET, fixed_window, resolve_range
from nephrite.imaging.volume import Image, ScanVolume

WHOLE_NUMBERS = 1000.0  # a range of intensities below this loses too much when rounded to whole numbers
LEVELS = 100.0  # and so does a window narrower than this
REACH = 40  # windows on either side of the window that are stored: at least 65,535 / 81 = 809 levels lie within it
SAMPLED = 1 << 22  # voxels that percentiles are estimated from
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
    histogram, slope, intercept = _fill_image(volume, grid, block, image, intensity)
    low, high = resolve_range(intensity, histogram)
    if intensity.kind == "window":
        low, high = ((end - intercept) / slope for end in (low, high))
    return StoredScale((low, high), slope, intercept)


def _fill_image(
    volume: ScanVolume,
    grid: Grid,
    size: int,
    image: Int16[np.ndarray, "slice height width"],
    intensity: WindowSettings | PercentileSettings,
) -> tuple[np.ndarray, float, float]:
    """Fill `image`; return its histogram and the slope and intercept that lead back to intensities."""
    histogram = np.zeros(2 * OFFSET, dtype=np.int64)
    fractions: list[Float32[np.ndarray, "slice height width"]] = []
    whole = True
    # resize block by block; fractional values wait for a common scale
    for part, block in volume.image_blocks(size):
        cut = _cut(block, intensity)
        resized = resize_image(cut, grid)
        if block.dtype.kind == "f":
            whole = whole and np.array_equal(cut, np.rint(cut))
            fractions.append(resized)  # small: already at the store's size
        else:
            image[part] = np.clip(np.rint(resized), INT16.min, INT16.max)
    slope, intercept = _quantize(fractions, image, intensity, whole=whole) if fractions else (1.0, 0.0)
    # the histogram is of what is stored
    for plane in image:
        histogram += np.bincount(plane.ravel().astype(np.int64) + OFFSET, minlength=2 * OFFSET)
    return histogram, slope, intercept


def _cut(block: Image, intensity: WindowSettings | PercentileSettings) -> Image:
    """Hounsfield units from air to metal, before anything is averaged: as the DICOM reader cuts them.

    Padding becomes air, and an outlier no longer sets the scale of the patient. Where the window itself reaches
    further, so does the cut. Intensities of a percentile window have no such ends; see `_quantize`.
    """
    if intensity.kind == "percentile":
        return block
    low, high = fixed_window(intensity)
    bottom, top = min(AIR, low), max(HIGHEST, high)
    if block.dtype.kind == "i":
        bottom, top = max(math.floor(bottom), INT16.min), INT16.max
    cut: Image = np.clip(block, bottom, top)
    return cut


def _quantize(
    blocks: list[Float32[np.ndarray, "slice height width"]],
    image: Int16[np.ndarray, "slice height width"],
    intensity: WindowSettings | PercentileSettings,
    *,
    whole: bool,
) -> tuple[float, float]:
    """Round to whole numbers where that loses nothing that counts, else spread the range over 16 bits.

    The range that is spread ends `REACH` windows away from the window, so that one outlier cannot take the gray levels
    from all other voxels. What counts is values and not the type of the file: so one scan is stored in one way,
    whichever format it came in.
    """
    # what the voxels span, and what is seen of it
    low, high = min(float(block.min()) for block in blocks), max(float(block.max()) for block in blocks)
    bottom, top = fixed_window(intensity) if intensity.kind == "window" else _percentiles(blocks, intensity)
    enough = high - low >= WHOLE_NUMBERS and top - bottom >= LEVELS
    fits = low >= INT16.min and high <= INT16.max and (whole or enough)
    # far outliers are cut
    if not fits and top > bottom:
        reach = REACH * (top - bottom)
        low, high = max(low, bottom - reach), min(high, top + reach)
    slope = 1.0 if fits or high <= low else (high - low) / (INT16.max - INT16.min)
    intercept = 0.0 if fits else low - INT16.min * slope
    start = 0
    for block in blocks:
        stored = np.rint((block - intercept) / slope)
        image[start : start + len(block)] = np.clip(stored, INT16.min, INT16.max)
        start += len(block)
    return slope, intercept


def _percentiles(
    blocks: list[Float32[np.ndarray, "slice height width"]], settings: PercentileSettings
) -> tuple[float, float]:
    """The two ends of a percentile window, from evenly spaced voxels where there are many."""
    step = max(1, sum(block.size for block in blocks) // SAMPLED)
    low, high = np.percentile(
        np.concatenate([block.ravel()[::step] for block in blocks]), (settings.low, settings.high)
    )
    return float(low), float(high)


def check_contrast(place: Path, found: tuple[int, int], window: tuple[float, float]) -> None:
    """Refuse a scan that is of one intensity once the window is applied: nothing could be learned or told from it."""
    (least, most), (low, high) = found, window
    if least == most or most <= low or least >= high:
        finding = f"shows one intensity only: stored values {least} to {most} in the window {low:g} to {high:g}"
        raise VolumeError(place, finding, "leave the case out, or change 'prepare.intensity'")
