"""Lesions found one by one: a segmenter's candidates, the reader's lesions, and which candidate hits which lesion.

What is kept allows to draw the free-response curve (FROC; Bunch et al. 1978, Chakraborty 1989) of any set of patients.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float, Integer
from scipy import ndimage

from nephrite.config import LesionRule
from nephrite.imaging.geometry import voxel_milliliters
from nephrite.metrics.overlap import same_shape
from nephrite.metrics.surface import Spacing
from nephrite.record_fields import STRICT, Count, NotNegative, Share


@dataclass(frozen=True)
class Candidate:
    """A connected component of what may be a lesion.

    Attributes:
        score: largest probability in it.
        volume: milliliters.
        hit: place of the lesion that it hits in the list of lesions; None where it hits none.
    """

    __pydantic_config__ = STRICT

    score: Share
    volume: NotNegative
    hit: Count | None


@dataclass(frozen=True)
class LesionFindings:
    """The lesions of one region in one patient, and the candidates.

    Attributes:
        lesions: milliliters of each.
        candidates: see `Candidate`.
        images: slices where components are two-dimensional, else volumes: by them false positives are counted.
    """

    __pydantic_config__ = STRICT

    lesions: tuple[NotNegative, ...]
    candidates: tuple[Candidate, ...]
    images: Count


def find_lesions(
    probability: Float[np.ndarray, "slice height width"],
    truth: Bool[np.ndarray, "slice height width"],
    rule: LesionRule,
    spacing: Spacing,
) -> LesionFindings:
    """Candidates and lesions of one volume.

    Args:
        probability: of the region.
        truth: the region as the reader marked it.
        rule: from which probability on a component is a candidate, and when it hits a lesion.
        spacing: millimeters between slices, rows and columns.

    Raises:
        VolumeError: the shapes differ.
    """
    same_shape(probability, truth)
    # components
    neighbors = ndimage.generate_binary_structure(3, 3)
    if rule.dimensions == 2:
        neighbors[[0, 2]] = False
    marked, lesions = ndimage.label(truth, neighbors)
    found, candidates = ndimage.label(probability >= rule.threshold, neighbors)
    milliliters = voxel_milliliters(spacing)
    sizes = np.bincount(marked.ravel(), minlength=lesions + 1) * milliliters
    # a lesion that is too small to count is nobody's miss, and what hits it nobody's error
    counts = sizes >= rule.smallest
    counts[0] = False
    places = np.cumsum(counts) - 1
    kept = []
    for number, box in enumerate(ndimage.find_objects(found, candidates), start=1):
        inside = found[box] == number
        lesion = _hit(inside, np.where(inside, probability[box], 0), marked[box], sizes / milliliters, rule)
        if lesion and not counts[lesion]:
            continue
        score, volume = float(probability[box][inside].max()), int(np.count_nonzero(inside)) * milliliters
        kept.append(Candidate(score, volume, int(places[lesion]) if lesion else None))
    images = len(truth) if rule.dimensions == 2 else 1
    return LesionFindings(tuple(sizes[counts].tolist()), tuple(kept), images)


def pooled(parts: Sequence[LesionFindings]) -> LesionFindings:
    """The findings of several volumes of one patient as one."""
    lesions: list[float] = []
    candidates: list[Candidate] = []
    for part in parts:
        before = len(lesions)
        lesions += part.lesions
        candidates += [
            Candidate(each.score, each.volume, None if each.hit is None else before + each.hit)
            for each in part.candidates
        ]
    return LesionFindings(tuple(lesions), tuple(candidates), sum(part.images for part in parts))


def _hit(
    inside: Bool[np.ndarray, "slice height width"],
    weights: Float[np.ndarray, "slice height width"],
    marked: Integer[np.ndarray, "slice height width"],
    sizes: Float[np.ndarray, " lesion"],
    rule: LesionRule,
) -> int:
    """Number of the lesion that a candidate hits; 0 for none.

    Args:
        inside: the candidate, in its box.
        weights: its probabilities, 0 outside of it.
        marked: numbers of the lesions in the box.
        sizes: voxels of each lesion, by its number.
        rule: see `find_lesions`.
    """
    if rule.hit == "center":
        center = ndimage.center_of_mass(weights)
        return int(marked[tuple(round(float(place)) for place in center)])
    # the lesion with the largest overlap, as a share of both together
    common = np.bincount(marked[inside], minlength=len(sizes)).astype(float)
    common[0] = 0
    shares = common / (np.count_nonzero(inside) + sizes - common)
    best = int(shares.argmax())
    return best if common[best] and shares[best] >= rule.overlap else 0
