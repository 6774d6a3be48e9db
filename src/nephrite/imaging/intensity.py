"""The intensity window and its inverse."""

from __future__ import annotations

import numpy as np
from jaxtyping import Float32, Int16, Shaped

from nephrite.config import PercentileSettings, WindowSettings

AIR = -1024.0  # HU; padding, and everything below, becomes this
HIGHEST = 32767.0  # HU; metal saturates far below
OFFSET = 32768  # of a 16-bit value in a histogram of 65,536 bins


def apply_window(stored: Shaped[np.ndarray, "..."], low: float, high: float) -> Float32[np.ndarray, "..."]:
    """Clip to [low, high] and scale to [0, 1]."""
    scaled = stored.astype(np.float32)
    scaled -= np.float32(low)
    scaled /= np.float32(high - low)
    np.clip(scaled, 0, 1, out=scaled)
    return scaled


def invert_window(values: Float32[np.ndarray, "..."], low: float, high: float) -> Int16[np.ndarray, "..."]:
    """Scale [0, 1] back to [low, high], rounded to whole numbers."""
    scaled: Float32[np.ndarray, "..."] = np.clip(values, 0, 1) * np.float32(high - low) + np.float32(low)
    return scaled.round().astype(np.int16)


def fixed_window(settings: WindowSettings) -> tuple[float, float]:
    """Lower and upper end of a fixed window, in Hounsfield units."""
    return settings.center - settings.width / 2, settings.center + settings.width / 2


def resolve_range(
    settings: WindowSettings | PercentileSettings, histogram: Shaped[np.ndarray, "65536"]
) -> tuple[float, float]:
    """The window's two ends for one patient, in stored units.

    Args:
        settings: a fixed window, or percentiles.
        histogram: voxel counts of the values -32768 to 32767.
    """
    if isinstance(settings, WindowSettings):
        return fixed_window(settings)
    share = np.cumsum(histogram) / max(histogram.sum(), 1)
    low, high = (float(np.searchsorted(share, percent / 100) - OFFSET) for percent in (settings.low, settings.high))
    return low, max(high, low + 1)  # a constant volume still needs a window of some width
