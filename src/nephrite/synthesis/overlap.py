"""Novelty of a new mask: its overlap with the nearest training mask.

b  new masks    n  training masks    c  classes    p  pixels of the coarse grid
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import torch
from jaxtyping import Float, Integer, UInt8
from torch import Tensor
from torch.nn import functional

COARSE = 48  # pixels per side: enough to tell masks apart, few enough for products of thousands of slices
CHUNK = 1024


class Overlap(NamedTuple):
    """The nearest training mask of each new one.

    Attributes:
        dice: 1 for a copy; the mean over the classes that either of the two masks holds.
        nearest: place among the training masks.
    """

    dice: Float[Tensor, " b"]
    nearest: Integer[Tensor, " b"]


def coarse_masks(label: UInt8[Tensor, "b h w"], classes: Sequence[int]) -> Float[Tensor, "c b p"]:
    """What share of each pixel of a coarse grid a class covers; compute those of the training masks once."""
    grid = (min(COARSE, label.shape[1]), min(COARSE, label.shape[2]))
    parts = [functional.adaptive_avg_pool2d((label == value).float()[:, None], grid).flatten(1) for value in classes]
    return torch.stack(parts)


def mask_overlap(new: Float[Tensor, "c b p"], training: Float[Tensor, "c n p"]) -> Overlap:
    """Dice of each new mask with the training mask that it is most like; both from `coarse_masks`.

    Pixel by pixel, as the masks lie: a moved copy of a training mask is a new mask. Two empty masks are alike (1).
    """
    best, nearest = torch.full(new.shape[1:2], -1.0, device=new.device), new.new_zeros(new.shape[1], dtype=torch.long)
    for start in range(0, training.shape[1], CHUNK):
        found = _dice(new, training[:, start : start + CHUNK]).max(dim=1)
        nearest = torch.where(found.values > best, found.indices + start, nearest)
        best = torch.maximum(best, found.values)
    return Overlap(best.clamp(0, 1), nearest)


def _dice(new: Float[Tensor, "c b p"], training: Float[Tensor, "c n p"]) -> Float[Tensor, "b n"]:
    both = new @ training.mT
    size = (new**2).sum(2)[:, :, None] + (training**2).sum(2)[:, None, :]
    present = size > 0
    dice = torch.where(present, 2 * both / size.clamp(min=1e-9), 0).sum(0)
    count = present.sum(0)
    return torch.where(count > 0, dice / count.clamp(min=1), 1.0)
