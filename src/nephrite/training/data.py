"""Batches of slices. The slices of a batch are a function of seed and step, so any step can be repeated.

Read whole batches, straight from the memory-mapped stores; the intensity window is applied while reading.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Generic, NamedTuple, Protocol, TypeVar

import numpy as np
import torch
from jaxtyping import Bool, Float, Float32, Integer, UInt8
from torch import Tensor
from torch.utils.data import DataLoader, Dataset, Sampler

from nephrite.errors import ConfigError
from nephrite.store.slices import SliceRef

B = TypeVar("B")  # a batch
T = TypeVar("T")  # what a loader is asked for: the place of a slice, or a window that is cut from one


class Batch(NamedTuple):
    """Some slices.

    Attributes:
        image: windowed to [0, 1].
        label: label values.
        patient: for each slice, the place of its patient in `Pairs.patients`.
    """

    image: Float[Tensor, "batch 1 height width"]
    label: UInt8[Tensor, "batch height width"]
    patient: Integer[Tensor, " batch"]


class Item(NamedTuple):
    """One slice of a batch, as in `Batch`."""

    image: Float32[np.ndarray, "height width"]
    label: UInt8[np.ndarray, "height width"]
    patient: int


class SliceSource(Protocol):
    """What slices are read from: a pair store, or one whose labels are replaced."""

    def windowed(self, ref: SliceRef, /) -> Float32[np.ndarray, "height width"]:
        """One slice in [0, 1]."""

    def label(self, patient: str, /) -> UInt8[np.ndarray, "slice height width"]:
        """All label maps of a patient."""


class Pairs(Dataset[Batch]):
    """Slices of one or several stores, one after the other; an item is a whole batch.

    Args:
        parts: stores and the slices that are taken from each.
    """

    def __init__(self, *parts: tuple[SliceSource, Sequence[SliceRef]]) -> None:
        self._slices = [(store, ref) for store, refs in parts for ref in refs]
        self.patients = list(dict.fromkeys(ref.patient for _, ref in self._slices))
        self._places = {patient: place for place, patient in enumerate(self.patients)}

    def __len__(self) -> int:
        """Number of slices."""
        return len(self._slices)

    def __getitem__(self, indices: Sequence[int]) -> Batch:
        """Read the slices at `indices` as one batch."""
        return to_batch([self.read(index) for index in indices])

    def read(self, index: int) -> Item:
        """One slice."""
        store, ref = self._slices[index]
        return Item(store.windowed(ref), store.label(ref.patient)[ref.position], self._places[ref.patient])


def to_batch(items: Sequence[Item]) -> Batch:
    """Slices of one size as a batch."""
    images, labels, places = zip(*items, strict=True)
    image = torch.from_numpy(np.stack(images))[:, None]
    return Batch(image, torch.from_numpy(np.stack(labels)), torch.tensor(places))


class EndlessShuffle:
    """Passes without replacement over some slices, one after the other, each in a new order.

    Args:
        slices: how many there are.
        seed: of the orders.
    """

    def __init__(self, slices: int, seed: int) -> None:
        self.slices, self.seed = slices, seed

    def places(self, places: range) -> list[int]:
        """The slices at some places of the shuffle."""
        orders = {number: self._order(number) for number in {place // self.slices for place in places}}
        return [int(orders[place // self.slices][place % self.slices]) for place in places]

    def _order(self, number: int) -> np.ndarray:
        return np.random.default_rng([self.seed, number]).permutation(self.slices)


class SteppedBatches(Sampler[list[T]], ABC, Generic[T]):
    """Batches that are a function of the step; processes share each of them, and a resumed training skips steps.

    Args:
        steps: batches per epoch.
        rank, ranks: this process takes every `ranks`-th slice of each batch, from `rank` on.
        done: steps that a resumed training has taken already; its first epoch goes on behind them.
    """

    def __init__(self, steps: int, *, rank: int = 0, ranks: int = 1, done: int = 0) -> None:
        self.steps, self.rank, self.ranks, self.epoch, self.done = steps, rank, ranks, 0, done

    def set_epoch(self, epoch: int) -> None:
        """Go to the start of an epoch; Lightning calls it."""
        self.epoch = epoch

    def __iter__(self) -> Iterator[list[T]]:
        """This rank's share of each batch of the epoch."""
        first = self.epoch * self.steps
        for step in range(max(first, self.done), first + self.steps):
            yield self.batch(step)[self.rank :: self.ranks]

    def __len__(self) -> int:
        """Batches per epoch."""
        return self.steps

    @abstractmethod
    def batch(self, step: int) -> list[T]:
        """The whole batch of one step, counted from the start of the training."""


class ShuffledBatches(SteppedBatches[int]):
    """Batches of an endless shuffle.

    An epoch is `steps` batches whatever the number of slices; a batch may span two passes.

    Args:
        slices: number of slices to choose from.
        batch_size: of all ranks together.
        steps, rank, ranks, done: see `SteppedBatches`.
        seed: of the order.

    Raises:
        ConfigError: the batch cannot be shared evenly, which would weigh slices unequally.
    """

    def __init__(
        self, slices: int, *, batch_size: int, steps: int, seed: int, rank: int = 0, ranks: int = 1, done: int = 0
    ) -> None:
        super().__init__(steps, rank=rank, ranks=ranks, done=done)
        check_shares(batch_size, ranks)
        self.batch_size, self.order = batch_size, EndlessShuffle(slices, seed)

    def batch(self, step: int) -> list[int]:
        """The whole batch of one step, counted from the start of the training."""
        return self.order.places(range(step * self.batch_size, (step + 1) * self.batch_size))


class OrderedBatches(SteppedBatches[int]):
    """All slices once, in their order, in batches of equal size: `batch_size` slices or somewhat more; so each epoch.

    Every rank gets the same number of batches, since batch normalization synchronizes the ranks at each batch.

    Args:
        slices: how many there are.
        batch_size: of all ranks together.
        rank, ranks: see `SteppedBatches`.
    """

    def __init__(self, slices: int, *, batch_size: int, rank: int = 0, ranks: int = 1) -> None:
        self.batches = np.array_split(np.arange(slices), max(slices // batch_size, 1))
        super().__init__(len(self.batches), rank=rank, ranks=ranks)

    def batch(self, step: int) -> list[int]:
        """The whole batch of one step; the first one of an epoch holds the first slices."""
        whole: list[int] = self.batches[step % self.steps].tolist()
        return whole


def check_shares(batch_size: int, ranks: int) -> None:
    """Refuse a batch that cannot be shared evenly, which would weigh slices unequally.

    Raises:
        ConfigError: names both numbers.
    """
    if batch_size % ranks:
        finding = f"{batch_size} slices cannot be shared evenly by {ranks} devices"
        raise ConfigError("batch_size", finding, f"take a multiple of {ranks}")


def batch_loader(pairs: Dataset[B], batches: SteppedBatches[Any], *, workers: int = 0) -> DataLoader[B]:
    """A loader that reads each batch by one call.

    With `batch_size=None` torch hands what the sampler yields to the data set as it is: here a whole batch.
    """
    return DataLoader(
        pairs,
        batch_size=None,
        sampler=batches,
        num_workers=workers,
        persistent_workers=workers > 0,
        collate_fn=_as_it_is,
        pin_memory=torch.cuda.is_available(),
    )


def channel_masks(
    label: UInt8[Tensor, "batch ..."], channels: Mapping[str, Sequence[int]]
) -> Bool[Tensor, "batch channel ..."]:
    """What a segmenter should find: one mask per output channel, where the label is one of the channel's values."""
    return torch.stack([value_mask(label, values) for values in channels.values()], dim=1)


def value_mask(label: UInt8[Tensor, "..."], values: Sequence[int]) -> Bool[Tensor, "..."]:
    """Where the label is one of `values`."""
    return torch.stack([label == value for value in values]).any(dim=0)


def _as_it_is(batch: Any) -> Any:
    return batch
