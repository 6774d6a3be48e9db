"""Random windows of slices to learn from: draw by seed and step, then cut while reading.

So a lesion that lies in the middle of every slice does not lie in the middle of what is learned from, and a network
that learns from windows predicts slices of any size. Some windows must hold foreground, as some patches of nnU-Net
(Isensee et al. 2021, methods); unlike there, they hold it anywhere, and not in their middle.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from jaxtyping import UInt8
from torch.utils.data import Dataset

from nephrite.config import IGNORED
from nephrite.training.data import Batch, Item, Pairs, SteppedBatches, to_batch


class Cut(NamedTuple):
    """A window of a slice, as it was drawn.

    Attributes:
        place: of the slice.
        forced: whether the window must hold foreground, if the slice holds some.
        kind, pixel: from 0 to 1: choose the class and its pixel that a forced window holds.
        row, column: from 0 to 1: choose the window's corner among those that are possible.
    """

    place: int
    forced: bool
    kind: float
    pixel: float
    row: float
    column: float


class WindowBatches(SteppedBatches[Cut]):
    """Batches of windows: slices as other batches choose them, and draws that follow from seed and step.

    Args:
        slices: choose the slices.
        forced: probability that a window must hold foreground.
        seed: of the draws.
    """

    def __init__(self, slices: SteppedBatches[int], *, forced: float, seed: int) -> None:
        super().__init__(slices.steps, rank=slices.rank, ranks=slices.ranks, done=slices.done)
        self.slices, self.forced, self.seed = slices, forced, seed

    def batch(self, step: int) -> list[Cut]:
        """The whole batch of one step, counted from the start of the training."""
        places = self.slices.batch(step)
        draws = np.random.default_rng([self.seed, step]).random((len(places), 5))
        return [
            Cut(place, bool(chance < self.forced), *map(float, rest))
            for place, (chance, *rest) in zip(places, draws, strict=True)
        ]


class Windows(Dataset[Batch]):
    """Windows of the slices of some pairs; an item is a whole batch.

    Args:
        pairs: the slices; none is smaller than a window.
        size: pixels per side of a window.
    """

    def __init__(self, pairs: Pairs, size: int) -> None:
        self.pairs, self.size = pairs, size

    def __getitem__(self, cuts: Sequence[Cut]) -> Batch:
        """Read slices, and cut a window from each."""
        return to_batch([self._cut(self.pairs.read(cut.place), cut) for cut in cuts])

    def _cut(self, item: Item, cut: Cut) -> Item:
        row, column = corner(item.label, self.size, cut)
        window = slice(row, row + self.size), slice(column, column + self.size)
        return Item(item.image[window], item.label[window], item.patient)


def corner(label: UInt8[np.ndarray, "height width"], size: int, cut: Cut) -> tuple[int, int]:
    """Row and column of a window's first pixel.

    A forced window holds a pixel of a class of the slice, each class being as likely, and lies in any way about it that
    the slice has room for.
    """
    last = np.array(label.shape) - size
    low, high = np.zeros(2, np.int64), last
    if cut.forced and (kinds := [value for value in np.unique(label) if value not in (0, IGNORED)]):
        found = np.argwhere(label == kinds[int(cut.kind * len(kinds))])
        pixel = found[int(cut.pixel * len(found))]
        low, high = np.maximum(pixel - size + 1, 0), np.minimum(pixel, last)
    row, column = low + (np.array([cut.row, cut.column]) * (high - low + 1)).astype(np.int64)
    return int(row), int(column)
