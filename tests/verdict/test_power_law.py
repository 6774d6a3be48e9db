"""The exponent of a learning curve, and the axis on which the curve is straight."""

from __future__ import annotations

import numpy as np
import pytest

from nephrite.verdict.power_law import LEAST, MOST, between, exponent_of, slopes_of_exponent, straightened

COUNTS = [5, 10, 20, 40]


def scores(exponent: float) -> list[float]:
    return [0.8 - 2 * count**-exponent for count in COUNTS]


@pytest.mark.parametrize("exponent", [0.2, 0.7, 1.5])
def test_the_exponent_of_a_power_law_is_found(exponent: float) -> None:
    assert exponent_of(COUNTS, scores(exponent)) == pytest.approx(exponent, rel=1e-3)
    assert exponent_of(COUNTS[:3], scores(exponent)[:3]) == pytest.approx(exponent, rel=1e-3)


def test_a_straight_line_and_a_single_step_have_the_ends_as_exponents() -> None:
    assert exponent_of(COUNTS, [0.1, 0.2, 0.3, 0.4]) == pytest.approx(LEAST, rel=1e-2)
    assert exponent_of(COUNTS, [0.1, 0.9, 0.9, 0.9]) == pytest.approx(MOST, rel=1e-2)


@pytest.mark.parametrize("means", [[0.5, 0.5, 0.5], [0.5, 0.4, 0.3]])
def test_points_that_do_not_rise_have_some_exponent(means: list[float]) -> None:
    assert LEAST <= exponent_of(COUNTS[:3], means) <= MOST


def test_slopes_say_how_the_exponent_follows_the_scores() -> None:
    means, moved = np.array(scores(0.7)), np.array([2e-4, -1e-4, 3e-4, 1e-4])
    told = float(slopes_of_exponent(COUNTS, means) @ moved)
    assert exponent_of(COUNTS, means + moved) - exponent_of(COUNTS, means) == pytest.approx(told, rel=0.05)
    assert abs(told) > 1e-3


@pytest.mark.parametrize("exponent", [0.05, 0.7, 3.0])
def test_a_power_law_is_a_straight_line_on_its_axis(exponent: float) -> None:
    places = straightened(np.array(COUNTS, dtype=float), exponent)
    slopes = np.diff(scores(exponent)) / np.diff(places)
    assert slopes == pytest.approx(np.full(3, slopes[0]))


def test_the_axis_of_a_small_exponent_is_nearly_a_logarithm() -> None:
    known = np.array(COUNTS, dtype=float)
    assert straightened(known, 0) == pytest.approx(np.log(known))
    assert straightened(known, 1e-9) == pytest.approx(np.log(known))


def test_between_measured_numbers_the_curve_is_the_law_and_straight_without_an_exponent() -> None:
    tables, grid = [np.full((2, 3), score) for score in scores(0.7)], np.array([5.0, 7.0, 25.0, 40.0])
    found = between(COUNTS, tables, grid, 0.7)
    assert found.shape == (4, 2, 3)
    assert found.mean(axis=(1, 2)) == pytest.approx(0.8 - 2 * grid**-0.7)
    straight = between(COUNTS, tables, np.array([np.sqrt(50.0)]), None)
    assert straight.mean() == pytest.approx(np.mean(scores(0.7)[:2]))


def test_a_table_of_the_curve_holds_what_each_cell_moves_the_exponent_by() -> None:
    tables, step, grid = [np.full((2, 3), score) for score in scores(0.7)], 1e-4, np.array([7.0])
    tables[1] = tables[1] + step * np.array([[1.0], [-1.0]])
    found = between(COUNTS, tables, grid, 0.7)[0].mean(axis=1)
    # the curve of cell 0 alone, its exponent found anew
    alone = [float(table[0].mean()) for table in tables]
    own = between(COUNTS, [table[:1] for table in tables], grid, exponent_of(COUNTS, alone))[0].mean()
    assert found[0] - found.mean() == pytest.approx(own - found.mean(), rel=0.05)
