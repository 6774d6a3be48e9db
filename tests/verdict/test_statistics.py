from __future__ import annotations

import numpy as np
import pytest

from nephrite.verdict.statistics import Interval, judge, null_difference, paired_interval, paired_p

GOLDEN_INTERVAL = (0.065833333, -0.072678339, 0.204345006)  # changes only when the method changes on purpose
GOLDEN_P = 0.239


def _trial(generator: np.random.Generator, cells: int, patients: int, truth: float = 0.0) -> np.ndarray:
    """Differences in which cells, patients and their pairs vary, as in the pilot: 0.02, 0.03 and 0.04."""
    by_cell = 0.02 * generator.standard_normal((cells, 1)) if cells > 1 else np.zeros((1, 1))
    by_patient = 0.03 * generator.standard_normal((1, patients))
    pairs: np.ndarray = truth + by_cell + by_patient + 0.04 * generator.standard_normal((cells, patients))
    return pairs


def test_three_cells_that_disagree_make_a_longer_interval_than_their_patients_alone() -> None:
    differences = np.array([[0.08], [0.02], [-0.04]]) + 0.005 * np.random.default_rng(0).standard_normal((3, 12))
    both, patients_only = paired_interval(differences), paired_interval(differences.mean(axis=0, keepdims=True))
    assert both.low is not None
    assert patients_only.low is not None
    assert both.low < 0 < patients_only.low


def test_more_confidence_makes_a_longer_interval_around_the_same_mean() -> None:
    differences = _trial(np.random.default_rng(2), 3, 12)
    wide, narrow = paired_interval(differences, confidence=0.95), paired_interval(differences, confidence=0.8)
    assert wide.mean == narrow.mean == pytest.approx(differences.mean())
    assert wide.low is not None
    assert narrow.low is not None
    assert wide.low < narrow.low < narrow.mean


def test_one_patient_has_no_interval_and_proves_nothing() -> None:
    assert paired_interval(np.array([[0.1], [0.3]])) == Interval(0.2, None, None)
    assert paired_p(np.array([[0.1], [0.3]])) == 1


def test_tables_without_any_difference_have_an_interval_of_no_length() -> None:
    assert paired_interval(np.full((3, 9), 0.25)) == Interval(0.25, 0.25, 0.25)
    assert (paired_p(np.full((3, 9), 0.25)), paired_p(np.zeros((3, 9)))) == (0, 1)


@pytest.mark.parametrize("cells", [1, 2, 3, 8])
@pytest.mark.parametrize("confidence", [0.9, 0.95, 0.9917])
def test_p_is_small_exactly_where_the_interval_excludes_zero(cells: int, confidence: float) -> None:
    generator, seen = np.random.default_rng(cells), set[bool]()
    for _ in range(300):
        differences = _trial(generator, cells, 12, truth=generator.uniform(-0.08, 0.08))
        found = paired_interval(differences, confidence=confidence, overlap=0.2)
        assert found.low is not None
        assert found.high is not None
        excludes = found.low > 0 or found.high < 0
        assert (paired_p(differences, overlap=0.2) < 1 - confidence) == excludes
        seen.add(excludes)
    assert seen == {True, False}


def test_interval_and_p_of_a_table_stay_what_they_were() -> None:
    table = np.array([[0.02, 0.05, -0.01, 0.3], [0.01, 0.08, -0.03, 0.1], [0.04, 0.02, 0.01, 0.2]])
    found = paired_interval(table)
    assert (found.mean, found.low, found.high) == pytest.approx(GOLDEN_INTERVAL, abs=1e-9)
    assert paired_p(table) == pytest.approx(GOLDEN_P, abs=1e-3)


def test_the_null_is_the_difference_between_cells_of_one_arm() -> None:
    null = null_difference(np.array([[0.5, 0.7], [0.5, 0.5], [0.6, 0.6]]))
    assert null is not None
    assert null.pairs == 3
    assert null.largest == pytest.approx(0.1)
    assert null.typical == pytest.approx(np.sqrt((0.1**2 + 0.1**2) / 3))


def test_the_null_pairs_cells_in_their_order_and_by_patient() -> None:
    scores = np.array([[0.5, 0.9], [0.4, 0.8], [0.3, 0.3], [0.0, 0.2], [0.9, 0.9]])
    null = null_difference(scores)
    assert null is not None
    assert (null.pairs, null.trial_pairs) == (10, 2)
    assert null.mean == pytest.approx((0.1 + 0.2) / 2)


def test_the_nulls_interval_is_that_of_a_trial_of_its_pairs() -> None:
    scores = np.random.default_rng(0).standard_normal((8, 15))
    null = null_difference(scores)
    expected = paired_interval(scores[::2] - scores[1::2])
    assert null is not None
    assert (null.mean, null.low, null.high) == (expected.mean, expected.low, expected.high)


def test_the_null_of_eight_cells_covers_zero_where_only_chance_differs() -> None:
    generator, held = np.random.default_rng(1), []
    for _ in range(200):
        by_cell, noise = 0.02 * generator.standard_normal((8, 1)), 0.1 * generator.standard_normal((8, 20))
        null = null_difference(0.5 + by_cell + noise)
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


def test_an_interval_that_touches_zero_is_no_evidence() -> None:
    assert judge(Interval(0.1, 0.0, 0.2), cells=3, patients=8).word == "no evidence"
    assert judge(Interval(-0.1, -0.2, 0.0), cells=3, patients=8).word == "no evidence"


def test_the_null_has_the_confidence_that_is_asked_for() -> None:
    scores = _trial(np.random.default_rng(2), 8, 20)
    wide, narrow = (null_difference(scores, confidence=share) for share in (0.99, 0.8))
    assert wide is not None
    assert narrow is not None
    assert wide.low is not None
    assert narrow.low is not None
    assert wide.low < narrow.low


def test_a_null_holds_no_difference_that_cannot_be() -> None:
    generator = np.random.default_rng(3)
    cells = np.array([0.2, 0.6, 0.7, 0.1])[:, None]  # two pairs that go apart
    found = null_difference(np.clip(cells + generator.normal(0, 0.01, (4, 20)), 0, 1), confidence=0.999)
    assert found is not None
    assert (found.low, found.high) == (-1.0, 1.0)
