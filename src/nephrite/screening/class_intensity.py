"""Intensity of each class in synthetic slices against its range in the training slices.

A synthetic kidney that is brighter than any training kidney teaches the wrong contrast. MAISI (Guo et al. 2024) rejects
a scan whose organ lies outside the training range by its mean; here each slice and class is judged so.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Self

import numpy as np
from jaxtyping import Bool, Float, Int64, Shaped

from nephrite.errors import DataError

BINS = 64
Slices = Shaped[np.ndarray, "slice height width"]


@dataclass(frozen=True)
class IntensityTally:
    """Intensity of each class in some slices; tallies of batches are joined, so that a store need not fit in memory.

    Attributes:
        classes: label values, in the order of the columns and rows below.
        means: of each class in each slice; NaN where a slice does not hold it.
        sums: of the pixels of each class.
        counts: pixels of each class in each of `BINS` equal bins over [0, 1].
    """

    classes: tuple[int, ...]
    means: Float[np.ndarray, "slice class"]
    sums: Float[np.ndarray, " class"]
    counts: Int64[np.ndarray, "class bin"]

    @classmethod
    def of(cls, images: Slices, labels: Slices, classes: Iterable[int]) -> Self:
        """Tally a batch.

        Args:
            images: windowed slices in [0, 1].
            labels: their label maps, or tissue maps.
            classes: label values; 0, the background, may be among them.
        """
        values = tuple(classes)
        pixels = [images[labels == value] for value in values]
        counts = np.stack([np.histogram(held, bins=BINS, range=(0, 1))[0] for held in pixels]).astype(np.int64)
        sums = np.array([held.sum(dtype=np.float64) for held in pixels])
        return cls(values, class_means(images, labels, values), sums, counts)

    @classmethod
    def join(cls, tallies: Sequence[IntensityTally]) -> Self:
        """The tally of all slices of several batches, in their order; at least one, all of the same classes."""
        means = np.concatenate([tally.means for tally in tallies])
        sums, counts = (np.sum([getattr(tally, name) for tally in tallies], axis=0) for name in ("sums", "counts"))
        return cls(tallies[0].classes, means, sums, counts)

    def only(self, classes: Iterable[int]) -> IntensityTally:
        """The tally of some of the classes."""
        values = tuple(classes)
        places = [self.classes.index(value) for value in values]
        return IntensityTally(values, self.means[:, places], self.sums[places], self.counts[places])

    @property
    def slices(self) -> Int64[np.ndarray, " class"]:
        """How many slices hold each class."""
        held: Int64[np.ndarray, " class"] = (~np.isnan(self.means)).sum(axis=0)
        return held

    @property
    def shares(self) -> Float[np.ndarray, "class bin"]:
        """Histogram of each class, as shares of its pixels."""
        shares: Float[np.ndarray, "class bin"] = self.counts / np.maximum(self.counts.sum(axis=1, keepdims=True), 1)
        return shares


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
        outside: whether the mean of a class lies outside its range; columns in the order of the tally, False where a
            slice does not hold the class.
        share: label value to the share of slices with the class that lie outside; None where no slice holds it.
        distance: label value to how far the class's pixels lie from those of the training slices: Wasserstein's
            distance of both histograms, in windowed units; None where no slice holds it.
    """

    outside: Bool[np.ndarray, "slice class"]
    share: Mapping[int, float | None]
    distance: Mapping[int, float | None]


def intensity_ranges(
    training: IntensityTally, names: Mapping[int, str], quantiles: tuple[float, float] = (0.005, 0.995)
) -> dict[int, IntensityRange]:
    """Range of each class in the training slices.

    Args:
        training: of the training slices.
        names: label value to class name.
        quantiles: of the slices' means, lower and upper.

    Raises:
        DataError: a class that no slice holds.
    """
    ranges = {}
    for column, value in enumerate(training.classes):
        # a class that the training slices lack has no range
        means, name = training.means[:, column], names[value]
        held = means[~np.isnan(means)]
        if not len(held):
            finding = f"class {value} ('{name}') is in none of the {len(means)} slices"
            raise DataError(
                "training slices", finding, "take it out of 'prepare.classes', or add patients that have it"
            )
        # ordinary means lie between these quantiles
        low, high = np.quantile(held, quantiles)
        mean = float(training.sums[column] / training.counts[column].sum())
        histogram = tuple(training.shares[column].tolist())
        ranges[value] = IntensityRange(float(low), float(high), mean, histogram, len(held))
    return ranges


def check_intensities(
    synthetic: IntensityTally, ranges: Mapping[int, IntensityRange], *, tolerance: float = 0.0
) -> IntensityCheck:
    """Judge synthetic slices by the training ranges.

    Args:
        synthetic: of the synthetic slices, by the masks that they were painted from.
        ranges: label value to its range, for the classes of the tally; see `intensity_ranges`.
        tolerance: how far outside the range a mean may lie, in windowed units.
    """
    low, high = (np.array([getattr(ranges[value], end) for value in synthetic.classes]) for end in ("low", "high"))
    outside = (synthetic.means < low - tolerance) | (synthetic.means > high + tolerance)  # NaN is neither
    share: dict[int, float | None] = {}
    distance: dict[int, float | None] = {}
    for column, value in enumerate(synthetic.classes):
        holds = ~np.isnan(synthetic.means[:, column])
        share[value] = float(outside[holds, column].mean()) if holds.any() else None
        moved = np.cumsum(synthetic.shares[column] - np.array(ranges[value].histogram))
        distance[value] = float(np.abs(moved).sum() / BINS) if holds.any() else None
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
