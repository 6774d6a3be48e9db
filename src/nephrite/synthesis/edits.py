"""Edits of the lesions of a run of slices: drawn for each lesion class, then applied and recorded.

s  slices of a run    h, w  height and width in pixels
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Literal

import numpy as np
from jaxtyping import Float

from nephrite.synthesis.ellipsoids import Ellipsoid, EllipsoidRanges, Pixels, draw_ellipsoid, equal_radius, size_class
from nephrite.synthesis.lesions import (
    Place,
    Run,
    choose_places,
    find_host,
    find_lesions,
    fit_stamp,
    place_ellipsoid,
    remove,
    rescale,
)

Action = Literal["removed", "rescaled", "moved", "added"]
MOST = 16  # lesions of one class that are edited; further, smaller ones are kept. As many are added at most
TRIES = 48  # places that are tried for a lesion


@dataclass(frozen=True)
class EditRanges:
    """Ranges that edits are drawn from.

    Attributes:
        removed, rescaled, moved: probability of each for every lesion; together at most 1, the others stay.
        factor: of a rescaled lesion's radius, log-uniform.
        added: expected number of new lesions per run and lesion class.
        rim: probability that a new lesion lies at the rim of its organ and not inside.
        ellipsoids: shapes of new lesions.
    """

    removed: float = 0.1
    rescaled: float = 0.3
    moved: float = 0.2
    factor: tuple[float, float] = (0.6, 1.6)
    added: float = 0.5
    rim: float = 0.5
    ellipsoids: EllipsoidRanges = field(default_factory=EllipsoidRanges)


@dataclass(frozen=True)
class NewLesion:
    """A lesion to be added: shape, whether at the rim, and numbers from 0 to 1 that select places."""

    shape: Ellipsoid
    rim: bool
    tries: Float[np.ndarray, "t 2"]


@dataclass(frozen=True)
class EditParameters:
    """What is done to the lesions of one class; entry n belongs to the nth largest lesion.

    Attributes:
        actions: None leaves the lesion alone.
        factors: of the radius, if it is rescaled.
        tries: numbers from 0 to 1 that select places, if it is moved.
        added: new lesions.
    """

    actions: tuple[Action | None, ...]
    factors: Float[np.ndarray, " n"]
    tries: Float[np.ndarray, "n t 2"]
    added: tuple[NewLesion, ...]


@dataclass(frozen=True)
class LesionEdit:
    """What was done to one lesion.

    Attributes:
        action: that was drawn.
        label: lesion class.
        done: False if no place fit; then nothing was changed.
        place: of a moved or added lesion.
        size: size class of the lesion as it lies in the run now, or as it was, if it was removed.
        radius: mm of the sphere of that volume. A new lesion that fit nowhere has the radius that was drawn.
    """

    action: Action
    label: int
    done: bool
    place: Place | None
    size: str
    radius: float


def draw_edits(ranges: EditRanges, rng: np.random.Generator) -> EditParameters:
    """Edits of the lesions of one class in one run."""
    # every number is drawn, used or not: edits of one lesion leave the others as they are
    limits = np.cumsum([ranges.removed, ranges.rescaled, ranges.moved])
    kinds: tuple[Action | None, ...] = ("removed", "rescaled", "moved", None)
    low, high = (math.log(factor) for factor in ranges.factor)
    chosen = np.searchsorted(limits, rng.random(MOST), side="right")
    return EditParameters(
        actions=tuple(kinds[index] for index in chosen),
        factors=np.exp(rng.uniform(low, high, MOST)),
        tries=rng.random((MOST, TRIES, 2)),
        added=tuple(
            NewLesion(draw_ellipsoid(ranges.ellipsoids, rng), bool(rng.random() < ranges.rim), rng.random((TRIES, 2)))
            for _ in range(min(rng.poisson(ranges.added), MOST))
        ),
    )


def edit_lesions(
    parameters: EditParameters, run: Run, value: int, weight: Float[np.ndarray, "s h w"] | None = None
) -> Iterator[LesionEdit]:
    """Edit `run.label` in place, lesion by lesion, the found ones before the new ones.

    Args:
        parameters: of this class.
        run: the slices.
        value: lesion class.
        weight: how likely the middle of a lesion lies in each pixel; None for equally.
    """
    # edit the lesions that are there
    found = find_lesions(run.label, value, run.positions)
    for pixels, action, factor, tries in zip(
        found, parameters.actions, parameters.factors, parameters.tries, strict=False
    ):
        before = run.label.copy() if action == "moved" else run.label
        if action == "removed":
            remove(run.label, pixels, run.lesions[value])
            yield _record(run, value, action, pixels, None)
        elif action == "rescaled":
            yield _record(run, value, action, _rescaled(run, value, pixels, float(factor)), None)
        elif action == "moved":
            remove(run.label, pixels, run.lesions[value])
            place = _move(run, value, pixels, tries, weight)
            if place is None:
                run.label[:] = before
            yield _record(run, value, action, pixels, place, done=place is not None)
    # then add new ones
    for lesion in parameters.added:
        yield _add(run, value, lesion, weight)


def _rescaled(run: Run, value: int, pixels: Pixels, factor: float) -> Pixels:
    """Redraw a lesion at another size; a larger one takes from its organ and the background, from nothing else."""
    organ = run.lesions[value]
    wanted = rescale(pixels, factor, run.heights, run.label.shape[1:], run.spacing[0])
    if not len(wanted):
        return pixels
    remove(run.label, pixels, organ)
    open_places = (run.label == 0) | (run.label == (organ or 0))
    grown: Pixels = wanted[open_places[tuple(wanted.T)]]
    grown = grown if len(grown) else pixels
    run.label[tuple(grown.T)] = value
    return grown


def _move(
    run: Run, value: int, pixels: Pixels, tries: Float[np.ndarray, "t 2"], weight: Float[np.ndarray, "s h w"] | None
) -> Place | None:
    """Put a removed lesion elsewhere in the same slices."""
    # the lesion around its own middle
    host = find_host(run, value, weight)
    slices = pixels[:, 0]
    middle = np.rint(pixels.mean(0)).astype(np.int64) * (0, 1, 1)
    center = int(slices[np.abs(slices - slices.mean()).argmin()])
    # candidate middles, in a slice that stays the same
    places = choose_places(host.weight[center].ravel(), tries[:, 1])
    middles = np.column_stack(np.unravel_index(places, run.label.shape[1:]))
    # inside of the organ if possible, else at its rim
    ways: tuple[Place, ...] = ("inside", "rim") if host.organ else ("anywhere",)
    for place in ways:
        moved = fit_stamp(pixels - middle, host, middles, place)
        if moved is not None:
            run.label[tuple(moved.T)] = value
            return place
    return None


def _add(run: Run, value: int, lesion: NewLesion, weight: Float[np.ndarray, "s h w"] | None) -> LesionEdit:
    host = find_host(run, value, weight)
    found = place_ellipsoid(lesion.shape, host, lesion.tries, run, rim=lesion.rim)
    if found is None:
        return LesionEdit("added", value, False, None, lesion.shape.size, lesion.shape.radius)
    pixels, place = found
    run.label[tuple(pixels.T)] = value
    return _record(run, value, "added", pixels, place)


def _record(
    run: Run, value: int, action: Action, pixels: Pixels, place: Place | None, *, done: bool = True
) -> LesionEdit:
    radius = equal_radius(len(pixels), run.spacing)
    return LesionEdit(action, value, done, place, size_class(radius), radius)
