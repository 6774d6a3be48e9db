from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

from nephrite.verdict.crossed import estimate, mean_squares


def _tables(cells: int, patients: int, count: int = 4, by_cell: float = 0.02, seed: int = 0) -> np.ndarray:
    generator = np.random.default_rng(seed)
    tables: np.ndarray = 0.1 * generator.standard_normal((count, cells, patients))
    return tables + by_cell * generator.standard_normal((count, cells, 1))


def test_one_cell_is_students_test_over_patients() -> None:
    table = _tables(1, 12)[0]
    found, expected = estimate(table[None]), stats.ttest_1samp(table[0], 0)
    assert found.p()[0] == pytest.approx(expected.pvalue)
    bounds = expected.confidence_interval(0.9)
    assert found.intervals(0.9)[1:, 0] == pytest.approx([bounds.low, bounds.high])


def test_where_patients_agree_it_is_students_test_over_cells() -> None:
    by_cell = np.array([0.03, 0.01, 0.05, 0.02])
    found = estimate(np.repeat(by_cell[:, None], 9, axis=1)[None])
    assert found.p()[0] == pytest.approx(stats.ttest_1samp(by_cell, 0).pvalue)
    assert found.freedom[0] == pytest.approx(3)


def test_where_cells_agree_it_is_students_test_over_patients() -> None:
    by_patient = np.random.default_rng(0).standard_normal(15)
    found = estimate(np.repeat(by_patient[None], 6, axis=0)[None])
    assert found.p()[0] == pytest.approx(stats.ttest_1samp(by_patient, 0).pvalue)
    assert found.freedom[0] == pytest.approx(14)


def test_the_squared_error_is_unbiased_where_all_levels_vary() -> None:
    generator = np.random.default_rng(0)
    size = (4000, 6, 20)
    tables = 0.1 * generator.standard_normal(size) + 0.05 * generator.standard_normal((4000, 1, 20))
    tables += 0.04 * generator.standard_normal((4000, 6, 1))
    truth = 0.04**2 / 6 + 0.05**2 / 20 + 0.1**2 / 120
    assert np.mean(estimate(tables).error ** 2) == pytest.approx(truth, rel=0.03)


def test_mean_squares_are_those_of_an_analysis_of_variance() -> None:
    table = _tables(3, 5)[0]
    by_cell, by_patient, noise = (float(part[0]) for part in mean_squares(table[None]))
    total = float(((table - table.mean()) ** 2).sum())
    assert 2 * by_cell + 4 * by_patient + 8 * noise == pytest.approx(total)
    assert by_cell == pytest.approx(5 * table.mean(axis=1).var(ddof=1))


def test_cells_that_agree_by_luck_are_no_proof_of_precision() -> None:
    tables = _tables(3, 60, count=3000, by_cell=0)
    by_cell, _, noise = mean_squares(tables)
    lucky = by_cell < noise / 10
    assert lucky.sum() > 100
    assert estimate(tables).freedom[lucky].max() < 20


@pytest.mark.parametrize("cells", [2, 3, 8])
def test_cells_whose_means_are_equal_by_luck_leave_the_interval_a_width(cells: int) -> None:
    tables = _tables(cells, 60, count=3000, by_cell=0)
    means = tables.mean(axis=2, keepdims=True)
    equal = tables - means + means.mean(axis=1, keepdims=True)
    _, low, high = estimate(equal).intervals(0.95)
    assert ((low <= 0) & (high >= 0)).mean() > 0.7  # without the floor 0.3 to 0.5


def test_overlap_multiplies_what_lies_between_cells_and_nothing_else() -> None:
    cells, patients = 200, 30
    apart, shared = (estimate(_tables(cells, patients, by_cell=0.3), overlap=share) for share in (0.0, 0.25))
    between = 0.3**2 * (1 / cells + 0.25 / 0.75)
    assert shared.error**2 == pytest.approx(between + 0.1**2 / cells / patients, rel=0.3)
    assert np.all(apart.error < shared.error)
    agreeing = np.repeat(np.random.default_rng(0).standard_normal((1, 1, 15)), 6, axis=1)
    assert estimate(agreeing, overlap=0.25).error == pytest.approx(estimate(agreeing).error)


def test_with_the_same_training_patients_in_all_cells_nothing_is_added() -> None:
    tables = _tables(5, 10)
    np.testing.assert_array_equal(estimate(tables, overlap=1.0).error, estimate(tables).error)


def test_rounding_noise_is_no_difference() -> None:
    balanced = np.array([[[0.3, -0.3], [0.1 + 0.2, -0.3]]])
    assert balanced.mean() != 0
    assert estimate(balanced).mean[0] == 0
    constant = np.full((1, 3, 8), 0.1) + np.array([0, 1e-17, 0])[:, None]
    assert estimate(constant).p()[0] == 0


def test_many_tables_are_judged_as_each_alone() -> None:
    tables = _tables(4, 9)
    together = estimate(tables, overlap=0.1).intervals(0.95).T
    alone = [estimate(table[None], overlap=0.1).intervals(0.95)[:, 0] for table in tables]
    np.testing.assert_allclose(together, alone)


def test_p_and_interval_agree_far_in_the_tails() -> None:
    tables = _tables(3, 20, count=2000, by_cell=0.05)
    found = estimate(tables)
    for confidence in (0.9, 0.95, 0.999):
        _, low, high = found.intervals(confidence)
        np.testing.assert_array_equal(found.p() < 1 - confidence, (low > 0) | (high < 0))
