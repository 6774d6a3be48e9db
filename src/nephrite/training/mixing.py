"""Mixing strategies: how many real, synthetic and pseudo-labeled slices a step takes.

Every arm takes the same number of steps with the same number of slices each; what differs is where they come from.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from jaxtyping import Float, Int64

from nephrite.config import MixingStrategy


class Extra(NamedTuple):
    """A group of slices beside the real ones.

    Attributes:
        slices: how many there are.
        way: how they are used; see `config.Fakes`. 'append' makes them part of the real group.
        share: of each batch ('mix', 'schedule': at the start), or of the steps ('pretrain').
    """

    slices: int
    way: MixingStrategy
    share: float


def group_sizes(real: int, extras: Sequence[Extra]) -> list[int]:
    """Slices of each group, in the order of `Pairs`: real slices with what is appended to them, then the others."""
    appended = sum(extra.slices for extra in extras if extra.way == "append")
    return [real + appended, *(extra.slices for extra in extras if extra.way != "append")]


def group_counts(extras: Sequence[Extra], *, steps: int, batch_size: int) -> Int64[np.ndarray, "step group"]:
    """For every step, how many slices each group gives; each row sums to the batch size.

    A share that is no whole number of slices is kept on average: the fraction is carried to the next step.
    """
    shares = [_shares(extra, steps) for extra in extras if extra.way != "append"]
    wanted = np.cumsum(np.array(shares, dtype=np.float64).reshape(len(shares), steps) * batch_size, axis=1)
    whole = np.floor(wanted + 1e-9).astype(np.int64)
    taken = np.diff(whole, axis=1, prepend=0)
    for place in range(1, len(taken)):  # groups that together want more than the batch: the later one gives way
        taken[place] = np.minimum(taken[place], batch_size - taken[:place].sum(axis=0))
    return np.vstack([batch_size - taken.sum(axis=0), taken]).T


def _shares(extra: Extra, steps: int) -> Float[np.ndarray, " step"]:
    """Share of the batch at every step."""
    if extra.way == "pretrain":
        return (np.arange(steps) < round(extra.share * steps)).astype(np.float64)
    if extra.way == "schedule":
        return extra.share * np.linspace(1, 0, steps)
    return np.full(steps, extra.share)
