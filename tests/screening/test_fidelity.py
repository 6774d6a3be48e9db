from __future__ import annotations

import numpy as np
import pytest

from nephrite.errors import DataError
from nephrite.screening.fidelity import kernel_distance, measure_fidelity, neighborhood_scores


def _features(count: int, seed: int, shift: float = 0.0) -> np.ndarray:
    return shift + np.random.default_rng(seed).standard_normal((count, 6))


def test_two_samples_of_one_distribution_are_close_in_every_figure() -> None:
    found = measure_fidelity(_features(400, 1), _features(400, 2))
    assert abs(found.kid.mean) < 2 * found.kid.deviation
    assert min(found.precision, found.recall) > 0.8
    assert found.density == pytest.approx(1, abs=0.1)
    assert found.coverage > 0.9


def test_the_kernel_distance_is_that_of_the_formula() -> None:
    real, synthetic = _features(4, 1), _features(4, 2, shift=0.5)

    def kernel(x: np.ndarray, y: np.ndarray) -> float:
        return float((x @ y / 6 + 1) ** 3)

    found = kernel_distance(real, synthetic, subsets=2000)
    pairs = [(i, j) for i in range(4) for j in range(4)]
    within = [np.mean([kernel(x[i], x[j]) for i, j in pairs if i != j]) for x in (real, synthetic)]
    across = np.mean([kernel(real[i], synthetic[j]) for i, j in pairs])
    assert found.subset_size == 2
    assert found.mean == pytest.approx(sum(within) - 2 * across, abs=4 * found.deviation / np.sqrt(2000))


def test_the_kernel_distance_grows_with_the_shift_and_does_not_depend_on_the_number_of_samples() -> None:
    near = kernel_distance(_features(300, 1), _features(300, 2, shift=0.3))
    far = kernel_distance(_features(300, 1), _features(300, 2, shift=0.6))
    fewer = kernel_distance(_features(300, 1)[:100], _features(300, 2, shift=0.6)[:100])
    assert 0 < near.mean < far.mean
    assert fewer.mean == pytest.approx(far.mean, rel=0.35)


def test_a_generator_with_one_prototype_is_precise_and_recalls_little() -> None:
    real = _features(200, 1)
    synthetic = 0.01 * _features(200, 2)
    precision, recall, density, coverage = neighborhood_scores(real, synthetic)
    assert precision == 1
    assert density > 1
    assert recall < 0.05
    assert coverage < 0.5


def test_noise_far_away_is_neither_precise_nor_covered() -> None:
    assert neighborhood_scores(_features(50, 1), _features(50, 2, shift=30)) == (0, 0, 0, 0)


def test_neighborhoods_of_points_on_a_line_are_those_counted_by_hand() -> None:
    real, synthetic = np.array([[0.0], [1.0], [3.0]]), np.array([[0.5], [2.6], [9.0]])
    # radii with one neighbor: real 1, 1, 2; synthetic 2.1, 2.1, 6.4
    precision, recall, density, coverage = neighborhood_scores(real, synthetic, neighbors=1)
    assert (precision, recall, coverage) == (2 / 3, 1, 1)
    assert density == pytest.approx((2 + 1) / 3)


def test_blocks_change_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    whole = neighborhood_scores(_features(60, 1), _features(70, 2))
    monkeypatch.setattr("nephrite.screening.fidelity.BLOCK", 7)
    assert neighborhood_scores(_features(60, 1), _features(70, 2)) == whole


def test_too_few_samples_are_refused_in_one_line() -> None:
    with pytest.raises(DataError, match=r"synthetic slices: 5 are fewer than the 6 .*; use more slices"):
        neighborhood_scores(_features(20, 1), _features(5, 2))
    with pytest.raises(DataError, match="real slices: 3 are fewer than the 4"):
        kernel_distance(_features(3, 1), _features(5, 2))


def test_features_of_another_segmenter_and_broken_ones_are_refused() -> None:
    with pytest.raises(DataError, match="have 4 features, real slices 6"):
        measure_fidelity(_features(20, 1), _features(20, 2)[:, :4])
    with pytest.raises(DataError, match="not finite"):
        measure_fidelity(np.full((20, 6), np.nan), _features(20, 2))
