"""What a training's learning curve says: which epoch is best, and whether the training was over.

A curve is a history: one row per epoch, with at least 'validation_dice'.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Literal

RISING = 0.01  # Dice: a gain of the last quarter above it is more than the spread between starts of a steady training


def best_epoch(history: Sequence[Mapping[str, float]]) -> int:
    """The first epoch with the best validation Dice."""
    return max(range(len(history)), key=lambda epoch: history[epoch]["validation_dice"])


def kept_epoch(history: Sequence[Mapping[str, float]], weights: Literal["last", "best"]) -> int:
    """The epoch whose weights are kept."""
    return len(history) - 1 if weights == "last" else best_epoch(history)


def late_gain(history: Sequence[Mapping[str, float]]) -> float | None:
    """By how much the last quarter of the epochs raised the best validation Dice; at least 0.

    Above `RISING` the training was too short: more steps would have made a better segmenter.

    Returns:
        None for fewer than two epochs, which show no course.
    """
    late = -(-len(history) // 4)
    early, last = history[:-late], history[-late:]
    if not early or not last:
        return None
    before, after = (max(row["validation_dice"] for row in part) for part in (early, last))
    return max(after - before, 0.0)
