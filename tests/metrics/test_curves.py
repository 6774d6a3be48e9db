from __future__ import annotations

import pytest

from nephrite.metrics.curves import best_epoch, kept_epoch, late_gain


def curve(*values: float) -> list[dict[str, float]]:
    return [{"validation_dice": value} for value in values]


def test_first_of_equal_epochs_is_the_best() -> None:
    assert best_epoch(curve(0.1, 0.4, 0.4)) == 1


@pytest.mark.parametrize(
    ("values", "gain"),
    [
        ((0.2, 0.5, 0.6, 0.7), 0.1),
        ((0.2, 0.7, 0.6, 0.6), 0.0),
        ((0.2, 0.3), 0.1),
        ((0.1, 0.2, 0.3, 0.4, 0.5, 0.55, 0.6, 0.58), 0.05),
        ((0.1, 0.2, 0.3, 0.4, 0.6), 0.3),
    ],
)
def test_gain_is_that_of_the_last_quarter_over_the_best_before(values: tuple[float, ...], gain: float) -> None:
    assert late_gain(curve(*values)) == pytest.approx(gain)


@pytest.mark.parametrize("values", [(), (0.5,)])
def test_a_single_epoch_shows_no_course(values: tuple[float, ...]) -> None:
    assert late_gain(curve(*values)) is None


def test_the_last_epoch_is_kept_or_the_best() -> None:
    assert kept_epoch(curve(0.4, 0.1), "last") == 1
    assert kept_epoch(curve(0.4, 0.1), "best") == 0
