"""Calibration: whether what is said to be a lesion with 70 % is one in 70 % of the voxels."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated

import numpy as np
from jaxtyping import Bool, Float
from pydantic import Field

from nephrite.metrics.overlap import same_shape
from nephrite.record_fields import STRICT, Count, NotNegative, Share

BINS = 10  # of equal width, as Naeini et al. 2015 and Guo et al. 2017 have them
_EACH = Field(min_length=BINS, max_length=BINS)


@dataclass(frozen=True)
class Calibration:
    """Probabilities of one region in one patient, voxel by voxel.

    Attributes:
        brier: mean squared difference to the truth (Brier 1950).
        voxels: number in each bin of the probability.
        said: sum of the probabilities in each bin.
        true: voxels of each bin that belong to the region.
    """

    __pydantic_config__ = STRICT

    brier: Share
    voxels: Annotated[tuple[Count, ...], _EACH]
    said: Annotated[tuple[NotNegative, ...], _EACH]
    true: Annotated[tuple[Count, ...], _EACH]


def calibrate(probability: Float[np.ndarray, "..."], truth: Bool[np.ndarray, "..."]) -> Calibration:
    """Compare probabilities with what is true.

    Raises:
        VolumeError: the shapes differ.
    """
    same_shape(probability, truth)
    said, true = probability.ravel().astype(np.float64), truth.ravel()
    bins = np.minimum((said * BINS).astype(int), BINS - 1)
    return Calibration(
        brier=float(np.mean((said - true) ** 2)),
        voxels=tuple(np.bincount(bins, minlength=BINS).tolist()),
        said=tuple(np.bincount(bins, said, BINS).tolist()),
        true=tuple(np.bincount(bins[true], minlength=BINS).tolist()),
    )


def expected_calibration_errors(
    patients: Sequence[Calibration], weights: Float[np.ndarray, "draw patient"] | None = None
) -> Float[np.ndarray, " draw"]:
    """Mean gap between what is said and what is true, weighted by voxels, over the bins (Naeini et al. 2015).

    Args:
        patients: of a set; their bins are added up.
        weights: how often each patient counts, in each draw; once where it is not given.
    """
    weights = np.ones((1, len(patients))) if weights is None else weights
    voxels, said, true = (
        weights @ np.array([getattr(each, name) for each in patients], dtype=float)
        for name in ("voxels", "said", "true")
    )
    error: Float[np.ndarray, " draw"] = np.abs(said - true).sum(axis=1) / voxels.sum(axis=1)
    return error
