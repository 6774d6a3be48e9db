"""The lesions of training slices, cut out one by one, and what surrounds a lesion in the slice it lies in.

A lesion is a connected piece of one lesion class in one slice. All of this is NumPy and SciPy on single slices: small
pieces of irregular shape, which no batch would speed up.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import NamedTuple

import numpy as np
from jaxtyping import Bool, Float, Float32, Float64, UInt8
from scipy import ndimage
from torch import Tensor

from nephrite.config import IGNORED

RING = 3  # pixels: beyond the lesion's blurred border, yet close enough to be its surroundings
AIR = 0.02  # of the window: at or below it a pixel shows air, if it is connected with the slice's border
EIGHT = np.ones((3, 3), dtype=bool)  # pixels that touch at a corner are connected


class Plane(NamedTuple):
    """One slice: image in [0, 1] and label map."""

    image: Float32[np.ndarray, "height width"]
    label: UInt8[np.ndarray, "height width"]


class Surroundings(NamedTuple):
    """Mean and deviation of the intensities around a lesion."""

    mean: float
    deviation: float


@dataclass(frozen=True, eq=False)
class Lesion:
    """One lesion as it was found.

    Attributes:
        patient: whose lesion it is.
        value: its label value.
        organ: label value of the organ that holds its kind; None = none.
        image: the lesion with a margin, in [0, 1].
        mask: the lesion, in the same crop.
        area: in pixels.
        around: of its ring; where an organ is named and reaches the ring, of the organ's pixels alone.
    """

    patient: str
    value: int
    organ: int | None
    image: Float32[np.ndarray, "height width"]
    mask: Bool[np.ndarray, "height width"]
    area: int
    around: Surroundings


@dataclass(frozen=True)
class LesionBank:
    """All lesions of some training patients.

    Attributes:
        lesions: in the order they were found.
        classes: label value of each lesion class to that of the organ that holds it, or None.
    """

    lesions: tuple[Lesion, ...]
    classes: Mapping[int, int | None]

    @classmethod
    def from_slices(
        cls,
        slices: Iterable[tuple[str, Float[Tensor, "1 h w"], UInt8[Tensor, "h w"]]],
        classes: Mapping[int, int | None],
        *,
        margin: int = 2 * RING,
        smallest: int = 4,
    ) -> LesionBank:
        """Cut out the lesions of slices, each given as patient, image in [0, 1] and label map.

        Args:
            slices: of training patients.
            classes: label value of each lesion class to that of the organ that holds it; None = it lies anywhere.
            margin: pixels around a lesion that are kept.
            smallest: area in pixels; smaller pieces have no meaningful shape.
        """
        lesions = [
            lesion
            for patient, image, label in slices
            for value in classes
            for lesion in _cut_out(patient, to_plane(image[0], label), value, classes, margin=margin)
            if lesion.area >= smallest
        ]
        return cls(tuple(lesions), dict(classes))

    def mask(self, label: UInt8[np.ndarray, "height width"]) -> Bool[np.ndarray, "height width"]:
        """Where a label map has a lesion of any class, or is ignored: there may be one."""
        return np.isin(label, [*self.classes, IGNORED])

    @cached_property
    def by_patient(self) -> dict[str, tuple[int, ...]]:
        """Places in `lesions`, patient by patient."""
        found: dict[str, list[int]] = {}
        for place, lesion in enumerate(self.lesions):
            found.setdefault(lesion.patient, []).append(place)
        return {patient: tuple(places) for patient, places in found.items()}

    def donors(self, patient: str, present: set[int]) -> dict[str, list[int]]:
        """Lesions of other patients whose organ, if their kind has one, is among the values that are present."""
        allowed = {value for value, organ in self.classes.items() if organ is None or organ in present}
        found = {
            other: [place for place in places if self.lesions[place].value in allowed]
            for other, places in self.by_patient.items()
            if other != patient
        }
        return {other: places for other, places in found.items() if places}


def weighted_surroundings(
    values: Float32[np.ndarray, "place point"],
    free: Bool[np.ndarray, "place point"],
    own: Bool[np.ndarray, "place point"] | None,
) -> tuple[Float64[np.ndarray, " place"], Float64[np.ndarray, " place"]]:
    """Mean and deviation of the intensities in rings at several places; not a number where a ring holds nothing.

    A lesion at the rim of its organ has two kinds of surroundings; the organ's own is what it is compared with.

    Args:
        values: intensities of each ring's points.
        free: points that count: in the slice, and of no lesion.
        own: points of the organ that holds such lesions; where a ring has any, only they count.
    """
    if own is not None:
        inside = free & own
        free = np.where(inside.any(1, keepdims=True), inside, free)
    number = free.sum(1)
    with np.errstate(invalid="ignore"):
        mean = np.where(free, values, 0).sum(1, dtype=np.float64) / number
        variance = (np.where(free, values - mean[:, None], 0) ** 2).sum(1) / number
    return mean, np.sqrt(variance)


def grown(mask: Bool[np.ndarray, "height width"], pixels: int) -> Bool[np.ndarray, "height width"]:
    """The mask and all that lies within so many pixels of it."""
    result: np.ndarray = ndimage.binary_dilation(mask, iterations=pixels)
    return result


def find_body(image: Float32[np.ndarray, "height width"]) -> Bool[np.ndarray, "height width"]:
    """The largest piece that is left when the air around the body is taken away; the lungs belong to it.

    In a crop that lies within the body, nothing is air unless the window shows lung as black as air.
    """
    dark, _ = ndimage.label(image <= AIR)
    border = np.concatenate([dark[0], dark[-1], dark[:, 0], dark[:, -1]])
    pieces, number = ndimage.label(~np.isin(dark, np.setdiff1d(border, 0)))
    sizes = np.bincount(pieces.ravel(), minlength=number + 1)
    result: np.ndarray = pieces == 1 + sizes[1:].argmax() if number else np.zeros(image.shape, dtype=bool)
    return result


def ring_of(mask: Bool[np.ndarray, "height width"]) -> Bool[np.ndarray, "height width"]:
    """The surroundings of a lesion, without the first pixel around it: there the lesion's border is blurred."""
    ring: np.ndarray = grown(mask, RING) & ~grown(mask, 1)
    return ring


def to_plane(image: Float[Tensor, "h w"], label: UInt8[Tensor, "h w"]) -> Plane:
    """A slice from whatever device."""
    return Plane(image.detach().float().cpu().numpy(), label.cpu().numpy())


def _cut_out(
    patient: str, plane: Plane, value: int, classes: Mapping[int, int | None], *, margin: int
) -> Iterator[Lesion]:
    """The lesions of one class in one slice, except those that the border may have cut off."""
    # connected pieces of the class; what surrounds them is measured on free tissue
    pieces, number = ndimage.label(plane.label == value, structure=EIGHT)
    free, organ = ~np.isin(plane.label, list(classes)), classes[value]
    for piece in range(1, number + 1):
        mask = pieces == piece
        # pieces at the border are incomplete
        cut_off = mask[[0, -1]].any() or mask[:, [0, -1]].any()
        ring = ring_of(mask)
        own = None if organ is None else (plane.label == organ)[ring][None]
        mean, deviation = weighted_surroundings(plane.image[ring][None], free[ring][None], own)
        if cut_off or np.isnan(mean):
            continue
        # the patch, with a margin
        rows, columns = (np.flatnonzero(mask.any(axis)) for axis in (1, 0))
        box = tuple(slice(max(line[0] - margin, 0), line[-1] + margin + 1) for line in (rows, columns))
        image, around = plane.image[box].astype(np.float32), Surroundings(float(mean[0]), float(deviation[0]))
        yield Lesion(patient, value, organ, image, mask[box].copy(), int(mask.sum()), around)
