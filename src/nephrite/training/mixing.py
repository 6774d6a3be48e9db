"""Mixing strategies: how many real, synthetic and pseudo-labeled slices a step takes, and how many hold foreground.

Every arm takes the same number of steps with the same number of slices each; what differs is where they come from. By
default as many of them hold foreground in every arm: else an arm with synthetic slices, most of which hold lesions,
would also differ in how often it sees any, and the difference between arms would not be that of the synthesis.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from jaxtyping import Bool, Float, Int64

from nephrite.config import MixingStrategy
from nephrite.seeds import derive_seed
from nephrite.training.data import EndlessShuffle, SteppedBatches, check_shares

SMALLEST = 1e-9  # of a slice; what floating point leaves of a whole one


class Extra(NamedTuple):
    """A group of slices beside the real ones.

    Attributes:
        holds: of each slice, whether it holds foreground.
        way: how they are used; see `config.Fakes`. 'append' makes them part of the real group.
        share: of each batch ('mix', 'schedule': at the start), or of the steps ('pretrain').
    """

    holds: Bool[np.ndarray, " slice"]
    way: MixingStrategy
    share: float


class Mixture(NamedTuple):
    """Groups of slices, and how many of each a step takes.

    Attributes:
        groups: places of each group's slices among all.
        counts: for every step of the whole training; each row sums to the batch size.
        foreground: share of the slices that are taken which hold foreground, over the whole training.
        target: the same of an arm of real slices alone.
    """

    groups: tuple[Int64[np.ndarray, " slice"], ...]
    counts: Int64[np.ndarray, "step group"]
    foreground: float
    target: float


class MixedBatches(SteppedBatches[int]):
    """Batches of several groups of slices, each group an endless shuffle of its own.

    How many slices of each group a step takes is given for every step, so that a share may change while training goes
    on, and any step can be repeated.

    Args:
        mixture: the groups, and how many slices of each a step takes.
        steps, rank, ranks, done: see `SteppedBatches`.
        seed: of the orders.
    """

    def __init__(
        self,
        mixture: Mixture,
        *,
        steps: int,
        seed: int,
        rank: int = 0,
        ranks: int = 1,
        done: int = 0,
    ) -> None:
        super().__init__(steps, rank=rank, ranks=ranks, done=done)
        counts = mixture.counts
        check_shares(int(counts[0].sum()), ranks)
        self.mixture, self.before = mixture, np.cumsum(counts, axis=0) - counts
        self.orders = [
            EndlessShuffle(len(group), seed if place == 0 else derive_seed(seed, place))
            for place, group in enumerate(mixture.groups)
        ]

    def batch(self, step: int) -> list[int]:
        """The whole batch of one step, counted from the start of the training."""
        chosen: list[int] = []
        for place, (group, order) in enumerate(zip(self.mixture.groups, self.orders, strict=True)):
            start, taken = int(self.before[step, place]), int(self.mixture.counts[step, place])
            chosen += [int(group[index]) for index in order.places(range(start, start + taken))]
        return chosen


def mix(
    real: Bool[np.ndarray, " slice"],
    extras: Sequence[Extra],
    *,
    steps: int,
    batch_size: int,
    oversampled: float | None = None,
) -> Mixture:
    """Decide for every step how many slices it takes of each group.

    Without oversampling, real slices are one group, drawn as they come. With it they are two, with foreground and
    without: of all slices that an arm takes, the share `oversampled` holds foreground, and of the others as many as of
    the real slices (nnU-Net takes a third). Slices of other groups are drawn as they come; real ones make up the
    difference. So the share is the same in every arm, but for two limits: of its real slices never fewer hold
    foreground than do by nature, and never more than all. The first is not met while groups of which every slice holds
    foreground have at most the share `oversampled`.

    A number of slices that is not whole is kept on average: the fraction is carried to the next step.

    Args:
        real: of each real slice with labels, whether it holds foreground.
        extras: other groups; in the order of all slices they follow the real ones.
        steps: of the whole training.
        batch_size: slices per step.
        oversampled: share of the slices that must hold foreground; None = as they come.
    """
    # slices that are appended join the real ones
    ends = np.cumsum([len(real), *(len(extra.holds) for extra in extras)])
    parts = np.split(np.arange(ends[-1]), ends[:-1])
    holds = np.concatenate([real, *(extra.holds for extra in extras)])
    base = np.concatenate([parts[0], *(part for part, extra in _with(parts, extras) if extra.way == "append")])
    mixed = [(part, extra) for part, extra in _with(parts, extras) if extra.way != "append"]
    # how many slices of the others a step takes, and how many of them hold foreground
    taken = _taken([extra for _, extra in mixed], steps, batch_size)
    left, others = batch_size - taken.sum(axis=0), [part for part, _ in mixed]
    held = sum((extra.holds.mean() * row for (_, extra), row in zip(mixed, taken, strict=True)), np.zeros(steps))
    if not len(real):  # of 'trial.without_labels': nothing to make up a difference with
        shown = float(held.sum() / (steps * batch_size))
        return Mixture((base, *others), np.vstack([left, taken]).T, shown, shown)
    natural = float(real.mean())
    if oversampled is None:
        shown = float(np.sum(held + holds[base].mean() * left) / (steps * batch_size))
        return Mixture((base, *others), np.vstack([left, taken]).T, shown, natural)
    # real slices make up the difference
    target = oversampled + (1 - oversampled) * natural if real.any() else 0.0
    wanted = np.clip(target * batch_size - held, natural * left, left)
    inside = left if holds[base].all() else _carried(wanted) * int(holds[base].any())
    shown = float(np.sum(held + inside) / (steps * batch_size))
    groups = (base[holds[base]], base[~holds[base]], *others)
    return Mixture(groups, np.vstack([inside, left - inside, taken]).T, shown, target)


def _with(
    parts: Sequence[Int64[np.ndarray, " slice"]], extras: Sequence[Extra]
) -> list[tuple[Int64[np.ndarray, " slice"], Extra]]:
    return list(zip(parts[1:], extras, strict=True))


def _taken(extras: Sequence[Extra], steps: int, batch_size: int) -> Int64[np.ndarray, "group step"]:
    """Slices that each group gives; groups that together want more than the batch: the later one gives way."""
    taken = np.zeros((len(extras), steps), np.int64)
    for place, extra in enumerate(extras):
        wanted = _carried(_shares(extra, steps) * batch_size)
        taken[place] = np.minimum(wanted, batch_size - taken[:place].sum(axis=0))
    return taken


def _carried(wanted: Float[np.ndarray, " step"]) -> Int64[np.ndarray, " step"]:
    """Whole numbers that add up to the same; what is left of a step is carried to the next."""
    whole = np.floor(np.cumsum(wanted) + SMALLEST).astype(np.int64)
    return np.diff(whole, prepend=0)


def _shares(extra: Extra, steps: int) -> Float[np.ndarray, " step"]:
    """Share of the batch at every step."""
    if extra.way == "pretrain":
        return (np.arange(steps) < round(extra.share * steps)).astype(np.float64)
    if extra.way == "schedule":
        return extra.share * np.linspace(1, 0, steps)
    return np.full(steps, extra.share)
