"""Intensity of each class in synthetic slices against its range in the training slices.

A synthetic kidney that is brighter than any training kidney teaches the wrong contrast. MAISI (Guo et al. 2024) rejects
a scan whose organ lies outside the training range by its mean; here each slice and class is judged so.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float, Shaped

from nephrite.errors import DataError

BINS = 64
Slices = Shaped[np.ndarray, "slice height width"]


@dataclass(frozen=True)
class IntensityRange:
    """One class in the training slices; intensities are windowed, in [0, 1].

    Attributes:
        low: quantile of the slices' means.
        high: quantile of the slices' means.
        mean: over all pixels of the class.
        histogram: share of its pixels in each of `BINS` equal bins over [0, 1].
        slices: training slices that hold the class.
    """

    low: float
    high: float
    mean: float
    histogram: tuple[float, ...]
    slices: int


@dataclass(frozen=True)
class IntensityCheck:
    """Synthetic slices against the training range.

    Attributes:
        outside: whether the mean of a class lies outside its range; columns in the order of the ranges, False where a
            slice does not hold the class.
        share: label value to the share of slices with the class that lie outside; None where no slice holds it.
        distance: label value to how far the class's pixels lie from those of the training slices: Wasserstein's
            distance of both histograms, in windowed units; None where no slice holds it.
    """

    outside: Bool[np.ndarray, "slice class"]
    share: Mapping[int, float | None]
    distance: Mapping[int, float | None]


def intensity_ranges(
    images: Slices, labels: Slices, classes: Mapping[int, str], quantiles: tuple[float, float] = (0.005, 0.995)
) -> dict[int, IntensityRange]:
    """Range of each class in the training slices.

    Args:
        images: windowed slices in [0, 1].
        labels: their label maps, or tissue maps.
        classes: label value to name.
        quantiles: of the slices' means, lower and upper.

    Raises:
        DataError: a class that no slice holds.
    """
    means = class_means(images, labels, classes)
    ranges = {}
    for column, (value, name) in enumerate(classes.items()):
        held = means[~np.isnan(means[:, column]), column]
        if not len(held):
            finding = f"class {value} ('{name}') is in none of the {len(images)} slices"
            raise DataError(
                "training slices", finding, "take it out of 'prepare.classes', or add patients that have it"
            )
        low, high = np.quantile(held, quantiles)
        pixels = images[labels == value]
        histogram = tuple(_histogram(pixels).tolist())
        ranges[value] = IntensityRange(float(low), float(high), float(pixels.mean()), histogram, len(held))
    return ranges


def check_intensities(images: Slices, labels: Slices, ranges: Mapping[int, IntensityRange]) -> IntensityCheck:
    """Judge synthetic slices by the training ranges.

    Args:
        images: windowed synthetic slices in [0, 1].
        labels: the masks that they were painted from.
        ranges: label value to its range; see `intensity_ranges`.
    """
    means = class_means(images, labels, ranges)
    low, high = (np.array([getattr(found, end) for found in ranges.values()]) for end in ("low", "high"))
    outside = (means < low) | (means > high)  # NaN is neither
    share: dict[int, float | None] = {}
    distance: dict[int, float | None] = {}
    for column, (value, found) in enumerate(ranges.items()):
        holds = ~np.isnan(means[:, column])
        share[value] = float(outside[holds, column].mean()) if holds.any() else None
        moved = np.cumsum(_histogram(images[labels == value]) - np.array(found.histogram)) if holds.any() else None
        distance[value] = None if moved is None else float(np.abs(moved).sum() / BINS)
    return IntensityCheck(outside, share, distance)


def class_means(images: Slices, labels: Slices, classes: Iterable[int]) -> Float[np.ndarray, "slice class"]:
    """Mean intensity of each class in each slice; NaN where a slice does not hold it."""
    columns = []
    for value in classes:
        mask = labels == value
        counts = mask.sum(axis=(1, 2))
        sums = np.where(mask, images, 0).sum(axis=(1, 2), dtype=np.float64)
        columns.append(np.divide(sums, counts, out=np.full(len(images), np.nan), where=counts > 0))
    return np.stack(columns, axis=1)


def _histogram(pixels: Shaped[np.ndarray, " pixel"]) -> Float[np.ndarray, " bin"]:
    counts, _ = np.histogram(pixels, bins=BINS, range=(0, 1))
    shares: Float[np.ndarray, " bin"] = counts / max(counts.sum(), 1)
    return shares
