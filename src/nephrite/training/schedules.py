"""Schedules of the learning rate that follow from the step alone, so that a resumed training needs no state."""

from __future__ import annotations

POWER = 0.9  # nnU-Net's


def polynomial_factor(step: int, steps: int) -> float:
    """Factor of the learning rate at a step, from 1 at the first to nearly 0 at the last.

    Polynomial decay (Isensee et al. 2021, nnU-Net, methods), which has it by the epoch; here by the step, since a
    training may have few epochs.

    Args:
        step: number of steps that were taken already.
        steps: of the whole training.
    """
    return float((1 - step / steps) ** POWER)
