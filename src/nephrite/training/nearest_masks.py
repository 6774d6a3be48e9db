"""The training mask nearest to a painted one."""

from __future__ import annotations

from collections.abc import Collection
from typing import NamedTuple

import numpy as np
import torch
from jaxtyping import UInt8

from nephrite.store.slices import PairStore, SliceRef
from nephrite.synthesis.overlap import coarse_masks, mask_overlap

AT_ONCE = 64
NOWHERE = SliceRef("", 0)


class Nearest(NamedTuple):
    """The nearest training mask of one slice, and their Dice, 1 for a copy."""

    dice: float
    slice: SliceRef


class TrainingMasks:
    """The masks of training patients that hold a class, and one empty mask if there is any.

    Args:
        store: of real slices.
        patients: whose labels are known.
    """

    def __init__(self, store: PairStore, patients: Collection[str]) -> None:
        self.classes = list(store.manifest.classes)
        some = store.slices_of(patients, labeled_only=True)
        held = set(some)
        self.slices = some + [ref for ref in store.slices_of(patients) if ref not in held][:1]
        if not self.slices:
            return
        parts = [
            coarse_masks(torch.from_numpy(store.labels_of(self.slices[start : start + AT_ONCE])), self.classes)
            for start in range(0, len(self.slices), AT_ONCE)
        ]
        self.masks = torch.cat(parts, dim=1)

    def nearest(self, label: UInt8[np.ndarray, "b h w"]) -> list[Nearest]:
        """The nearest training mask of each slice; `NOWHERE` where no label is known."""
        if not self.slices:
            return [Nearest(0.0, NOWHERE)] * len(label)
        found = mask_overlap(coarse_masks(torch.from_numpy(label), self.classes), self.masks)
        pairs = zip(found.dice.tolist(), found.nearest.tolist(), strict=True)
        return [Nearest(dice, self.slices[place]) for dice, place in pairs]
