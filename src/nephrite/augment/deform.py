"""Affine and smooth invertible deformation of label map, tissue map and image together.

The smooth part is the flow of a stationary velocity field for one unit of time, by scaling and squaring: Arsigny,
Commowick, Pennec, Ayache, "A Log-Euclidean Framework for Statistics on Diffeomorphisms", MICCAI 2006, section 3. Being
a flow it folds nowhere: no structure is torn or turned inside out. The field is Gaussian-smoothed noise on a coarse
grid, given by a sum of Gaussians, so the same parameters deform a slice of any size alike.

b  batch    h, w  height and width in pixels    Places are affine_grid's: x, then y, each from -1 to 1 over a side.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, NamedTuple

import torch
from jaxtyping import Float, Integer
from torch import Tensor
from torch.nn import functional

from nephrite.augment import geometric
from nephrite.augment.geometric import GeometricParameters, output_to_input

Outside = Literal["zeros", "border", "reflection"]
SQUARINGS = 6  # 1/64 of the field as smallest step: well below the distance over which it changes
FINEST = 48  # points per side of the grid on which the flow is found
LARGEST = 2.5  # deviations at which noise is cut off, so that no slice is an outlier


@dataclass(frozen=True)
class DeformParameters:
    """What is done to each slice of a batch; the same parameters give the same maps again.

    Attributes:
        affine: rotation, scale and shift.
        velocity: weights of the Gaussians, rows then columns of a grid over the slice; x, then y.
    """

    affine: GeometricParameters
    velocity: Float[Tensor, "b 2 knot knot"]


class Deformed(NamedTuple):
    """Maps and image after the same deformation; what was not given is None."""

    label: Integer[Tensor, "b h w"]
    tissue: Integer[Tensor, "b h w"] | None
    image: Float[Tensor, "b 1 h w"] | None


def draw(
    batch_size: int,
    *,
    rotation: float,
    scale: float,
    shift: float,
    strength: float,
    knots: int,
    generator: torch.Generator,
) -> DeformParameters:
    """Parameters for `batch_size` slices, independent of each other.

    Args:
        batch_size: number of slices.
        rotation, scale, shift: of the affine part, as in `geometric.draw`.
        strength: deviation of the smooth displacement, as share of the side. 0.02 to 0.05 leaves anatomy plausible; up
            to 0.1 with 8 knots nothing folds between the pixels of a slice of 64 px.
        knots: of the field per side, at least 2; more make it change over shorter distances.
        generator: the only source of randomness.
    """
    affine = geometric.draw(batch_size, rotation=rotation, scale=scale, shift=shift, generator=generator)
    return DeformParameters(affine, draw_field(batch_size, strength=strength, knots=knots, generator=generator))


def draw_field(
    batch_size: int, *, strength: float, knots: int, generator: torch.Generator
) -> Float[Tensor, "b 2 knot knot"]:
    """The velocity alone, for a caller that has an affine part of its own; arguments as in `draw`."""
    return 2 * strength * _noise(batch_size, knots, generator)  # a side is 2 units long


def draw_run(
    slices: int,
    *,
    rotation: float,
    scale: float,
    shift: float,
    strength: float,
    knots: int,
    along: float,
    reach: float,
    generator: torch.Generator,
) -> DeformParameters:
    """Parameters for neighboring slices of one patient: one affine part, and a field that changes slowly along them.

    Args:
        slices: their number.
        rotation, scale, shift, strength, knots: as in `draw`.
        along: share of the field's variance that changes along the slices, from 0 to 1; 0 for slices that are not
            neighbors: the same field for all.
        reach: slices over which that part changes.
        generator: the only source of randomness.
    """
    affine = geometric.draw(1, rotation=rotation, scale=scale, shift=shift, generator=generator)
    shared = _noise(1, knots, generator)
    places = reach * torch.arange(-1.0, slices / reach + 2)
    changing = _noise(len(places), knots, generator).flatten(1)
    changing = (_gaussians(torch.arange(slices), places) @ changing).view(slices, 2, knots, knots)
    velocity = (1 - along) ** 0.5 * shared + along**0.5 * changing
    alike = GeometricParameters(
        affine.angle.expand(slices), affine.scale.expand(slices), affine.shift.expand(slices, -1)
    )
    return DeformParameters(alike, 2 * strength * velocity)


def apply(
    parameters: DeformParameters,
    label: Integer[Tensor, "b h w"],
    tissue: Integer[Tensor, "b h w"] | None = None,
    image: Float[Tensor, "b 1 h w"] | None = None,
    *,
    outside: Outside = "border",
) -> Deformed:
    """Deform what belongs together.

    Args:
        parameters: of as many slices as there are maps.
        label, tissue: maps; their values are kept.
        image: in [0, 1]; interpolated linearly.
        outside: what comes in from beyond the border: 0; the border's own value, as if a body that is cut off there
            went on; or the slice mirrored at its border, which would show parts of a body twice.
    """
    height, width = label.shape[-2:]
    grid = sampling_grid(parameters, height, width).to(label.device)
    moved_tissue = None if tissue is None else move_map(grid, tissue, outside=outside)
    moved_image = None if image is None else move_image(grid, image, outside=outside)
    return Deformed(move_map(grid, label, outside=outside), moved_tissue, moved_image)


def sampling_grid(parameters: DeformParameters, height: int, width: int) -> Float[Tensor, "b h w 2"]:
    """The place that each pixel of the result is read from: first along the flow, then through the affine part."""
    start = _pixels(height, width) + flow(parameters.velocity, height, width).movedim(1, -1)
    matrix = output_to_input(parameters.affine, height, width)
    return torch.einsum("bij,bhwj->bhwi", matrix[:, :, :2], start) + matrix[:, None, None, :, 2]


def flow(velocity: Float[Tensor, "b 2 knot knot"], height: int, width: int) -> Float[Tensor, "b 2 h w"]:
    """Displacement after one unit of time, by scaling and squaring (Arsigny et al. 2006, section 3.2).

    It is found on a grid of at most FINEST points per side, from the first pixel's center to the last one's, and
    interpolated: it changes over much longer distances.
    """
    # velocity on a grid of at most FINEST pixels a side
    knots = torch.linspace(-1, 1, velocity.shape[-1])
    down, right = (1 - 1 / size for size in (height, width))  # place of the last pixel's center
    grid = [torch.linspace(-end, end, min(size, FINEST)) for end, size in ((down, height), (right, width))]
    rows, columns = (_gaussians(places, knots) for places in grid)
    displacement: Tensor = rows @ velocity @ columns.mT / 2**SQUARINGS
    # integrate it: scaling and squaring
    start = torch.stack(torch.meshgrid(*grid, indexing="ij")[::-1], dim=-1)
    ends = torch.tensor([right, down]).clamp(min=0.5)  # a side of one pixel has none
    for _ in range(SQUARINGS if bool(velocity.any()) else 0):
        reached = (start + displacement.movedim(1, -1)) / ends
        displacement = displacement + functional.grid_sample(
            displacement, reached, mode="bilinear", padding_mode="border", align_corners=True
        )
    return functional.interpolate(displacement, (height, width), mode="bilinear", align_corners=True)


def move_map(
    grid: Float[Tensor, "b h w 2"], values: Integer[Tensor, "b h w"], *, outside: Outside = "border"
) -> Integer[Tensor, "b h w"]:
    """The value with the largest share in each pixel of the result: borders stay as smooth as they were.

    A structure of one pixel may be lost, as its share can fall below the background's.
    """
    present = values.flatten().long().bincount().nonzero()[:, 0].to(values.dtype)
    shares = (values[:, None] == present[:, None, None]).float()
    moved = functional.grid_sample(shares, grid, mode="bilinear", padding_mode=outside, align_corners=False)
    largest: Tensor = present[moved.max(1).indices]  # argmax takes six times as long
    return largest.masked_fill(moved.sum(1) < 0.5, 0) if outside == "zeros" else largest


def move_image(
    grid: Float[Tensor, "b h w 2"], image: Float[Tensor, "b 1 h w"], *, outside: Outside = "border"
) -> Float[Tensor, "b 1 h w"]:
    """The image at the places of the grid, linearly interpolated."""
    moved = functional.grid_sample(image.float(), grid, mode="bilinear", padding_mode=outside, align_corners=False)
    return moved.clamp(0, 1).to(image.dtype)


def _noise(number: int, knots: int, generator: torch.Generator) -> Float[Tensor, "n 2 knot knot"]:
    return torch.randn(number, 2, knots, knots, generator=generator).clamp(-LARGEST, LARGEST)


def _gaussians(places: Tensor, knots: Tensor) -> Float[Tensor, "place knot"]:
    """Weights by which white noise at the knots becomes smooth noise of variance 1 at the places."""
    spacing = knots[1] - knots[0]
    weights = torch.exp(-(((places[:, None] - knots) / spacing) ** 2) / 2)
    return weights / weights.square().sum(1, keepdim=True).sqrt()


def _centers(size: int) -> Float[Tensor, " size"]:
    return (2 * torch.arange(size) + 1) / size - 1


def _pixels(height: int, width: int) -> Float[Tensor, "h w 2"]:
    """Each pixel's own place."""
    rows, columns = torch.meshgrid(_centers(height), _centers(width), indexing="ij")
    return torch.stack([columns, rows], dim=-1)
