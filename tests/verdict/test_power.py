from __future__ import annotations

import time

import numpy as np
import pytest

from nephrite.errors import TrialError
from nephrite.verdict.power import (
    ASSUMED_SPREAD,
    QUICK,
    Simulation,
    Spread,
    cells_needed,
    chance_to_find,
    estimate_spread,
    largest_spread,
    simulate_differences,
    smallest_effect,
)


def test_the_spread_of_a_table_is_the_one_that_it_was_drawn_with() -> None:
    truth = Spread(0.03, 0.06, 0.1)
    tables = simulate_differences(truth, 12, 40, trials=100, generator=np.random.default_rng(0))
    found = [estimate_spread(table) for table in tables]
    for name in ("between_cells", "between_patients", "residual"):
        squares = np.mean([getattr(spread, name) ** 2 for spread in found])
        assert np.sqrt(squares) == pytest.approx(getattr(truth, name), rel=0.06)


def test_a_variance_below_zero_counts_as_zero() -> None:
    found = estimate_spread(np.array([[0.1, -0.1], [-0.1, 0.1]]))
    assert (found.between_cells, found.between_patients) == (0, 0)
    assert found.residual == pytest.approx(0.2)


def test_one_cell_has_no_spread() -> None:
    with pytest.raises(TrialError, match="1 cells and 20 test patients"):
        estimate_spread(np.zeros((1, 20)))


@pytest.mark.parametrize(("cells", "patients"), [(3, 20), (8, 60)])
def test_the_true_spread_lies_below_its_limit_in_four_of_five_runs(cells: int, patients: int) -> None:
    truth, generator = Spread(0.023, 0.067, 0.142), np.random.default_rng(1)
    found = [
        largest_spread(table)
        for table in simulate_differences(truth, cells, patients, trials=1000, generator=generator)
    ]
    assert 0.77 <= np.mean([spread.between_cells >= truth.between_cells for spread in found]) <= 0.9
    assert 0.77 <= np.mean([spread.between_patients >= truth.between_patients for spread in found]) <= 0.9


def test_three_cells_that_agree_by_luck_still_leave_room_for_a_spread() -> None:
    truth, generator = Spread(0.02, 0.05, 0.14), np.random.default_rng(1)
    tables = simulate_differences(truth, 3, 60, trials=300, generator=generator)
    lucky = [table for table in tables if estimate_spread(table).between_cells == 0]
    assert len(lucky) > 30
    assert np.mean([largest_spread(table).between_cells > 0 for table in lucky]) > 0.7


def test_the_standard_error_is_that_of_simulated_means() -> None:
    tables = simulate_differences(ASSUMED_SPREAD, 4, 15, trials=4000, generator=np.random.default_rng(0), effect=0.5)
    assert tables.mean() == pytest.approx(0.5, abs=0.002)
    assert tables.mean(axis=(1, 2)).std() == pytest.approx(ASSUMED_SPREAD.standard_error(4, 15), rel=0.04)


def test_the_smallest_effect_is_found_as_often_as_asked() -> None:
    effect = smallest_effect(ASSUMED_SPREAD, 8, 20, power=0.7)
    assert effect is not None
    assert chance_to_find(effect, ASSUMED_SPREAD, 8, 20, simulation=Simulation(seed=1)) == pytest.approx(0.7, abs=0.04)
    assert effect > 2.4 * ASSUMED_SPREAD.standard_error(8, 20)  # a normal interval, which nothing can beat


def test_the_pilots_spread_shows_a_gain_of_two_hundredths_in_eight_cells() -> None:
    pilot = Spread(between_cells=0.02, between_patients=0, residual=0)
    assert smallest_effect(pilot, 8, 200, simulation=QUICK) == pytest.approx(0.023, abs=0.002)
    assert smallest_effect(pilot, 31, 200, simulation=QUICK) == pytest.approx(0.010, abs=0.001)


def test_more_cells_and_more_patients_show_smaller_effects() -> None:
    found = [smallest_effect(ASSUMED_SPREAD, *size, simulation=QUICK) for size in ((3, 14), (8, 14), (8, 60))]
    assert None not in found
    assert found == sorted(found, key=lambda effect: -(effect or 0))


@pytest.mark.parametrize("size", [(2, 100), (8, 7)])
def test_a_trial_that_gives_no_verdict_finds_no_effect(size: tuple[int, int]) -> None:
    assert smallest_effect(ASSUMED_SPREAD, *size) is None
    assert chance_to_find(1.0, ASSUMED_SPREAD, *size) == 0


def test_the_cells_that_are_needed_find_the_effect_and_one_fewer_do_not() -> None:
    cells = cells_needed(0.04, ASSUMED_SPREAD, 60)
    assert cells is not None
    assert chance_to_find(0.04, ASSUMED_SPREAD, cells, 60, simulation=QUICK) >= 0.8
    assert chance_to_find(0.04, ASSUMED_SPREAD, cells - 1, 60, simulation=QUICK) < 0.8


def test_no_number_of_cells_makes_up_for_too_few_patients() -> None:
    assert cells_needed(0.01, ASSUMED_SPREAD, 14) is None


def test_blocks_leave_the_answer_about_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    whole = smallest_effect(ASSUMED_SPREAD, 3, 20)
    monkeypatch.setattr("nephrite.verdict.power.LARGEST_BLOCK", 50_000)
    assert smallest_effect(ASSUMED_SPREAD, 3, 20) == pytest.approx(whole, rel=0.05)


def test_a_plan_is_answered_in_three_seconds() -> None:
    start = time.process_time()
    smallest_effect(ASSUMED_SPREAD, 31, 200)
    assert time.process_time() - start < 3
