"""Lesions that are drawn, not learned: irregular ellipsoids, solid or sub-solid, blended into a real scan.

The idea is that of Hu et al., "Label-Free Liver Tumor Segmentation", CVPR 2023, section 3.1 (ellipsoids with texture,
blended into healthy organs), and of Chen et al., "Towards Generalizable Tumor Synthesis" (DiffTumor), CVPR 2024. Here
the outline is bent by harmonics, and intensities are steps from the tissue around a lesion, so that they mean the same
in scans that were rescaled. `draw` takes random numbers; `render` is a pure function of them and of the scan.

s  slices of a run    h, w  height and width in pixels
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from jaxtyping import Bool, Float, Float32
from scipy import ndimage

HARMONICS = np.arange(2, 7)  # of the outline: 1 would only move it
TRIES = 32  # places that are tried for a lesion
DRIFT = 1.0  # radians per radius along the patient by which a harmonic turns: neighboring slices look alike, not equal
REACH = 3.0  # sigmas of the blurred border that are painted
Range = tuple[float, float]
Box = tuple[slice, slice, slice]


class Sort(NamedTuple):
    """One sort of lesion among several: how often it comes, and the range that it is drawn from."""

    weight: float
    range: Range


@dataclass(frozen=True)
class PaintRanges:
    """What lesions are drawn from; the settings of `lesion_painter` say what each means.

    Attributes:
        sizes: radius in pixels.
        looks: step from the tissue around it.
        axis_ratio: of the shorter to the longer axis.
        bend: deviation of the outline, as share of the radius.
        core: how much further the step goes in the middle, as share of it.
        grain: deviation of the texture.
        edge: sigma in pixels of the blurred border.
        rim: probability that it lies at the border of its tissue.
    """

    sizes: Sequence[Sort]
    looks: Sequence[Sort]
    axis_ratio: Range = (0.6, 1.0)
    bend: float = 0.1
    core: Range = (0.0, 0.0)
    grain: Range = (0.03, 0.12)
    edge: Range = (0.5, 1.2)
    rim: float = 0.4


@dataclass(frozen=True)
class DrawnLesion:
    """One lesion, wherever it will lie.

    Attributes:
        radius: in pixels, of the circle of equal area through its middle.
        axes: half-axes as share of the radius: along the patient, and two within the slice, whose product is 1.
        angle: radians by which the latter are turned.
        bends, phases, drifts: of each harmonic: height, phase, and its change per radius along the patient.
        step, core, grain, edge, rim: as drawn; see `PaintRanges`.
        seed: of the texture.
        kind: from 0 to 1; selects the lesion class.
        tries: from 0 to 1; select slice and pixel of the middle.
    """

    radius: float
    axes: tuple[float, float, float]
    angle: float
    bends: Float[np.ndarray, " k"]
    phases: Float[np.ndarray, " k"]
    drifts: Float[np.ndarray, " k"]
    step: float
    core: float
    grain: float
    edge: float
    rim: bool
    seed: int
    kind: float
    tries: Float[np.ndarray, "t 2"]


class Shape(NamedTuple):
    """A lesion where it lies.

    Attributes:
        box: of the run that holds it and its border.
        depth: in the box: 1 in the middle, 0 on the outline, negative outside.
    """

    box: Box
    depth: Float32[np.ndarray, "s h w"]

    @property
    def mask(self) -> Bool[np.ndarray, "s h w"]:
        """Its pixels in the box."""
        inside: Bool[np.ndarray, "s h w"] = self.depth > 0
        return inside


def draw(ranges: PaintRanges, count: int, rng: np.random.Generator) -> tuple[DrawnLesion, ...]:
    """Draw so many lesions."""
    return tuple(_draw_one(ranges, rng) for _ in range(count))


def _draw_one(ranges: PaintRanges, rng: np.random.Generator) -> DrawnLesion:
    # size and outline
    low, high = _sort(ranges.sizes, rng)
    ratio, along = rng.uniform(*ranges.axis_ratio, 2)
    # then how it looks, and where it tries to lie
    return DrawnLesion(
        radius=float(np.exp(rng.uniform(math.log(low), math.log(high)))),
        axes=(float(along), float(1 / math.sqrt(ratio)), float(math.sqrt(ratio))),
        angle=float(rng.uniform(0, math.pi)),
        bends=rng.normal(size=len(HARMONICS)) * ranges.bend * HARMONICS[0] / HARMONICS,
        phases=rng.uniform(0, 2 * math.pi, len(HARMONICS)),
        drifts=rng.normal(size=len(HARMONICS)) * DRIFT,
        step=float(rng.uniform(*_sort(ranges.looks, rng))),
        core=float(rng.uniform(*ranges.core)),
        grain=float(rng.uniform(*ranges.grain)),
        edge=float(rng.uniform(*ranges.edge)),
        rim=bool(rng.random() < ranges.rim),
        seed=int(rng.integers(2**63)),
        kind=float(rng.random()),
        tries=rng.random((TRIES, 2)),
    )


def _sort(sorts: Sequence[Sort], rng: np.random.Generator) -> Range:
    weights = np.array([sort.weight for sort in sorts], dtype=np.float64)
    return sorts[int(rng.choice(len(sorts), p=weights / weights.sum()))].range


def lay(
    lesion: DrawnLesion, middle: tuple[int, int, int], heights: Float[np.ndarray, " s"], shape: tuple[int, int, int]
) -> Shape:
    """The lesion about a pixel of a run; what leaves the slices is cut off.

    Args:
        lesion: as drawn.
        middle: slice, row and column.
        heights: place of each slice along the patient, in pixels of a slice.
        shape: of the run.
    """
    # a box around it: the bent outline, and the blurred border
    stretch = 1 + float(np.abs(lesion.bends).sum())
    reach = math.ceil(lesion.radius * max(lesion.axes[1:]) * stretch + REACH * lesion.edge)
    away = heights - heights[middle[0]]
    slices = np.flatnonzero(np.abs(away) < lesion.radius * lesion.axes[0] * stretch)
    rows, columns = (
        slice(max(place - reach, 0), min(place + reach + 1, side))
        for place, side in zip(middle[1:], shape[1:], strict=True)
    )
    # coordinates along its axes, in radii
    z = away[slices[0] : slices[-1] + 1, None, None] / lesion.radius
    y = (np.arange(rows.start, rows.stop) - middle[1])[None, :, None] / lesion.radius
    x = (np.arange(columns.start, columns.stop) - middle[2])[None, None, :] / lesion.radius
    cosine, sine = math.cos(lesion.angle), math.sin(lesion.angle)
    first, second = (cosine * x + sine * y) / lesion.axes[1], (cosine * y - sine * x) / lesion.axes[2]
    distance = np.sqrt(first**2 + second**2 + (z / lesion.axes[0]) ** 2)
    # the outline, bent
    turn = np.arctan2(second, first)
    outline = np.ones(np.broadcast_shapes(turn.shape, z.shape))
    for number, bend, phase, drift in zip(HARMONICS, lesion.bends, lesion.phases, lesion.drifts, strict=True):
        outline += bend * np.cos(number * turn + phase + drift * z)
    depth = 1 - distance / outline.clip(min=0.2)
    return Shape((slice(int(slices[0]), int(slices[-1]) + 1), rows, columns), depth.astype(np.float32))


def render(
    lesion: DrawnLesion,
    image: Float32[np.ndarray, "s h w"],
    shape: Shape,
    mask: Bool[np.ndarray, "s h w"],
    *,
    level: float,
    unit: float,
    grain_size: float,
    only_brighter: bool,
) -> Float32[np.ndarray, "s h w"]:
    """The part of a run that holds the lesion, with the lesion.

    Args:
        lesion: as drawn.
        image: the run in [0, 1], in the shape's box.
        shape: of the lesion.
        mask: the pixels of the box that it takes.
        level: intensity of the tissue around it.
        unit: intensity of a step of 1.
        grain_size: sigma of the texture in pixels.
        only_brighter: whether the scan stays where it is brighter, as vessels in a lung do.
    """
    # texture of deviation 1, the same in every part of the lesion
    noise = np.random.default_rng(lesion.seed).standard_normal(mask.shape, dtype=np.float32)
    texture = ndimage.gaussian_filter(noise, (0.0, grain_size, grain_size), mode="wrap")
    texture /= max(float(texture.std()), 1e-6)
    # intensity, and how much of it is seen
    step = lesion.step * (1 + lesion.core * shape.depth.clip(0, 1))
    wanted = level + unit * (step + lesion.grain * texture)
    share = ndimage.gaussian_filter(mask.astype(np.float32), (0.0, lesion.edge, lesion.edge), mode="nearest")
    painted: Float32[np.ndarray, "s h w"] = (image + share * (wanted - image)).clip(0, 1).astype(np.float32)
    return np.maximum(painted, image) if only_brighter else painted
