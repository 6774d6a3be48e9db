from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

from nephrite.verdict.statistics import (
    Interval,
    holm,
    judge,
    null_difference,
    paired_interval,
    paired_intervals,
    wilcoxon_p,
)

GOLDEN_INTERVAL = (0.065833333, -0.079778434, 0.20841696)  # changes only when the method changes on purpose


def _trial(generator: np.random.Generator, cells: int, patients: int, truth: float = 0.0) -> np.ndarray:
    """Differences in which cells, patients and their pairs vary, as in the pilot: 0.02, 0.03 and 0.04."""
    by_cell = 0.02 * generator.standard_normal((cells, 1)) if cells > 1 else np.zeros((1, 1))
    by_patient = 0.03 * generator.standard_normal((1, patients))
    pairs: np.ndarray = truth + by_cell + by_patient + 0.04 * generator.standard_normal((cells, patients))
    return pairs


@pytest.mark.parametrize(("cells", "patients"), [(1, 10), (3, 10), (6, 20)])
def test_the_interval_holds_the_truth_about_as_often_as_it_says(cells: int, patients: int) -> None:
    generator, held = np.random.default_rng(cells), []
    for seed in range(250):
        found = paired_interval(_trial(generator, cells, patients, truth=0.01), resamples=600, seed=seed)
        assert found.low is not None
        assert found.high is not None
        held.append(found.low <= 0.01 <= found.high)
    assert 0.90 <= np.mean(held) <= 0.998


def test_the_noise_of_single_scores_is_counted_once() -> None:
    tables = 0.1 * np.random.default_rng(0).standard_normal((300, 12, 40))
    _, low, high = paired_intervals(tables, resamples=1000)
    once = 2 * 1.96 * 0.1 / np.sqrt(12 * 40)
    assert once < np.mean(high - low) < 1.3 * once


def test_an_interval_is_never_shorter_than_one_level_alone_demands() -> None:
    agreeing = np.tile(np.random.default_rng(0).standard_normal((1, 20)), (8, 1))
    found, patients_only = paired_interval(agreeing), paired_interval(agreeing[:1])
    assert (found.low, found.high) == pytest.approx((patients_only.low, patients_only.high), abs=0.03)


def test_tables_without_any_difference_have_an_interval_of_no_length() -> None:
    assert paired_interval(np.full((3, 9), 0.25)) == Interval(0.25, 0.25, 0.25)


def test_three_cells_that_disagree_make_a_longer_interval_than_their_patients_alone() -> None:
    differences = np.array([[0.08], [0.02], [-0.04]]) + 0.005 * np.random.default_rng(0).standard_normal((3, 12))
    both, patients_only = paired_interval(differences), paired_interval(differences.mean(axis=0, keepdims=True))
    assert both.low is not None
    assert patients_only.low is not None
    assert both.low < 0 < patients_only.low


def test_with_one_cell_the_interval_is_about_as_long_as_students() -> None:
    differences = np.random.default_rng(3).standard_normal((1, 8))
    found = paired_interval(differences)
    expected = stats.t.interval(0.95, 7, loc=differences.mean(), scale=stats.sem(differences[0]))
    assert (found.low, found.high) == pytest.approx(expected, abs=0.1 * stats.sem(differences[0]))


def test_an_interval_can_be_replayed_and_depends_on_its_seed() -> None:
    differences = _trial(np.random.default_rng(1), 3, 12)
    assert paired_interval(differences, seed=4) == paired_interval(differences, seed=4)
    assert paired_interval(differences, seed=4) != paired_interval(differences, seed=5)


def test_more_confidence_makes_a_longer_interval_around_the_same_mean() -> None:
    differences = _trial(np.random.default_rng(2), 3, 12)
    wide, narrow = paired_interval(differences, confidence=0.95), paired_interval(differences, confidence=0.8)
    assert wide.mean == narrow.mean == pytest.approx(differences.mean())
    assert wide.low is not None
    assert narrow.low is not None
    assert wide.low < narrow.low < narrow.mean


def test_one_patient_has_no_interval() -> None:
    assert paired_interval(np.array([[0.1], [0.3]])) == Interval(0.2, None, None)


def test_wilcoxon_of_eight_gains_is_the_smallest_possible_p() -> None:
    gains = np.linspace(0.01, 0.08, 8)
    assert wilcoxon_p(np.stack([gains - 0.005, gains + 0.005])) == pytest.approx(2 / 2**8)


def test_wilcoxon_of_no_difference_is_one() -> None:
    assert wilcoxon_p(np.array([[0.1, -0.2, 0.0], [-0.1, 0.2, 0.0]])) == 1


def test_wilcoxon_ignores_patients_without_a_difference_and_takes_ties() -> None:
    assert wilcoxon_p(np.array([[0.1, 0.1, 0.1, 0.0, 0.0]])) == pytest.approx(0.25)


def test_rounding_noise_is_no_difference_and_breaks_no_tie() -> None:
    assert 0.1 + 0.2 - 0.3 != 0
    noise = [0.1 + 0.2 - 0.3, 0.0, 0.3 - 0.1 - 0.2]
    assert wilcoxon_p(np.array([noise])) == 1
    equal = [0.1, 0.3 - 0.2, 0.7 - 0.8, 0.5 - 0.4, 0.9 - 0.8, 0.2 - 0.3]
    assert len(set(np.abs(equal))) > 1
    expected = wilcoxon_p(np.array([[0.1, 0.1, -0.1, 0.1, 0.1, -0.1]]))
    assert wilcoxon_p(np.array([equal])) == expected
    assert wilcoxon_p(np.array([equal + noise])) == expected


def test_a_small_difference_is_one() -> None:
    assert wilcoxon_p(np.full((1, 8), 1e-9) * np.arange(1, 9)) == pytest.approx(2 / 2**8)


def test_holm_multiplies_by_the_tests_that_are_left_and_never_falls() -> None:
    assert holm([0.04, 0.01, 0.03]) == pytest.approx([0.06, 0.03, 0.06])
    assert holm([0.9, 0.8]) == [1, 1]
    assert holm([]) == []


def test_the_null_is_the_difference_between_cells_of_one_arm() -> None:
    null = null_difference(np.array([[0.5, 0.7], [0.5, 0.5], [0.6, 0.6]]))
    assert null is not None
    assert null.pairs == 3
    assert null.largest == pytest.approx(0.1)
    assert null.typical == pytest.approx(np.sqrt((0.1**2 + 0.1**2) / 3))


def test_the_null_pairs_cells_in_their_order_and_by_patient() -> None:
    scores = np.array([[0.5, 0.9], [0.4, 0.8], [0.3, 0.3], [0.0, 0.2], [0.9, 0.9]])
    null = null_difference(scores, resamples=200)
    assert null is not None
    assert (null.pairs, null.trial_pairs) == (10, 2)
    assert null.mean == pytest.approx((0.1 + 0.2) / 2)


def test_the_nulls_interval_is_that_of_a_trial_of_its_pairs() -> None:
    scores = np.random.default_rng(0).standard_normal((8, 15))
    null = null_difference(scores, resamples=300, seed=2)
    expected = paired_interval(scores[::2] - scores[1::2], resamples=300, seed=2)
    assert null is not None
    assert (null.mean, null.low, null.high) == (expected.mean, expected.low, expected.high)


def test_the_null_of_eight_cells_covers_zero_where_only_chance_differs() -> None:
    generator, held = np.random.default_rng(1), []
    for seed in range(200):
        by_cell, noise = 0.02 * generator.standard_normal((8, 1)), 0.1 * generator.standard_normal((8, 20))
        null = null_difference(0.5 + by_cell + noise, resamples=400, seed=seed)
        assert null is not None
        assert null.low is not None
        assert null.high is not None
        held.append(null.low <= 0 <= null.high)
    assert 0.92 <= np.mean(held) < 1


def test_one_cell_has_no_null() -> None:
    assert null_difference(np.array([[0.5, 0.7]])) is None


@pytest.mark.parametrize(
    ("low", "high", "word"), [(0.01, 0.03, "helps"), (-0.03, -0.01, "hurts"), (-0.01, 0.01, "no evidence")]
)
def test_the_interval_decides_the_word(low: float, high: float, word: str) -> None:
    verdict = judge(Interval((low + high) / 2, low, high), cells=3, patients=8)
    assert verdict.word == word
    assert "8 test patients, 3 cells" in verdict.reason


@pytest.mark.parametrize("cells", [1, 2])
def test_fewer_than_three_cells_are_not_enough_whatever_the_numbers(cells: int) -> None:
    assert judge(Interval(0.3, 0.2, 0.4), cells=cells, patients=100).word == "not enough runs"


def test_fewer_than_eight_patients_are_no_evidence_whatever_the_numbers() -> None:
    verdict = judge(Interval(0.3, 0.2, 0.4), cells=5, patients=7)
    assert verdict.word == "no evidence"
    assert "at least 8 test patients" in verdict.reason


def test_many_tables_at_once_have_the_intervals_that_each_has_alone() -> None:
    generator = np.random.default_rng(3)
    tables = np.stack([_trial(generator, 4, 12, truth) for truth in (0.0, 0.3, -0.2)])
    together = paired_intervals(tables, resamples=400, seed=5).T
    alone = [paired_interval(table, resamples=400, seed=5) for table in tables]
    assert together.tolist() == [pytest.approx([one.mean, one.low, one.high]) for one in alone]


def test_an_interval_of_a_table_stays_what_it_was() -> None:
    table = np.array([[0.02, 0.05, -0.01, 0.3], [0.01, 0.08, -0.03, 0.1], [0.04, 0.02, 0.01, 0.2]])
    found = paired_interval(table, resamples=300, seed=4)
    assert (found.mean, found.low, found.high) == pytest.approx(GOLDEN_INTERVAL, abs=1e-9)
    assert paired_interval(table, resamples=299, seed=4) != found


def test_wilcoxon_counts_a_patient_who_gains_everything() -> None:
    assert wilcoxon_p(np.array([[1.0, 0.2, 0.3, -0.1, 0.5]])) == stats.wilcoxon([1.0, 0.2, 0.3, -0.1, 0.5]).pvalue


def test_an_interval_that_touches_zero_is_no_evidence() -> None:
    assert judge(Interval(0.1, 0.0, 0.2), cells=3, patients=8).word == "no evidence"
    assert judge(Interval(-0.1, -0.2, 0.0), cells=3, patients=8).word == "no evidence"


def test_the_null_has_the_confidence_that_is_asked_for() -> None:
    scores = _trial(np.random.default_rng(2), 8, 20)
    wide, narrow = (null_difference(scores, confidence=share, resamples=500) for share in (0.99, 0.8))
    assert wide is not None
    assert narrow is not None
    assert wide.low is not None
    assert narrow.low is not None
    assert wide.low < narrow.low
