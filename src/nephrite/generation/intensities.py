"""What training slices look like: borders between tissue classes, and intensities per channel of the condition.

Intensities are judged and drawn by the synthesizer's card alone, so that no other patient influences them.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import NamedTuple

import numpy as np
import torch

from nephrite.config import TissueSettings
from nephrite.generation.conditioning import Conditioning
from nephrite.record_fields import Number
from nephrite.store.slices import PairStore, SliceRef
from nephrite.store.thinning import thin
from nephrite.synthesis.randomized import ClassStatistics
from nephrite.synthesis.tissue import fit_edges
from nephrite.training.data import Batch, Pairs

MOST, AT_ONCE = 2000, 64  # slices that are measured, and how many at a time
BINS = 4096


class Intensity(NamedTuple):
    """Windowed intensities of one channel of the condition over the training slices; all None where it has no pixel.

    Attributes:
        mean, deviation: of its pixels.
        low, high: its 1st and 99th percentile.
    """

    mean: Number | None
    deviation: Number | None
    low: Number | None
    high: Number | None


def fit_tissue(store: PairStore, slices: Sequence[SliceRef], settings: TissueSettings) -> tuple[float, ...]:
    """The borders between tissue classes.

    Raises:
        ConfigError: Hounsfield borders for patients without one common window in Hounsfield units.
    """
    windows = {store.patient(patient).window for patient in {ref.patient for ref in slices}}
    window = windows.pop() if len(windows) == 1 else None
    images = (batch.image for batch in _batches(store, slices))
    return fit_edges(images, kind=settings.kind, classes=settings.classes, window=window)


def fit_intensities(store: PairStore, slices: Sequence[SliceRef], conditioning: Conditioning) -> tuple[Intensity, ...]:
    """Intensities per channel of the condition: tissue classes, or the background, then the label classes."""
    counts = np.zeros((conditioning.channels, BINS), dtype=np.int64)
    for image, label, _ in _batches(store, slices):
        places = (image * BINS).long().clamp(0, BINS - 1) + BINS * conditioning.of_batch(image, label).condition.argmax(
            1, keepdim=True
        )
        counts += torch.bincount(places.flatten(), minlength=counts.size).numpy().reshape(counts.shape)
    return tuple(_summarize(row) for row in counts)


def class_statistics(intensities: Sequence[Intensity]) -> ClassStatistics:
    """The same, in the form that `synthesis.randomized` takes."""
    known = [[np.nan if x is None else x for x in (row.mean, row.deviation)] for row in intensities]
    means, deviations = torch.tensor(known, dtype=torch.float32).T
    return ClassStatistics(means, deviations)


def _batches(store: PairStore, slices: Sequence[SliceRef]) -> Iterator[Batch]:
    """At most MOST of the slices, evenly over all patients."""
    pairs, places = Pairs((store, slices)), thin(range(len(slices)), MOST)
    for start in range(0, len(places), AT_ONCE):
        yield pairs[places[start : start + AT_ONCE]]


def _summarize(counts: np.ndarray) -> Intensity:
    total = int(counts.sum())
    if not total:
        return Intensity(None, None, None, None)
    values = (np.arange(BINS) + 0.5) / BINS
    mean = float(counts @ values) / total
    deviation = float(np.sqrt(counts @ (values - mean) ** 2 / total))
    low, high = values[np.searchsorted(np.cumsum(counts) / total, (0.01, 0.99))]
    return Intensity(mean, deviation, float(low), float(high))
