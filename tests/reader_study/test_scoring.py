from __future__ import annotations

import numpy as np
import pytest
from sklearn.metrics import roc_auc_score

from nephrite.reader_study.scoring import agreement, area_together, exact_share, least_right, pseudovalues

FAKES = np.repeat([True, False], 30)


def study(readers: int, skill: float, seed: int) -> np.ndarray:
    """Whether readers of unlike leaning call slices of unlike difficulty synthetic, [reader, slice]."""
    rng = np.random.default_rng(seed)
    seen = skill * np.where(FAKES, 0.5, -0.5) + 0.5 * rng.normal(size=60) + 0.5 * rng.normal(size=(readers, 1))
    return np.asarray(seen + rng.normal(size=(readers, 60)) > 0)


def test_exact_intervals_are_those_of_the_books() -> None:
    # Clopper and Pearson: 15 of 20
    found = exact_share(15, 20)
    assert (found.value, round(found.low, 4), round(found.high, 4)) == (0.75, 0.5090, 0.9134)
    assert exact_share(20, 20).low == pytest.approx(0.025 ** (1 / 20))


def test_the_least_that_excludes_guessing() -> None:
    assert least_right(20) == 15
    assert least_right(60) == 39
    assert exact_share(39, 60).low > 0.5 >= exact_share(38, 60).low
    assert least_right(4) is None


def test_pseudovalues_are_those_of_the_jackknife() -> None:
    ratings = np.random.default_rng(3).integers(1, 5, 20)
    fakes = np.repeat([True, False], [12, 8])
    area = roc_auc_score(fakes, ratings)
    for number, value in enumerate(pseudovalues(ratings, fakes)):
        left = np.arange(20) != number
        assert value == pytest.approx(20 * area - 19 * roc_auc_score(fakes[left], ratings[left]))


def test_the_area_of_yes_or_no_is_the_accuracy() -> None:
    called = study(3, 1.5, seed=0)
    assert area_together(called.astype(int), FAKES).value == pytest.approx((called == FAKES).mean())


def test_readers_together_are_less_sure_than_their_answers_would_be_alone() -> None:
    called = study(4, 1.0, seed=1)
    found, alone = area_together(called.astype(int), FAKES), exact_share(int((called == FAKES).sum()), called.size)
    assert found.high - found.low > alone.high - alone.low
    assert 0 <= found.low < found.value < found.high <= 1


def test_one_reader_copied_three_times_is_about_as_sure_as_one() -> None:
    called = study(1, 1.0, seed=2)
    one = area_together(called.astype(int), FAKES)
    same = area_together(np.repeat(called, 3, axis=0).astype(int), FAKES)
    assert same.high - same.low == pytest.approx(one.high - one.low, rel=0.05)


@pytest.mark.parametrize(("called", "value"), [(FAKES, 1.0), (~FAKES, 0.0), (np.zeros(60, bool), 0.5)])
def test_where_nothing_varies_the_interval_is_that_of_one_reader(called: np.ndarray, value: float) -> None:
    found = area_together(np.stack([called] * 3).astype(int), FAKES)
    expected = exact_share(round(60 * value), 60)
    assert (found.value, found.low, found.high) == pytest.approx((value, expected.low, expected.high))


@pytest.mark.parametrize("readers", [2, 3, 6])
def test_guessing_readers_are_rarely_told_apart(readers: int) -> None:
    held = 0
    for seed in range(200):
        found = area_together(study(readers, 0.0, seed).astype(int), FAKES)
        held += found.low <= 0.5 <= found.high
    assert held / 200 >= 0.93


def test_kappa_is_that_of_cohen() -> None:
    # 20 and 15 of 50 both ways: the observed share 0.7, by chance 0.5
    first = np.repeat([True, True, False, False], [20, 5, 10, 15])
    second = np.repeat([True, False, True, False], [20, 5, 10, 15])
    found = agreement(np.stack([first, second]))
    assert found
    assert found.kappa == pytest.approx(0.4)
    assert (found.share, found.pairs) == (0.7, 1)
    three = agreement(np.stack([first, second, first]))
    assert three
    assert three.kappa == pytest.approx((0.4 + 1 + 0.4) / 3)
    assert three.pairs == 3


def test_agreement_needs_two_readers_who_say_both() -> None:
    assert agreement(FAKES[None]) is None
    found = agreement(np.stack([FAKES, np.ones(60, bool)]))
    assert found
    assert (found.share, found.kappa) == (0.5, None)
