"""Rotation, scale and shift of a batch: draw the parameters, then apply a pure function. No flip, since a liver has a
side (the 2021 capstone's augmentation: +-45 degrees, +-15 %, +-10 %).

b  batch    h, w  height and width in pixels
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from jaxtyping import Float, Integer
from torch import Tensor
from torch.nn import functional


@dataclass(frozen=True)
class GeometricParameters:
    """What is done to each slice of a batch; the same parameters give the same batch again.

    Attributes:
        angle: radians, clockwise as the slice is seen with row 0 on top.
        scale: magnification; above 1 the body grows.
        shift: share of the side, down and to the right.
    """

    angle: Float[Tensor, " b"]
    scale: Float[Tensor, " b"]
    shift: Float[Tensor, "b 2"]


def draw(
    batch_size: int, *, rotation: float, scale: float, shift: float, generator: torch.Generator
) -> GeometricParameters:
    """Parameters for `batch_size` slices, each uniform in its range.

    Args:
        batch_size: number of slices.
        rotation: degrees, plus or minus.
        scale: share, plus or minus.
        shift: share of the side, plus or minus, for rows and columns alike.
        generator: for all random draws.
    """
    uniform = torch.rand(batch_size, 4, generator=generator) * 2 - 1
    return GeometricParameters(
        angle=torch.deg2rad(uniform[:, 0] * rotation),
        scale=1 + uniform[:, 1] * scale,
        shift=uniform[:, 2:] * shift,
    )


def apply(
    parameters: GeometricParameters, image: Float[Tensor, "b 1 h w"], label: Integer[Tensor, "b h w"]
) -> tuple[Float[Tensor, "b 1 h w"], Integer[Tensor, "b h w"]]:
    """Rotate, scale and shift slices and label maps alike, about the center of the slice.

    Images in [0, 1] are interpolated linearly and label maps by nearest neighbor. What comes from outside is 0: the
    lower end of the window in the image, background in the label map.
    """
    height, width = image.shape[-2:]
    matrix = output_to_input(parameters, height, width).to(image.device)
    grid = functional.affine_grid(matrix, list(image.shape), align_corners=False)
    moved_image = functional.grid_sample(image.float(), grid, mode="bilinear", align_corners=False)
    moved_label = functional.grid_sample(label[:, None].float(), grid, mode="nearest", align_corners=False)
    return moved_image.to(image.dtype), moved_label[:, 0].to(label.dtype)


def output_to_input(parameters: GeometricParameters, height: int, width: int) -> Float[Tensor, "b 2 3"]:
    """For each slice the matrix from output to input places, in affine_grid's units: x, then y, each from -1 to 1.

    The inverse of shift after scale after rotation: p -> R(-angle) (p - shift) / scale. A side is 2 units long
    whatever its pixels, hence the aspect ratio beside the sines.
    """
    cosine = torch.cos(parameters.angle) / parameters.scale
    sine = torch.sin(parameters.angle) / parameters.scale
    aspect = height / width
    linear = torch.stack([cosine, sine * aspect, -sine / aspect, cosine], dim=1).view(-1, 2, 2)
    right_and_down = 2 * parameters.shift.flip(1)
    offset = -(linear @ right_and_down[:, :, None])
    return torch.cat([linear, offset], dim=2)
