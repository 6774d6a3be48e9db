"""What one case shows: its grid, its intensities, and of each label value how much there is, in how many pieces."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import UInt8
from scipy import ndimage

from nephrite.config import PrepareSettings
from nephrite.errors import DataError
from nephrite.imaging.dicom_file import read_content
from nephrite.imaging.label_maps.region_volume import open_region_file
from nephrite.imaging.series import visible_files
from nephrite.imaging.sources import Case, open_volume
from nephrite.imaging.volume import Image, Volume
from nephrite.survey.one_volume import one_volume

BLOCK = 32  # slices that are read at a time
SAMPLED = 50_000  # voxels of a class, or of a scan, that its percentiles are taken of
LOW, HIGH = 0.5, 99.5  # percentiles, as nnU-Net's fingerprint has them (Isensee et al. 2021)
TOUCHING = 0.1  # share of what lies about a class, from which on it lies in another
AIR = -500.0  # Hounsfield units: what lies below is air, so a scan that holds it is CT


@dataclass(frozen=True)
class ClassFacts:
    """A label value in one case.

    Attributes:
        voxels: how many.
        pieces: voxels of each connected piece.
        low: percentile of its intensities.
        high: the same, at the other end.
        inside: label value that most voxels about it have, background left out; 0 = there is next to none.
    """

    voxels: int
    pieces: tuple[int, ...]
    low: float
    high: float
    inside: int


@dataclass(frozen=True)
class CaseFacts:
    """One case.

    Attributes:
        patient: the case's name.
        shape: slices, rows, columns.
        spacing: mm between them.
        unit_given: whether the file says what lengths are measured in.
        least: smallest intensity.
        most: largest intensity.
        classes: of each label value.
    """

    patient: str
    shape: tuple[int, int, int]
    spacing: tuple[float, float, float]
    unit_given: bool
    least: float
    most: float
    classes: Mapping[int, ClassFacts]


def region_names(cases: Sequence[Case]) -> list[str]:
    """Names of the regions that DICOM SEG and RTSTRUCT of the cases mark, in small letters, in their order."""
    names: dict[str, None] = {}
    for case in cases:
        if case.layout == "kits":
            continue
        for path in visible_files(case.label):
            if read_content(path).kind == "regions":
                names |= dict.fromkeys(name.strip().casefold() for name in open_region_file(path).names)
    return [*names]


def look_at(case: Case, settings: PrepareSettings) -> CaseFacts:
    """Read a case once.

    Args:
        case: its files.
        settings: which class a named region of a DICOM label object is.

    Raises:
        DataError: scan or label map cannot be read.
    """
    with one_volume(case) as one:
        return _facts(case.patient, open_volume(one, settings))


def look_or_tell(case: Case, settings: PrepareSettings) -> CaseFacts | str:
    """The same, or in one line why the case cannot be read."""
    try:
        return look_at(case, settings)
    except DataError as error:
        return str(error)


def _facts(patient: str, volume: Volume) -> CaseFacts:
    every = {value: str(value) for value in range(1, 256)}
    label = np.concatenate([block for _, block in volume.label_blocks(BLOCK, every)])
    image = np.concatenate([block for _, block in volume.image_blocks(BLOCK)])
    values = [int(value) for value in np.unique(label) if value]
    return CaseFacts(
        patient=patient,
        shape=volume.shape,
        spacing=volume.spacing,
        unit_given=volume.unit_given,
        least=float(image.min()),
        most=float(image.max()),
        classes={value: _class_facts(volume, image, label, value) for value in values},
    )


def _class_facts(volume: Volume, image: Image, label: UInt8[np.ndarray, "..."], value: int) -> ClassFacts:
    mask = label == value
    # pieces, and what lies about them
    numbered, _ = ndimage.label(mask, np.ones((3, 3, 3)))
    pieces = np.bincount(numbered.ravel())[1:]
    around = ndimage.binary_dilation(mask) & ~mask
    neighbors = np.bincount(label[around], minlength=256)
    touching = int(neighbors[1:].argmax()) + 1
    # intensities of an even sample
    found = image[mask]
    sample = found[:: max(1, len(found) // SAMPLED)].astype(np.float64)
    low, high = np.percentile(sample, (LOW, HIGH))
    return ClassFacts(
        voxels=len(found),
        pieces=tuple(int(size) for size in pieces),
        low=float(low),
        high=float(high),
        inside=touching if neighbors[touching] >= TOUCHING * neighbors.sum() > 0 else 0,
    )
