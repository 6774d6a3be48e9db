"""Ellipsoid lesions with an uneven surface, in DiffTumor's size classes.

Chen et al., "Towards Generalizable Tumor Synthesis" (DiffTumor), CVPR 2024, after Hu et al., "Label-Free Liver Tumor
Segmentation", CVPR 2023, section 3.1: ellipsoids with radii of 4, 8, 16, 32 px in slices of 512 px, deformed
elastically. Here the sizes are in millimeters (at their usual 0.8 mm per pixel), so that they mean the same in slices
of any size, and the deformation is a function of the place in space, so that slices of one lesion fit together.

s  slices of a run
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType

import numpy as np
from jaxtyping import Float, Integer

RADII: Mapping[str, float] = MappingProxyType({"tiny": 3.0, "small": 6.0, "medium": 12.5, "large": 25.0})  # mm
WITHIN = 1.25  # a drawn radius lies between its class's radius / 1.25 and * 1.25
WAVES = 8
Pixels = Integer[np.ndarray, "_ 3"]


@dataclass(frozen=True)
class EllipsoidRanges:
    """Ranges that ellipsoids are drawn from.

    Attributes:
        weights: size class to relative frequency.
        elongation: each half-axis is up to this factor longer or shorter, at equal volume.
        elastic: deviation of the surface's displacement, as share of the radius.
    """

    weights: Mapping[str, float] = field(default_factory=lambda: dict.fromkeys(RADII, 1.0))
    elongation: float = 1.3
    elastic: float = 0.1


@dataclass(frozen=True)
class Ellipsoid:
    """One lesion's shape, wherever it will lie.

    Attributes:
        size: class.
        radius: mm, of the sphere of equal volume.
        axes: half-axes as share of the radius, across slices, down and to the right; their product is 1.
        angle: radians by which the last two are turned within the slice.
        waves: per wave its three frequencies in radians per radius.
        phases: of the waves.
        pushes: per wave the displacement at its crest, as share of the radius.
    """

    size: str
    radius: float
    axes: Float[np.ndarray, " 3"]
    angle: float
    waves: Float[np.ndarray, "wave 3"]
    phases: Float[np.ndarray, " wave"]
    pushes: Float[np.ndarray, "wave 3"]


def draw_ellipsoid(ranges: EllipsoidRanges, rng: np.random.Generator) -> Ellipsoid:
    """One shape: size class by weight, radius log-uniform around the class's."""
    # size class and shape
    names = list(ranges.weights)
    weights = np.array([ranges.weights[name] for name in names], dtype=float)
    size = names[int(rng.choice(len(names), p=weights / weights.sum()))]
    axes = np.exp(rng.uniform(-1, 1, 3) * math.log(ranges.elongation))
    # smooth waves that make the surface uneven
    waves = rng.normal(size=(WAVES, 3))
    waves *= rng.uniform(1, 4, (WAVES, 1)) / np.linalg.norm(waves, axis=1, keepdims=True)
    return Ellipsoid(
        size=size,
        radius=RADII[size] * float(np.exp(rng.uniform(-1, 1) * math.log(WITHIN))),
        axes=axes / np.prod(axes) ** (1 / 3),
        angle=float(rng.uniform(0, math.pi)),
        waves=waves,
        phases=rng.uniform(0, 2 * math.pi, WAVES),
        pushes=rng.normal(size=(WAVES, 3)) * ranges.elastic * math.sqrt(2 / WAVES),
    )


def render_ellipsoid(
    shape: Ellipsoid, heights: Float[np.ndarray, " s"], center: int, spacing: tuple[float, float, float]
) -> Pixels:
    """The lesion's pixels if its middle lies in slice `center`: slice, then row and column from the middle.

    Args:
        shape: of the lesion.
        heights: mm along the patient of each slice of the run, contiguous or not.
        center: slice of the run.
        spacing: mm per slice, row and column.
    """
    reach = shape.radius * float(shape.axes.max()) * (1 + 2 * float(np.abs(shape.pushes).sum(0).max()))
    slices = np.nonzero(np.abs(heights - heights[center]) <= reach)[0]
    rows, columns = (np.arange(-math.ceil(reach / mm), math.ceil(reach / mm) + 1) for mm in spacing[1:])
    grid = np.stack(np.meshgrid(slices, rows, columns, indexing="ij"), axis=-1).reshape(-1, 3)
    place = np.stack([heights[grid[:, 0]] - heights[center], grid[:, 1] * spacing[1], grid[:, 2] * spacing[2]], axis=1)
    found: Pixels = grid[_contains(shape, place / shape.radius)]
    return found


def size_class(radius: float) -> str:
    """The size class whose radius is nearest by ratio."""
    return min(RADII, key=lambda name: abs(math.log(max(radius, 1e-3) / RADII[name])))


def equal_radius(pixels: int, spacing: tuple[float, float, float]) -> float:
    """Radius in mm of the sphere with the volume of so many pixels."""
    return float((3 * pixels * math.prod(spacing) / (4 * math.pi)) ** (1 / 3))


def _contains(shape: Ellipsoid, place: Float[np.ndarray, "m 3"]) -> np.ndarray:
    """Whether places, in radii from the middle, lie inside; the middle itself always does, however it is pushed."""
    moved = place + np.sin(place @ shape.waves.T + shape.phases) @ shape.pushes - np.sin(shape.phases) @ shape.pushes
    cosine, sine = math.cos(shape.angle), math.sin(shape.angle)
    turn = np.array([[1, 0, 0], [0, cosine, sine], [0, -sine, cosine]])
    inside: np.ndarray = ((moved @ turn / shape.axes) ** 2).sum(1) < 1
    return inside
