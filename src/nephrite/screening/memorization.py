"""Does a synthetic slice copy a training slice? Similarity to the nearest one, calibrated on validation slices.

Slices of the same organ look alike, so a similarity says nothing by itself. Slices of validation patients, which no
generator has seen, show how close an honest slice comes to the training slices; a synthetic slice that comes closer
than nearly all of them is a copy (the idea of Meehan et al. 2020, "A non-parametric test to detect data-copying").
Similarity is Pearson's correlation of small thumbnails, the best over small shifts (normalized cross-correlation):
blind to brightness and contrast, and to texture finer than a thumbnail's pixel.

What it cannot tell: a slice that was painted into a real background is close by design, memorized or not.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float, Float32, Int, Shaped

from nephrite.errors import DataError
from nephrite.store.slices import PairStore, SliceRef

SIZE = 24  # pixels per side of a thumbnail
ENOUGH_SLICES = 50  # with fewer, more than 2 % of honest slices are taken for copies
READ_SLICES = 32  # held at once at their full size
BLOCK_VALUES = 16_000_000  # similarities held at once: 64 MB
Thumbnails = Float32[np.ndarray, "slice size size"]


@dataclass(frozen=True)
class Calibration:
    """How close validation slices come to the training slices.

    Attributes:
        threshold: similarity above which a sample counts as a copy.
        quantile: of the validation slices' nearest similarities that the threshold is.
        median: of the validation slices' nearest similarities.
        validation_slices: number.
        training_slices: number.
    """

    threshold: float
    quantile: float
    median: float
    validation_slices: int
    training_slices: int

    @property
    def honest_share(self) -> float:
        """Share of honest slices that are rejected too; a share of copies says something only where it exceeds this.

        Few validation slices know no far quantile: above the largest of n, one in n + 1 is expected.
        """
        return max(1 - self.quantile, 1 / (self.validation_slices + 1))

    @property
    def limit(self) -> str | None:
        """A sentence for the report where there are too few validation slices to calibrate by; else None."""
        if self.validation_slices >= ENOUGH_SLICES:
            return None
        return (
            f"{self.validation_slices} validation slices are fewer than the {ENOUGH_SLICES} that calibrate what a copy "
            f"is: about {self.honest_share:.0%} of honest slices are rejected too."
        )


@dataclass(frozen=True)
class Memorization:
    """Synthetic slices against the training slices.

    Attributes:
        similarity: of each sample to its nearest training slice, -1 to 1; 0 where the sample is blank.
        nearest: that training slice.
        copied: whether the sample is closer than the calibration allows.
        calibration: the threshold and its basis.
    """

    similarity: Float[np.ndarray, " sample"]
    nearest: tuple[SliceRef, ...]
    copied: Bool[np.ndarray, " sample"]
    calibration: Calibration

    @property
    def share(self) -> float:
        """Share of samples that are copies."""
        return float(self.copied.mean())


def thumbnails(images: Shaped[np.ndarray, "slice height width"], size: int = SIZE) -> Thumbnails:
    """Slices averaged down to `size` pixels per side, whatever their own height and width.

    Args:
        images: windowed slices in [0, 1].
        size: pixels per side.
    """
    rows, columns = _averaging(images.shape[1], size), _averaging(images.shape[2], size)
    small: Thumbnails = (rows @ images.astype(np.float32, copy=False) @ columns.T).astype(np.float32, copy=False)
    return small


def small_slices(store: PairStore, slices: Sequence[SliceRef]) -> Thumbnails:
    """Slices in [0, 1], so small that all can be compared with all.

    Args:
        store: where the slices are.
        slices: to be averaged down, in this order.
    """
    small = np.empty((len(slices), SIZE, SIZE), np.float32)
    for start in range(0, len(slices), READ_SLICES):
        images = [store.windowed(ref) for ref in slices[start : start + READ_SLICES]]
        small[start : start + READ_SLICES] = thumbnails(np.stack(images))
    return small


def nearest_slices(
    samples: Thumbnails, training: Thumbnails, *, shift: int = 1
) -> tuple[Float32[np.ndarray, " sample"], Int[np.ndarray, " sample"]]:
    """Similarity of each sample to its nearest training slice, and the position of that slice.

    Args:
        samples: thumbnails of the slices that are looked up.
        training: thumbnails of the training slices.
        shift: a sample may be moved by so many pixels of the thumbnail in each direction.
    """
    # correlation is a product of normalized slices
    normalized = _normalized(training).T
    similarity, position = np.empty(len(samples), np.float32), np.empty(len(samples), np.int64)
    # bounded memory: all shifts of a block of samples at once
    moves = (2 * shift + 1) ** 2
    block = max(1, BLOCK_VALUES // (moves * max(len(training), 1)))
    for start in range(0, len(samples), block):
        rows = slice(start, start + block)
        # the best shift, then the nearest slice
        tables = _normalized(_shifted(samples[rows], shift)) @ normalized
        best = tables.reshape(moves, -1, len(training)).max(axis=0)
        position[rows] = best.argmax(axis=1)
        similarity[rows] = best.max(axis=1)
    return similarity, position


def repeated_slices(samples: Thumbnails, *, similarity: float = 0.999) -> Bool[np.ndarray, " sample"]:
    """Which samples show the same picture as an earlier one: a generator that paints one prototype again and again."""
    unit = _normalized(samples)
    block = max(1, BLOCK_VALUES // max(len(samples), 1))
    repeated = np.zeros(len(samples), dtype=np.bool_)
    for start in range(0, len(samples), block):
        rows = unit[start : start + block]
        same = rows @ unit[: start + len(rows)].T >= similarity
        repeated[start : start + block] = np.tril(same, start - 1).any(axis=1)
    return repeated


def calibrate(validation: Thumbnails, training: Thumbnails, *, quantile: float = 0.99, shift: int = 1) -> Calibration:
    """The similarity that hardly any honest slice exceeds; arguments as for `measure_memorization`.

    Raises:
        DataError: no training slice or no validation slice.
    """
    for name, slices in (("training", training), ("validation", validation)):
        if not len(slices):
            finding = "holds no slice: what counts as a copy cannot be calibrated"
            raise DataError(f"{name} split", finding, "give the split more patients, or switch the filter off")
    similarity, _ = nearest_slices(validation, training, shift=shift)
    threshold, median = np.quantile(similarity, [quantile, 0.5])
    return Calibration(float(threshold), quantile, float(median), len(validation), len(training))


def measure_memorization(
    synthetic: Thumbnails,
    training: Thumbnails,
    validation: Thumbnails,
    references: Sequence[SliceRef],
    *,
    quantile: float = 0.99,
    shift: int = 1,
) -> Memorization:
    """Compare synthetic slices with the training slices.

    Args:
        synthetic: thumbnails of the synthetic slices.
        training: thumbnails of the slices that the generator was trained on.
        validation: thumbnails of slices of validation patients.
        references: patient and slice of each training thumbnail.
        quantile: share of validation slices that the threshold lets pass.
        shift: a slice may be moved by so many pixels of the thumbnail in each direction.

    Raises:
        DataError: no synthetic slice, no training slice or no validation slice.
    """
    assert len(references) == len(training), "one reference for each training thumbnail"
    if not len(synthetic):
        raise DataError("synthetic slices", "are none", "run 'synthesize' again")
    calibration = calibrate(validation, training, quantile=quantile, shift=shift)
    similarity, position = nearest_slices(synthetic, training, shift=shift)
    nearest = tuple(references[index] for index in position)
    return Memorization(similarity, nearest, similarity > calibration.threshold, calibration)


def _averaging(length: int, size: int) -> Float32[np.ndarray, "size length"]:
    """Matrix that averages `length` pixels into `size`, each pixel counted by the part of it that lies inside."""
    edges = np.linspace(0, length, size + 1)
    low, high = edges[:-1, None], edges[1:, None]
    pixel = np.arange(length)
    overlap = np.clip(np.minimum(high, pixel + 1) - np.maximum(low, pixel), 0, None)
    matrix: Float32[np.ndarray, "size length"] = (overlap / overlap.sum(axis=1, keepdims=True)).astype(np.float32)
    return matrix


def _shifted(samples: Thumbnails, shift: int) -> Float32[np.ndarray, "move_sample size size"]:
    """All shifts of all samples, move by move; what comes in at an edge repeats the edge."""
    height, width = samples.shape[1:]
    padded = np.pad(samples, ((0, 0), (shift, shift), (shift, shift)), mode="edge")
    starts = range(2 * shift + 1)
    return np.concatenate([padded[:, y : y + height, x : x + width] for y in starts for x in starts])


def _normalized(slices: Float32[np.ndarray, "slice size size"]) -> Float32[np.ndarray, "slice pixel"]:
    """Mean 0 and length 1, so that a product is a correlation; a blank slice becomes 0, like nothing at all."""
    flat = slices.reshape(len(slices), -1)
    flat = flat - flat.mean(axis=1, keepdims=True)
    length = np.linalg.norm(flat, axis=1, keepdims=True)
    blank = length < 1e-4 * np.sqrt(flat.shape[1])  # far below one gray level of 256
    unit: Float32[np.ndarray, "slice pixel"] = np.where(blank, 0, flat / np.where(blank, 1, length))
    return unit
