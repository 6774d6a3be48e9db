"""Augmentation of patches by the draws of slices: what is drawn for one slice is done to a whole patch.

All slices of a patch are moved alike, within their planes: nnU-Net does so where slices are farther apart than pixels
('dummy 2-D data augmentation', Isensee et al. 2021, supplementary note 4), as they are in most CT. The slice axis is
mirrored as rows and columns are. Blur, coarser grid and smooth field change each plane alike; noise, brightness,
contrast and gamma take the statistics of the patch, so that slices do not drift apart.

b  batch    d, h, w  slices, height and width
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import torch
from jaxtyping import Bool, Float, Integer
from torch import Tensor

from nephrite.augment import geometric, spatial, standard
from nephrite.augment.geometric import GeometricParameters
from nephrite.augment.parameters import Parameters, take_places
from nephrite.augment.spatial import SpatialRanges
from nephrite.augment.standard import IntensityParameters, IntensityRanges, StandardParameters


@dataclass(frozen=True)
class PatchParameters:
    """What is done to each patch of a batch: the draws of a slice, and whether the order of its slices is turned."""

    drawn: StandardParameters
    turned: Bool[Tensor, " b"]


def draw_standard(
    batch_size: int, *, moves: SpatialRanges, ranges: IntensityRanges, generator: torch.Generator
) -> PatchParameters:
    """Parameters for `batch_size` patches."""
    drawn = standard.draw(batch_size, moves=moves, ranges=ranges, generator=generator)
    return PatchParameters(drawn, (torch.rand(batch_size, generator=generator) < 0.5) & moves.mirroring)


def apply_standard(
    parameters: PatchParameters, image: Float[Tensor, "b 1 d h w"], label: Integer[Tensor, "b d h w"]
) -> tuple[Float[Tensor, "b 1 d h w"], Integer[Tensor, "b d h w"]]:
    """Move patches and label maps alike, then change intensities; they stay in [0, 1]."""
    # mirror the slice axis, then move every plane alike
    turned = parameters.turned.to(image.device)
    image = torch.where(turned[:, None, None, None, None], image.flip(2), image)
    label = torch.where(turned[:, None, None, None], label.flip(1), label)
    planes, maps = spatial.apply(_each_plane(parameters.drawn.spatial, image), *_as_planes(image, label))
    # what looks at neighboring pixels is done plane by plane, what takes statistics is done to the patch
    within, over = _parted(parameters.drawn.intensity)
    planes = standard.apply_intensity(_each_plane(within, image), planes)
    sheets = planes.reshape(len(image), 1, -1, image.shape[-1])
    return standard.apply_intensity(over, sheets).view(image.shape), maps.view(label.shape)


def apply_geometric(
    parameters: GeometricParameters, image: Float[Tensor, "b 1 d h w"], label: Integer[Tensor, "b d h w"]
) -> tuple[Float[Tensor, "b 1 d h w"], Integer[Tensor, "b d h w"]]:
    """Rotate, scale and shift all planes of a patch alike."""
    planes, maps = geometric.apply(_each_plane(parameters, image), *_as_planes(image, label))
    return planes.view(image.shape), maps.view(label.shape)


def _parted(drawn: IntensityParameters) -> tuple[IntensityParameters, IntensityParameters]:
    """Changes of single planes, and changes of the patch; each leaves out the other's."""
    none, one = torch.zeros_like(drawn.noise), torch.ones_like(drawn.gamma)
    within = replace(drawn, noise=none, brightness=one, contrast=one, inverted_gamma=one, gamma=one)
    return within, replace(drawn, blur=none, bias=torch.zeros_like(drawn.bias), zoom=one)


def _each_plane(parameters: Parameters, image: Float[Tensor, "b 1 d h w"]) -> Parameters:
    """The parameters of each patch for each of its planes."""
    return take_places(parameters, torch.arange(len(image)).repeat_interleave(image.shape[2]))


def _as_planes(
    image: Float[Tensor, "b 1 d h w"], label: Integer[Tensor, "b d h w"]
) -> tuple[Float[Tensor, "plane 1 h w"], Integer[Tensor, "plane h w"]]:
    return image.flatten(0, 2)[:, None], label.flatten(0, 1)
