"""How close synthetic slices come to real ones, by distances between features.

Features come from a segmenter that was trained on the training patients, so that they know CT or MR and this task.
With few slices all of these figures depend on how many there are: compare only figures of equal numbers of samples,
and beside them show those of real training slices against real validation slices.

KID: Binkowski et al. 2018, "Demystifying MMD GANs", section 4. Precision and recall: Kynkaanniemi et al. 2019,
"Improved precision and recall metric", section 2. Density and coverage: Naeem et al. 2020, "Reliable fidelity and
diversity metrics", section 3. The libraries that hold them need torch or scikit-learn, for a few lines each.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Shaped
from scipy.spatial.distance import cdist

from nephrite.errors import DataError

BLOCK = 1024  # rows of the distance matrix that are held at once
Features = Shaped[np.ndarray, "sample feature"]


@dataclass(frozen=True)
class KernelDistance:
    """KID: squared maximum mean discrepancy of two samples; 0 in the mean where both come from one distribution.

    Attributes:
        mean: over the subsets; may lie below zero, since each is unbiased.
        deviation: standard deviation over the subsets, which share samples: no interval.
        subset_size: samples of each kind in a subset.
    """

    mean: float
    deviation: float
    subset_size: int


@dataclass(frozen=True)
class Fidelity:
    """Synthetic against real features.

    Attributes:
        kid: kernel distance; lower is better.
        precision: share of synthetic samples that lie among the real ones.
        recall: share of real samples that lie among the synthetic ones.
        density: how many real neighborhoods hold a synthetic sample, over what is expected; may exceed 1.
        coverage: share of real neighborhoods that hold a synthetic sample.
        neighbors: the k-th neighbor's distance is the radius of a neighborhood.
        real: number of real samples.
        synthetic: number of synthetic samples.
    """

    kid: KernelDistance
    precision: float
    recall: float
    density: float
    coverage: float
    neighbors: int
    real: int
    synthetic: int


def measure_fidelity(
    real: Features,
    synthetic: Features,
    *,
    neighbors: int = 5,
    subsets: int = 100,
    subset_size: int = 1000,
    seed: int = 0,
) -> Fidelity:
    """All feature distances between two samples.

    Args:
        real: features of real slices, one row each.
        synthetic: features of synthetic slices.
        neighbors: k of precision, recall, density and coverage; 5 as Naeem et al. 2020 have it.
        subsets: of the kernel distance.
        subset_size: of the kernel distance; at most half of the smaller sample is taken.
        seed: of the subsets.

    Raises:
        DataError: fewer than `neighbors` + 1 samples, features that are not finite, or of another length.
    """
    kid = kernel_distance(real, synthetic, subsets=subsets, subset_size=subset_size, seed=seed)
    precision, recall, density, coverage = neighborhood_scores(real, synthetic, neighbors=neighbors)
    return Fidelity(kid, precision, recall, density, coverage, neighbors, len(real), len(synthetic))


def kernel_distance(
    real: Features, synthetic: Features, *, subsets: int = 100, subset_size: int = 1000, seed: int = 0
) -> KernelDistance:
    """KID with the cubic kernel (x . y / features + 1)^3, over random subsets (Binkowski et al. 2018, section 4).

    Args:
        real: features of real slices, one row each.
        synthetic: features of synthetic slices.
        subsets: number of subsets, each drawn without replacement from both samples.
        subset_size: at most half of the smaller sample is taken, else all subsets would be the same.
        seed: of the subsets.

    Raises:
        DataError: fewer than 4 samples, features that are not finite, or of another length.
    """
    _demand_samples(real, synthetic, at_least=4)
    size = min(subset_size, len(real) // 2, len(synthetic) // 2)
    generator = np.random.default_rng(seed)
    distances = [_discrepancy(_draw(real, size, generator), _draw(synthetic, size, generator)) for _ in range(subsets)]
    return KernelDistance(float(np.mean(distances)), float(np.std(distances)), size)


def neighborhood_scores(
    real: Features, synthetic: Features, *, neighbors: int = 5
) -> tuple[float, float, float, float]:
    """Precision, recall, density and coverage; see `Fidelity`.

    A sample lies in a neighborhood if it is no farther from its center than the center's k-th neighbor of its own kind.

    Raises:
        DataError: fewer than `neighbors` + 1 samples, features that are not finite, or of another length.
    """
    _demand_samples(real, synthetic, at_least=neighbors + 1)
    # a neighborhood reaches to the k-th nearest sample of its own kind
    real_radii, synthetic_radii = _radii(real, neighbors), _radii(synthetic, neighbors)
    holders = np.zeros(len(synthetic), dtype=np.int64)  # real neighborhoods that hold each synthetic sample
    recalled, covered = 0, 0
    # in blocks: the whole distance matrix may not fit
    for rows in _blocks(len(real)):
        distances = cdist(real[rows], synthetic)
        inside = distances <= real_radii[rows, None]
        holders += inside.sum(axis=0)
        covered += int(inside.any(axis=1).sum())
        recalled += int((distances <= synthetic_radii).any(axis=1).sum())
    # precision, recall, density, coverage
    density = float(holders.sum()) / (neighbors * len(synthetic))
    return float((holders > 0).mean()), recalled / len(real), density, covered / len(real)


def _discrepancy(one: Features, other: Features) -> float:
    """Unbiased estimate of the squared maximum mean discrepancy of two samples of the same size."""
    size, features = one.shape
    within = sum(_off_diagonal_sum((x @ x.T / features + 1) ** 3) for x in (one, other)) / (size * (size - 1))
    return float(within - 2 * ((one @ other.T / features + 1) ** 3).mean())


def _off_diagonal_sum(table: Float[np.ndarray, "sample sample"]) -> float:
    return float(table.sum() - np.trace(table))


def _draw(features: Features, size: int, generator: np.random.Generator) -> Float[np.ndarray, "size feature"]:
    drawn: np.ndarray = features[generator.choice(len(features), size, replace=False)].astype(np.float64)
    return drawn


def _radii(features: Features, neighbors: int) -> Float[np.ndarray, " sample"]:
    """Distance of each sample to its k-th neighbor; the nearest of all is the sample itself."""
    nearest = [np.partition(cdist(features[rows], features), neighbors, axis=1) for rows in _blocks(len(features))]
    return np.concatenate([table[:, neighbors] for table in nearest])


def _blocks(count: int) -> Iterator[slice]:
    return (slice(start, start + BLOCK) for start in range(0, count, BLOCK))


def _demand_samples(real: Features, synthetic: Features, *, at_least: int) -> None:
    for place, features in (("real slices", real), ("synthetic slices", synthetic)):
        if len(features) < at_least:
            finding = f"{len(features)} are fewer than the {at_least} that fidelity needs"
            raise DataError(place, finding, "use more slices, or fewer neighbors")
        if not np.isfinite(features).all():
            raise DataError(place, "have features that are not finite", "train the segmenter of the features again")
    if real.shape[1] != synthetic.shape[1]:
        finding = f"have {synthetic.shape[1]} features, real slices {real.shape[1]}"
        raise DataError("synthetic slices", finding, "take the features of both from the same segmenter")
