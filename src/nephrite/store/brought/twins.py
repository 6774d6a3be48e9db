"""Synthetic scans that show a real patient: by equal files, equal voxels, an equal slice, or by how they look.

By looks as `store.twins`: alike is the median, over some slices of a fake, of the best cosine of perceptual hashes
among a patient's slices. It must lie above what different patients of the store reach by chance, of whole scans, or of
single slices where a fake has fewer than `COMPARED`. Real scans that are twins of each other do not raise that bar.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float32, Int16

from nephrite.store.persons import Persons
from nephrite.store.twins import ALIKE, COMPARED, Looks

MARGIN = 0.005  # of a cosine, above what different patients reach
SURE = 0.97  # different patients stay below, on any data that was looked at (phantom: 0.94)


@dataclass(frozen=True)
class Likeness:
    """By what a scan is recognized.

    Attributes:
        digests: SHA-256 of its files, of its stored voxels, and of each stored slice that is not of one value.
        looks: perceptual hash of each slice.
    """

    digests: frozenset[str]
    looks: Looks


@dataclass(frozen=True)
class Twin:
    """A real patient whom a fake shows.

    Attributes:
        patient: id.
        likeness: 1 for equal files, voxels or slices.
        positions: for each slice of the fake, the slice of the patient that looks most like it.
    """

    patient: str
    likeness: float
    positions: tuple[int, ...]


def likeness_of(image: Int16[np.ndarray, "slice height width"], looks: Looks, digests: Sequence[str]) -> Likeness:
    """What a stored scan is recognized by.

    Args:
        image: as stored.
        looks: of its slices.
        digests: of its files and of its voxels.
    """
    planes = {hashlib.sha256(np.ascontiguousarray(p).data).hexdigest() for p in image if p.min() != p.max()}
    return Likeness(frozenset(digests) | planes, looks)


def find_foreign_twins(
    fakes: Mapping[str, Likeness], real: Mapping[str, Likeness], persons: Persons
) -> dict[str, list[Twin]]:
    """The real patients whom each fake shows, the most alike first; fakes that show nobody are left out.

    Args:
        fakes: name to what it is recognized by.
        real: the same of real scans.
        persons: scan to who was scanned: scans of one person may look alike.
    """
    names = sorted(real)
    everyone = np.concatenate([real[name].looks for name in names]).T
    starts = np.cumsum([0, *(len(real[name].looks) for name in names[:-1])])
    whole, single = _alike_by_chance(real, names, everyone, starts, persons)
    found: dict[str, list[Twin]] = {}
    for fake, known in fakes.items():
        chosen = known.looks[_some(len(known.looks))]
        alike = np.median(np.maximum.reduceat(chosen @ everyone, starts, axis=1), axis=0)
        least = max(ALIKE, (whole if len(chosen) >= COMPARED else single) + MARGIN)
        scores = {name: float(score) for name, score in zip(names, alike, strict=True) if score >= least}
        scores |= {name: 1.0 for name in names if known.digests & real[name].digests}
        twins = [Twin(name, score, _nearest(known.looks, real[name].looks)) for name, score in scores.items()]
        if twins:
            found[fake] = sorted(twins, key=lambda twin: (-twin.likeness, twin.patient))
    return found


def _alike_by_chance(
    real: Mapping[str, Likeness],
    names: Sequence[str],
    everyone: Float32[np.ndarray, "frequency slice"],
    starts: np.ndarray,
    persons: Persons,
) -> tuple[float, float]:
    """How alike different patients are at most: by whole scans, and by single slices."""
    whole, single = 0.0, 0.0
    for name in names:
        looks = real[name].looks
        best = np.maximum.reduceat(looks[_some(len(looks))] @ everyone, starts, axis=1)
        alike = np.median(best, axis=0)
        honest = (alike < SURE) & np.array([persons[other] != persons[name] for other in names])
        whole = max(whole, float(alike[honest].max(initial=0)))
        single = max(single, float(best[:, honest].max(initial=0)))
    return whole, single


def _some(count: int) -> np.ndarray:
    """Places of at most `COMPARED` slices, evenly over the scan."""
    return np.unique(np.linspace(0, count - 1, COMPARED).round().astype(int))


def _nearest(looks: Looks, others: Looks) -> tuple[int, ...]:
    return tuple(int(place) for place in (looks @ others.T).argmax(axis=1))
