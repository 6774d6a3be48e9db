"""Finds, removes, rescales, moves and adds the lesions of a run of slices: in 3-D, so that neighboring slices agree.

All random draws were made before, as numbers from 0 to 1 that select among the possible places.

s  slices of a run    h, w  height and width in pixels    Pixels of a lesion: slice, row, column
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

import numpy as np
from jaxtyping import Bool, Float, Integer, UInt8
from scipy import ndimage

from nephrite.synthesis.ellipsoids import Ellipsoid, Pixels, render_ellipsoid

Place = Literal["inside", "rim", "anywhere"]
INSIDE = 0.95  # share of a lesion that an 'inside' place holds; what stands out is cut off
OUTWARD = (0.3, 0.95)  # share of a lesion at the rim that lies within its organ
CUT = 0.3  # share of a lesion that may lie beyond the border of the image


@dataclass(frozen=True)
class Run:
    """Slices of one patient, neighbors or not; the label map is edited in place.

    Attributes:
        label: label values.
        positions: place of each slice in the patient, ascending.
        spacing: mm per slice, row and column.
        lesions: lesion class to organ, or to None where lesions lie anywhere.
        window: intensities of the scan that 0 and 1 stand for.
    """

    label: UInt8[np.ndarray, "s h w"]
    positions: Integer[np.ndarray, " s"]
    spacing: tuple[float, float, float]
    lesions: Mapping[int, int | None]
    window: tuple[float, float] = (0.0, 1.0)

    @property
    def heights(self) -> Float[np.ndarray, " s"]:
        """Place of each slice in mm along the patient."""
        heights: np.ndarray = self.positions * self.spacing[0]
        return heights


@dataclass(frozen=True)
class Host:
    """Where lesions of one class may lie in a run.

    Attributes:
        home: the organ, or the background for lesions without one.
        free: the background, which a lesion at the rim of its organ may reach into.
        weight: how likely the middle of a lesion lies in each pixel.
        organ: whether there is one.
    """

    home: Bool[np.ndarray, "s h w"]
    free: Bool[np.ndarray, "s h w"]
    weight: Float[np.ndarray, "s h w"]
    organ: bool


def find_host(run: Run, value: int, weight: Float[np.ndarray, "s h w"] | None = None) -> Host:
    """Where lesions of class `value` may lie: at least a pixel and a slice away from other lesions.

    Args:
        run: the slices.
        value: lesion class.
        weight: how likely the middle of a lesion lies in each pixel; None for equally.
    """
    label, organ = run.label, run.lesions[value]
    others = np.isin(label, list(run.lesions))
    if others.any():
        others = grow(others)
    home = (label == (organ or 0)) & ~others
    free = (label == 0) & ~others
    return Host(home, free, home * (np.float32(1) if weight is None else weight), organ is not None)


def grow(mask: Bool[np.ndarray, "s h w"]) -> Bool[np.ndarray, "s h w"]:
    """A mask with all neighbors, diagonal and in the next slices too; scipy's dilation takes 9 times as long."""
    grown = mask
    for axis in range(3):
        before = grown.swapaxes(0, axis)
        grown = before.copy()
        grown[1:] |= before[:-1]
        grown[:-1] |= before[1:]
        grown = grown.swapaxes(0, axis)
    return grown


def find_lesions(label: UInt8[np.ndarray, "s h w"], value: int, positions: Integer[np.ndarray, " s"]) -> list[Pixels]:
    """Lesions of one class, each connected within and across neighboring slices, the largest first."""
    found: list[Pixels] = []
    for part in np.split(np.arange(len(label)), np.nonzero(np.diff(positions) > 1)[0] + 1):
        mask = label[part] == value
        if mask.any():
            numbered, _ = ndimage.label(mask, np.ones((3, 3, 3), dtype=bool))
            pixels = np.argwhere(mask)
            order = numbered[tuple(pixels.T)]
            found += [pixels[order == number] + (part[0], 0, 0) for number in range(1, order.max() + 1)]
    return sorted(found, key=lambda pixels: (-len(pixels), *pixels[0].tolist()))


def remove(label: UInt8[np.ndarray, "s h w"], pixels: Pixels, organ: int | None) -> None:
    """Give a lesion's place to its organ, or to the background where there is none or the lesion does not touch it."""
    label[tuple(pixels.T)] = 0
    if organ is None:
        return
    box = tuple(slice(max(low - 1, 0), high + 2) for low, high in zip(pixels.min(0), pixels.max(0), strict=True))
    near = np.zeros(label.shape, dtype=bool)
    near[tuple(pixels.T)] = True
    touched = ndimage.binary_dilation(near[box], np.ones((3, 3, 3), dtype=bool)) & (label[box] == organ)
    if touched.any():
        label[tuple(pixels.T)] = organ


def rescale(
    pixels: Pixels, factor: float, heights: Float[np.ndarray, " s"], shape: tuple[int, int], thickness: float
) -> Pixels:
    """The lesion made larger or smaller about its middle, in space; what leaves the image or the run is cut off.

    Args:
        pixels: of the lesion.
        factor: of its radius.
        heights: mm along the patient of each slice of the run.
        shape: rows and columns of a slice.
        thickness: mm per slice; a slice further than half of it from where the lesion was holds none of it.
    """
    # box of the scaled lesion
    places = np.column_stack([heights[pixels[:, 0]], pixels[:, 1:]])
    middle = places.mean(0)
    low, high = (middle + (ends - middle) * factor for ends in (places.min(0), places.max(0)))
    slices = np.nonzero((heights >= low[0] - thickness / 2) & (heights <= high[0] + thickness / 2))[0]
    rows, columns = (
        np.arange(max(int(low[axis] - factor), 0), min(int(high[axis] + factor) + 2, shape[axis - 1]))
        for axis in (1, 2)
    )
    # its pixels, looked up where they come from
    grid = np.stack(np.meshgrid(slices, rows, columns, indexing="ij"), axis=-1).reshape(-1, 3)
    source = middle + (np.column_stack([heights[grid[:, 0]], grid[:, 1:]]) - middle) / factor
    nearest = np.abs(source[:, :1] - heights).argmin(1)
    whole = np.column_stack([nearest, np.rint(source[:, 1:])]).astype(np.int64)
    close = np.abs(source[:, 0] - heights[nearest]) <= thickness / 2 + 1e-6
    # those that come from the lesion; a frame of zeros stands for the outside
    known = np.zeros((len(heights), *(side + 2 for side in shape)), dtype=bool)
    known[pixels[:, 0], pixels[:, 1] + 1, pixels[:, 2] + 1] = True
    rows, columns = (np.clip(whole[:, axis] + 1, 0, shape[axis - 1] + 1) for axis in (1, 2))
    found: Pixels = grid[close & known[whole[:, 0], rows, columns]]
    return found


def place_ellipsoid(
    shape: Ellipsoid, host: Host, tries: Float[np.ndarray, "t 2"], run: Run, *, rim: bool
) -> tuple[Pixels, Place] | None:
    """Put a new lesion where it fits: in the slice that the first number names, in the first place that holds it.

    Lesions that do not fit inside of their organ are tried at its rim.

    Args:
        shape: of the lesion.
        host: where it may lie.
        tries: from 0 to 1; of the first row the slice, of every row a place in it.
        run: the slices.
        rim: whether the middle lies in the organ's outermost pixels.

    Returns:
        The lesion's pixels and its place; None when no try fits.
    """
    if not host.weight.any():
        return None
    # slice of its center, and its shape there
    center = int(choose_places(host.weight.sum((1, 2)), tries[:1, 0])[0])
    stamp = render_ellipsoid(shape, run.heights, center, run.spacing)
    # candidate middles: inside of the organ, at its rim, or anywhere
    weight = host.weight[center]
    edge = weight * ~ndimage.binary_erosion(host.home[center], border_value=1) if host.organ else weight
    ways: list[tuple[Place, np.ndarray]] = [("inside", weight), ("rim", edge)]
    if not host.organ:
        ways = [("anywhere", weight)]
    for place, weights in ways[1:] if rim and host.organ else ways:
        middles = np.column_stack(np.unravel_index(choose_places(weights.ravel(), tries[:, 1]), weights.shape))
        pixels = fit_stamp(stamp, host, middles, place)
        if pixels is not None:
            return pixels, place
    return None


def fit_stamp(stamp: Pixels, host: Host, middles: np.ndarray, place: Place) -> Pixels | None:
    """The stamp's pixels at the first of the middles where it may lie; never over another class or lesion."""
    for row, column in middles:
        # the part inside of the slice, and its share at home
        pixels = stamp + np.array([0, row, column])
        seen: Pixels = pixels[((pixels[:, 1:] >= 0) & (pixels[:, 1:] < host.home.shape[1:])).all(1)]
        index = tuple(seen.T)
        home: np.ndarray = host.home[index]
        share = home.sum() / len(stamp)
        # it may cover no other class
        if not (home | host.free[index]).all():
            continue
        # each kind of place has its own limits
        if place == "inside" and share >= INSIDE:
            within: Pixels = seen[home]
            return within
        if place == "rim" and OUTWARD[0] <= share <= OUTWARD[1] and len(seen) >= (1 - CUT) * len(stamp):
            return seen
        if place == "anywhere" and share >= 1 - CUT:
            return seen
    return None


def choose_places(weights: Float[np.ndarray, " m"], uniform: Float[np.ndarray, " t"]) -> np.ndarray:
    """The places that numbers from 0 to 1 select, by weight; none if all weights are 0."""
    total = np.cumsum(weights, dtype=np.float64)
    if not len(total) or total[-1] <= 0:
        return np.zeros(0, dtype=np.int64)
    chosen: np.ndarray = np.searchsorted(total, uniform * total[-1], side="right")
    return chosen.clip(max=int(np.nonzero(weights)[0][-1]))
