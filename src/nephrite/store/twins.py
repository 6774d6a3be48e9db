"""One scan under two names: the same stored voxels, or slices that look nearly the same.

A perceptual hash of each slice, in the manner of pHash (Zauner 2010): low frequencies of the cosine transform of a
small picture. Gray levels are ranked first, so that another window changes little; the lowest frequencies, which all
bodies share, are left out. Real-valued instead of bits: pairs are told apart better, and comparing is a matrix product.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

import numpy as np
from jaxtyping import Float, Float32, Int, Int16
from PIL import Image

from nephrite.errors import SourceError

log = logging.getLogger(__name__)

SIDE, GRAYS = 32, 32  # pixels and gray levels of the small picture
LOWEST, HIGHEST = 3, 12  # cosine frequencies per axis: the block below LOWEST is left out
COMPARED = 16  # slices of the shorter scan that are looked for in the longer one
ALIKE = 0.93  # different patients reach 0.90 (curvas, lidc, phantom), a scan resampled or windowed anew falls to 0.95
SAMPLED = 1 << 20  # voxels that percentiles are estimated from
SHOWN = 10  # pairs that are told one by one
# DCT-II, orthonormal: one row per frequency that is kept. Importing SciPy for it would cost each worker a second
COSINES = np.sqrt(2 / SIDE) * np.cos(np.pi / SIDE * np.outer(np.arange(HIGHEST), np.arange(SIDE) + 0.5))
COSINES[0] /= np.sqrt(2)

Looks = Float32[np.ndarray, "slice frequency"]


class NearTwins(NamedTuple):
    """Two patients whose scans look nearly the same; the likeness is 1 for equal slices."""

    first: str
    second: str
    likeness: float


def slice_looks(image: Int16[np.ndarray, "slice height width"]) -> Looks:
    """The perceptual hash of every slice, of length one; zeros for a slice of one gray level."""
    # gray levels between robust ends of the scan
    voxels = image.reshape(-1)
    low, high = np.percentile(voxels[:: max(1, voxels.size // SAMPLED)], (1, 99))
    looks = np.zeros((len(image), HIGHEST**2), np.float32)
    for number, plane in enumerate(image):
        gray = np.clip((plane.astype(np.float32) - low) / max(high - low, 1), 0, 1).astype(np.float32)
        small = np.asarray(Image.fromarray(gray).resize((SIDE, SIDE), Image.Resampling.BOX))
        # ranks, then frequencies without the lowest
        frequencies = COSINES @ _mean_ranks(np.rint(small * GRAYS).astype(int)) @ COSINES.T
        frequencies[:LOWEST, :LOWEST] = 0
        length = float(np.linalg.norm(frequencies))
        if length > 1:
            looks[number] = frequencies.ravel() / length
    return looks


def _mean_ranks(grays: Int[np.ndarray, "height width"]) -> Float[np.ndarray, "height width"]:
    """Ranks of gray levels from 1, equal ones with the mean of theirs, as `scipy.stats.rankdata` has them."""
    counts = np.bincount(grays.ravel())
    ranks: Float[np.ndarray, "height width"] = (np.cumsum(counts) - (counts - 1) / 2)[grays]
    return ranks


def find_near_twins(looks: Mapping[str, Looks]) -> list[NearTwins]:
    """All pairs of patients whose scans look nearly the same, the most alike first.

    Alike is the median, over slices of the shorter scan, of the best cosine among the slices of the longer one.
    """
    # one matrix product per patient, with the slices of all
    names = sorted(looks)
    counts = [len(looks[name]) for name in names]
    everyone, starts = np.concatenate([looks[name] for name in names]).T, np.cumsum([0, *counts[:-1]])
    pairs = []
    for place, name in enumerate(names):
        chosen = np.unique(np.linspace(0, counts[place] - 1, COMPARED).round().astype(int))
        best = np.maximum.reduceat(looks[name][chosen] @ everyone, starts, axis=1)
        alike = np.median(best, axis=0)
        # each pair once, seen from its shorter scan
        for other in np.flatnonzero(alike >= ALIKE):
            if (counts[place], place) < (counts[other], other):
                first, second = sorted((name, names[other]))
                pairs.append(NearTwins(first, second, float(alike[other])))
    return sorted(pairs, key=lambda pair: -pair.likeness)


def warn_of_near_twins(raw: Path, pairs: list[NearTwins], splits: Mapping[str, str]) -> None:
    """Say which scans look nearly the same, and in which splits they stand."""
    for first, second, alike in pairs[:SHOWN]:
        log.warning(
            "%s: looks nearly the same as '%s' (likeness %.2f; in %s and %s); if they are of one patient, say so in "
            "'acquire.patients', or keep one",
            raw / first, second, alike, splits[first], splits[second],
        )  # fmt: skip
    if len(pairs) > SHOWN:
        log.warning("%s: %d more pairs of scans look nearly the same", raw, len(pairs) - SHOWN)


def check_twins(raw: Path, patient: str, digests: list[str], owners: dict[str, str]) -> None:
    """Refuse one scan under two names, in whatever format: it could stand in training and in test.

    Args:
        raw: folder of the cases, for the message.
        patient: id.
        digests: of the scan's files and of its stored voxels.
        owners: digest to the patient who had it first; grows.

    Raises:
        SourceError: another patient has one of the digests.
    """
    for digest in digests:
        twin = owners.setdefault(digest, patient)
        if twin != patient:
            raise SourceError(raw / patient, f"holds the same scan as '{twin}'", "keep one of them")
