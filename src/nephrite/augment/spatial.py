"""Rotation, scale, shift and mirroring of a batch as nnU-Net has them: draw the parameters, then apply a function.

Isensee, Jaeger, Kohl, Petersen, Maier-Hein, "nnU-Net", Nature Methods 2021, supplementary note 4: each change comes to
some slices only, and a slice that gets none keeps its pixels. Two things differ, since slices are not larger than what
is learned from: nnU-Net cuts its patch from a turned larger one, and here what comes from outside is 0; and a shift can
be asked for, where whole slices are learned from.

b  batch    h, w  height and width in pixels
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float, Integer
from torch import Tensor

from nephrite.augment import geometric
from nephrite.augment.geometric import GeometricParameters
from nephrite.augment.parameters import take_places

AXES = (-2, -1)


@dataclass(frozen=True)
class SpatialRanges:
    """How often each change comes and how far it goes; the defaults are nnU-Net's.

    Attributes:
        rotation_probability: that a slice is turned.
        rotation: degrees, plus or minus.
        scale_probability: that a slice is scaled.
        scale: magnification, below 1 as often as above.
        shift: share of the side, plus or minus, for rows and columns alike; each slice gets one.
        mirroring: whether rows are mirrored in half of the slices, and columns in half of them.
    """

    rotation_probability: float = 0.2
    rotation: float = 180.0
    scale_probability: float = 0.2
    scale: tuple[float, float] = (0.7, 1.4)
    shift: float = 0.0
    mirroring: bool = True


@dataclass(frozen=True)
class SpatialParameters:
    """What is done to each slice of a batch.

    Attributes:
        affine: rotation, scale and shift; angle 0, scale 1 and shift 0 where none comes.
        mirrored: whether rows, and whether columns, are mirrored; before the rest.
    """

    affine: GeometricParameters
    mirrored: Bool[Tensor, "b 2"]


def draw(batch_size: int, *, ranges: SpatialRanges, generator: torch.Generator) -> SpatialParameters:
    """Parameters for `batch_size` slices."""
    # every random number is drawn, used or not: the stream stays the same for all slices
    chance, at = torch.rand(2, batch_size, 2, generator=generator)
    shift, side = torch.rand(2, batch_size, 2, generator=generator)
    angle = torch.deg2rad((2 * at[:, 0] - 1) * ranges.rotation)
    affine = GeometricParameters(
        angle=torch.where(chance[:, 0] < ranges.rotation_probability, angle, 0.0),
        scale=torch.where(chance[:, 1] < ranges.scale_probability, around_one(at[:, 1], ranges.scale), 1.0),
        shift=(2 * shift - 1) * ranges.shift,
    )
    return SpatialParameters(affine, (side < 0.5) & ranges.mirroring)


def apply(
    parameters: SpatialParameters, image: Float[Tensor, "b 1 h w"], label: Integer[Tensor, "b h w"]
) -> tuple[Float[Tensor, "b 1 h w"], Integer[Tensor, "b h w"]]:
    """Mirror, then rotate, scale and shift slices and label maps alike; see `geometric.apply`."""
    # mirrored as a whole: exact
    for axis, chosen in zip(AXES, parameters.mirrored.to(image.device).T, strict=True):
        image = torch.where(chosen[:, None, None, None], image.flip(axis), image)
        label = torch.where(chosen[:, None, None], label.flip(axis), label)
    # interpolate only what is moved
    affine = parameters.affine
    moved = (affine.angle != 0) | (affine.scale != 1) | (affine.shift != 0).any(1)
    places = moved.nonzero()[:, 0]
    if not len(places):
        return image, label
    here = places.to(image.device)
    turned_image, turned_label = geometric.apply(take_places(affine, places), image[here], label[here])
    return image.index_copy(0, here, turned_image), label.index_copy(0, here, turned_label)


def around_one(uniform: Float[Tensor, " b"], limits: tuple[float, float]) -> Float[Tensor, " b"]:
    """Factors as nnU-Net draws them: half of them below 1 and half above, however long each side of the range is.

    Args:
        uniform: from 0 to 1.
        limits: lowest and highest factor; a range that does not reach 1 is extended to it.
    """
    below, above = min(limits[0], 1.0), max(limits[1], 1.0)
    return torch.where(uniform < 0.5, below + (1 - below) * 2 * uniform, 1 + (above - 1) * (2 * uniform - 1))
