"""Differentiable augmentation of what a discriminator sees: Zhao, Liu, Lin, Zhu, Han, "Differentiable Augmentation for
Data-Efficient GAN Training", NeurIPS 2020. Draw the parameters, then apply a pure function.

Real and painted slices are changed alike, also while the generator learns, so that it does not learn to paint augmented
slices. Here the condition moves with the slice: the discriminator judges both together.

b  batch    k  channels of the condition    h, w  height and width in pixels
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float, Integer
from torch import Tensor

TRANSLATION = 1 / 8  # share of the side, as in the paper (section 4)
CUTOUT = 1 / 2  # side of the square, as share of the slice's side
BRIGHTNESS, CONTRAST = 0.5, 0.5  # plus or minus, of intensities in [0, 1]: the authors' for images in [-1, 1], halved


@dataclass(frozen=True)
class Changes:
    """What is done to each slice; the same changes give the same batch again.

    Attributes:
        shift: share of the side, down and to the right.
        hole: center of the square that is cut out, as share of the side; NaN cuts nothing.
        brightness: added.
        contrast: factor of the distance to the slice's mean.
    """

    shift: Float[Tensor, "b 2"]
    hole: Float[Tensor, "b 2"]
    brightness: Float[Tensor, " b"]
    contrast: Float[Tensor, " b"]


def draw(batch_size: int, names: Collection[str], *, generator: torch.Generator) -> Changes:
    """Changes for `batch_size` slices, each uniform in its range.

    Args:
        batch_size: number of slices.
        names: of 'translation', 'cutout' and 'intensity'; what is not named changes nothing.
        generator: the only source of randomness.
    """
    uniform = torch.rand(batch_size, 6, generator=generator)
    centered = uniform * 2 - 1
    moved, cut, changed = (name in names for name in ("translation", "cutout", "intensity"))
    return Changes(
        shift=centered[:, :2] * TRANSLATION * moved,
        hole=uniform[:, 2:4] if cut else torch.full((batch_size, 2), torch.nan),
        brightness=centered[:, 4] * BRIGHTNESS / 2 * changed,
        contrast=1 + centered[:, 5] * CONTRAST * changed,
    )


def apply(
    changes: Changes, image: Float[Tensor, "b 1 h w"], condition: Float[Tensor, "b k h w"]
) -> tuple[Float[Tensor, "b 1 h w"], Float[Tensor, "b k h w"]]:
    """Change slices and conditions alike; the gradient passes. What comes from outside and what is cut out is 0."""
    brightness, contrast = (x.to(image.device)[:, None, None, None] for x in (changes.brightness, changes.contrast))
    mean = image.mean(dim=(1, 2, 3), keepdim=True)
    both = torch.cat([(image - mean) * contrast + mean + brightness, condition], dim=1)
    both = _shift(both, changes.shift) * ~_holes(changes.hole, both)
    return both[:, :1], both[:, 1:]


def _shift(planes: Float[Tensor, "b k h w"], shift: Float[Tensor, "b 2"]) -> Float[Tensor, "b k h w"]:
    """Shift by whole pixels, so that a one-hot condition stays one-hot."""
    # source rows and columns of every pixel, per slice
    side = torch.tensor(planes.shape[-2:])
    rows, columns = (
        torch.arange(length, device=planes.device) - move.to(planes.device)[:, None]
        for length, move in zip(planes.shape[-2:], (shift * side).round().long().T, strict=True)
    )
    # zeros move in from outside
    inside = _within(rows, planes.shape[-2])[:, None, :, None] & _within(columns, planes.shape[-1])[:, None, None, :]
    batch = torch.arange(len(planes), device=planes.device)[:, None, None]
    rows, columns = rows.clamp(0, planes.shape[-2] - 1), columns.clamp(0, planes.shape[-1] - 1)
    moved: Tensor = planes.permute(0, 2, 3, 1)[batch, rows[:, :, None], columns[:, None, :]].permute(0, 3, 1, 2)
    result: Tensor = moved * inside
    return result


def _within(places: Integer[Tensor, "b n"], length: int) -> Bool[Tensor, "b n"]:
    return (places >= 0) & (places < length)


def _holes(center: Float[Tensor, "b 2"], planes: Float[Tensor, "b k h w"]) -> Bool[Tensor, "b 1 h w"]:
    near = [
        ((torch.arange(length, device=planes.device) + 0.5) / length - place.to(planes.device)[:, None]).abs()
        < CUTOUT / 2
        for length, place in zip(planes.shape[-2:], center.T, strict=True)
    ]
    holes: Tensor = near[0][:, None, :, None] & near[1][:, None, None, :]
    return holes
