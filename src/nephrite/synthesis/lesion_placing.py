"""Puts drawn lesions into the slices of a run: finds the place of each, then blends it in and labels it.

s  slices of a run    h, w  height and width in pixels
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, NamedTuple

import numpy as np
from jaxtyping import Bool, Float32, Int, Integer
from scipy import ndimage

from nephrite.config import IGNORED
from nephrite.synthesis.edits import LesionEdit
from nephrite.synthesis.ellipsoids import equal_radius, size_class
from nephrite.synthesis.host_tissue import Levels, Tissue, find_tissue, levels
from nephrite.synthesis.lesions import CUT, Place, Run, choose_places
from nephrite.synthesis.painted_lesions import DrawnLesion, Shape, lay, render

GAP = 1  # pixels between a new lesion and any other, and what is ignored
SMALLEST = 4  # pixels: a piece of fewer is no lesion
RING = 3  # pixels about a lesion whose tissue it is compared with


@dataclass(frozen=True)
class PlaceRules:
    """Where drawn lesions lie, and how they are blended in; the settings of `lesion_painter` say what each means.

    Attributes:
        host: tissue of lesion classes without an organ.
        outgrowth: share of a lesion that may lie outside of its organ or tissue; 0 cuts it off at the border.
        grows_into: intensities that it may grow into; None = any.
        covers: share of its organ's or tissue's piece in a slice that it takes at most.
        step_of: what a step of 1 is: from the tissue to what is brighter or darker, or the whole window.
        grain_size: sigma of the texture in pixels.
        only_brighter: whether the scan stays where it is brighter than a lesion.
    """

    host: Tissue = "dark"
    outgrowth: float = 0.0
    grows_into: tuple[float, float] | None = None
    covers: float = 0.5
    step_of: Literal["brighter", "darker", "window"] = "brighter"
    grain_size: float = 1.0
    only_brighter: bool = True


class Ground(NamedTuple):
    """Where lesions of one class may lie.

    Attributes:
        home: organ or tissue.
        free: what a lesion may grow into beyond it.
        pieces: of the organ or tissue, numbered in each slice; 0 elsewhere.
        levels: of each slice.
    """

    home: Bool[np.ndarray, "s h w"]
    free: Bool[np.ndarray, "s h w"]
    pieces: Int[np.ndarray, "s h w"]
    levels: tuple[Levels, ...]


def paint_lesions(
    drawn: Sequence[tuple[Integer[np.ndarray, " part"], Sequence[DrawnLesion]]],
    image: Float32[np.ndarray, "s h w"],
    run: Run,
    rules: PlaceRules,
) -> tuple[Float32[np.ndarray, "s h w"], tuple[LesionEdit, ...]]:
    """Paint lesions into a run, one after the other; one that fits nowhere is left out.

    Args:
        drawn: groups of slices, by their place in the run, and the lesions whose middles lie in each.
        image: the run in [0, 1].
        run: label map, spacing and lesion classes; its label map is edited in place.
        rules: where lesions lie, and how they are blended in.

    Returns:
        The run with its lesions, and what was done.
    """
    painted, edits = image.copy(), []
    grounds = {value: find_ground(image, run, value, rules) for value in run.lesions}
    # what no lesion may touch: other lesions, and what is ignored
    taken = _around_each(np.isin(run.label, [*run.lesions, IGNORED]), GAP)
    for part, lesions in drawn:
        for lesion in lesions:
            value = list(run.lesions)[int(lesion.kind * len(run.lesions))]
            place = find_place(lesion, grounds[value], taken, part, run, rules=rules)
            if place is None:
                edits.append(_record(lesion, value, 0, run))
                continue
            shape, mask = place
            _blend(lesion, painted, shape, mask, grounds[value], rules=rules)
            run.label[shape.box][mask] = value
            taken[shape.box] |= _around_each(mask, GAP)
            edits.append(_record(lesion, value, int(mask.sum()), run))
    return painted, tuple(edits)


def find_ground(image: Float32[np.ndarray, "s h w"], run: Run, value: int, rules: PlaceRules) -> Ground:
    """Where lesions of a class may lie in a run, whatever lies there already."""
    organ, background = run.lesions[value], run.label == 0
    if organ is None:
        known = background | np.isin(run.label, [*run.lesions, IGNORED])
        home = known & np.stack([find_tissue(plane, rules.host) for plane in image])
    else:
        home = run.label == organ
    free = background & ~home if rules.outgrowth else np.zeros_like(home)
    if rules.grows_into is not None:
        low, high = rules.grows_into
        free &= (image >= low) & (image <= high)
    pieces = np.stack([ndimage.label(plane)[0] for plane in home])
    return Ground(home, free, pieces, tuple(levels(plane, here) for plane, here in zip(image, home, strict=True)))


def find_place(
    lesion: DrawnLesion,
    ground: Ground,
    taken: Bool[np.ndarray, "s h w"],
    part: Integer[np.ndarray, " part"],
    run: Run,
    *,
    rules: PlaceRules,
) -> tuple[Shape, Bool[np.ndarray, "s h w"]] | None:
    """The first place that the lesion's numbers select and where it fits, and the pixels that it takes there.

    Args:
        lesion: as drawn.
        ground: where it may lie.
        taken: where it may not.
        part: slices that its middle may lie in.
        run: the slices.
        rules: see `PlaceRules`.
    """
    # the slice of the middle, by area
    likely = ground.home[part] & ~taken[part]
    chosen = choose_places(likely.sum((1, 2)), lesion.tries[:1, 0])
    if not len(chosen):
        return None
    center = int(part[chosen[0]])
    # the middle: anywhere in the tissue, or within a radius of its border
    middles = ground.home[center] & ~taken[center]
    if lesion.rim:
        near = middles & (ndimage.distance_transform_edt(ground.home[center]) <= lesion.radius)
        middles = near if near.any() else middles
    heights = run.heights / run.spacing[1]
    for place in choose_places(middles.ravel().astype(np.float64), lesion.tries[:, 1]):
        row, column = divmod(int(place), middles.shape[1])
        shape = lay(lesion, (center, row, column), heights, ground.home.shape)
        mask = _fit(lesion, shape, ground, taken, rules)
        if mask is not None:
            return shape, mask
    return None


def _fit(
    lesion: DrawnLesion, shape: Shape, ground: Ground, taken: Bool[np.ndarray, "s h w"], rules: PlaceRules
) -> Bool[np.ndarray, "s h w"] | None:
    """The pixels that a lesion takes; None where it touches another, or is too large or too much cut off there."""
    whole = shape.mask
    if (whole & taken[shape.box]).any():
        return None
    home = whole & ground.home[shape.box]
    mask: Bool[np.ndarray, "s h w"] = home | (whole & ground.free[shape.box])
    mask &= home.any((1, 2))[:, None, None]  # beyond the last slice of its organ it would lie in another one
    # in the slice of its middle; what the border of the slice cut off counts as well
    middle = int(np.argmax(whole.sum((1, 2))))
    size = max(int(whole[middle].sum()), round(np.pi * lesion.radius**2))
    kept, at_home = int(mask[middle].sum()), int(home[middle].sum())
    if kept < max(SMALLEST, (1 - CUT) * size) or at_home < (1 - max(rules.outgrowth, CUT)) * size:
        return None
    # it leaves something of its organ
    pieces = ground.pieces[shape.box[0]][middle]
    number = np.bincount(pieces[shape.box[1:]][home[middle]]).argmax() if at_home else 0
    return mask if at_home <= rules.covers * np.count_nonzero(pieces == number) else None


def _blend(
    lesion: DrawnLesion,
    painted: Float32[np.ndarray, "s h w"],
    shape: Shape,
    mask: Bool[np.ndarray, "s h w"],
    ground: Ground,
    *,
    rules: PlaceRules,
) -> None:
    """Paint a lesion in place, compared with the tissue that lies about it."""
    part = painted[shape.box]
    near = _around_each(mask, RING) & ~_around_each(mask, 1) & ground.home[shape.box]
    darker, tissue, brighter = np.mean(ground.levels[shape.box[0]], axis=0).tolist()
    level = float(np.median(part[near])) if near.any() else tissue
    units = {"brighter": max(brighter - level, 0.0), "darker": min(darker - level, 0.0), "window": 1.0}
    painted[shape.box] = render(
        lesion,
        part,
        shape,
        mask,
        level=level,
        unit=units[rules.step_of],
        grain_size=rules.grain_size,
        only_brighter=rules.only_brighter,
    )


def _around_each(mask: Bool[np.ndarray, "s h w"], pixels: int) -> Bool[np.ndarray, "s h w"]:
    """A mask and what lies within so many pixels of it, slice by slice."""
    grown = mask.copy()
    for place in np.flatnonzero(mask.any((1, 2))):
        grown[place] = ndimage.binary_dilation(mask[place], iterations=pixels)
    return grown


def _record(lesion: DrawnLesion, value: int, pixels: int, run: Run) -> LesionEdit:
    """What was done; one that fit nowhere has the radius that was drawn."""
    radius = equal_radius(pixels, run.spacing) if pixels else lesion.radius * run.spacing[1]
    place: Place | None = ("rim" if lesion.rim else "inside") if pixels else None
    return LesionEdit("added", value, pixels > 0, place, size_class(radius), radius)
