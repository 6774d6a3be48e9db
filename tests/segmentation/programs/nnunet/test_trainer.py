from __future__ import annotations

import pytest

from nephrite.segmentation.programs.nnunet.trainer import epochs_of


@pytest.mark.parametrize(
    ("steps", "iterations", "epochs"),
    [(1000, 20, 50), (600, 12, 50), (30, 1, 30), (1030, 20, 52), (250_000, 250, 1000)],
)
def test_epochs_hold_all_steps_and_the_rate_falls_in_fifty_of_them(steps: int, iterations: int, epochs: int) -> None:
    assert epochs_of(steps) == (iterations, epochs)
    assert (epochs - 1) * iterations < steps <= epochs * iterations
