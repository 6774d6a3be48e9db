"""A folder of DICOM files as one ordered series of slices.

Slices are ordered by position along the slice normal (DICOM PS3.3 C.7.6.2.1.1) and never by file name. Only geometry
and file paths enter messages and logs: a header may name a person, so nothing else of it is read.
"""

from __future__ import annotations

import logging
from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from jaxtyping import Float

from nephrite.errors import DicomError, SourceError
from nephrite.imaging.dicom_file import SliceHeader, read_content
from nephrite.imaging.geometry import lean, leaning, slice_distance, to_ipl

log = logging.getLogger(__name__)

_SLICE_SUFFIXES = {".dcm", ".dicom", ".ima"}  # a file of such a name is meant to be DICOM


@dataclass(frozen=True)
class Series:
    """Images of one series from superior to inferior.

    Attributes:
        distance: slice distance in mm; the nominal one (or 1 mm if the header has none) for a single slice.
        transform: nibabel's orientation transform of a block of stored slices to I, P, L.
        regions: files beside the images that mark regions (SEG, RTSTRUCT), where they were asked for.
    """

    images: tuple[SliceHeader, ...]
    distance: float
    transform: Float[np.ndarray, "3 2"]
    regions: tuple[Path, ...] = ()


def read_series(folder: Path, *, with_regions: bool = False) -> Series:
    """Make one series of the CT or MR images in a folder and the folders in it; other objects are skipped.

    Args:
        folder: with DICOM files of any name.
        with_regions: whether SEG and RTSTRUCT are asked for; else they are skipped as other objects are.

    Raises:
        DicomError: the images cannot be made into one volume, or one of them cannot be read.
        SourceError: the folder holds no CT or MR image.
    """
    # images of the folder
    images, regions = read_folder(folder, with_regions=with_regions)
    if not images:
        raise SourceError(folder, "holds no CT or MR image", "give a folder with one DICOM series")
    # one series of one direction, evenly spaced
    _check_series(folder, images)
    normal = np.cross(*images[0].directions)
    ascending = sorted(images, key=lambda image: float(image.position @ normal))
    _check_tilt(folder, ascending)
    distance = _slice_distance(ascending, normal)
    # axial, from superior to inferior
    transform = _to_target(images[0], normal)
    if transform[0, 0] != 0:
        raise DicomError(folder, "the slices are not axial", "export axial slices of this series")
    superior_first = ascending if transform[0, 1] > 0 else ascending[::-1]
    return Series(tuple(superior_first), distance, np.vstack([[0.0, 1.0], transform[1:]]), tuple(regions))


def read_folder(folder: Path, *, with_regions: bool = False) -> tuple[list[SliceHeader], list[Path]]:
    """Slices of CT or MR in a folder and the folders in it, and the files that mark regions.

    What is neither is skipped with a warning; but not a file that is no DICOM and is named as the slices are: it may be
    a slice that was damaged or half-copied.

    Raises:
        DicomError: a file is damaged, or holds a slice that cannot be used.
    """
    # sort the files by what they hold
    slices: list[SliceHeader] = []
    regions: list[Path] = []
    unread: list[Path] = []
    for path in visible_files(folder):
        content = read_content(path)
        slices += content.slices
        if content.kind == "regions" and with_regions:
            regions.append(path)
        elif content.kind != "slices":
            log.warning("%s: skipped, %s", path, content.reason)
            unread += [path] if content.reason == "not DICOM" else []
    # a slice that cannot be read would be a hole, or a scan cut short
    kinds = {_name_kind(image.path) for image in slices} | _SLICE_SUFFIXES
    for path in unread:
        if _name_kind(path) in kinds:
            finding = "is empty or not DICOM, and is named as a slice is"
            raise DicomError(path, finding, "fetch the file again, or move it out of the folder")
    return slices, regions


def visible_files(folder: Path) -> Iterator[Path]:
    """Files in a folder and the folders in it, sorted; without hidden ones."""
    for path in sorted(folder.rglob("*")):
        if path.is_file() and not any(part.startswith(".") for part in path.relative_to(folder).parts):
            yield path


def _name_kind(path: Path) -> str:
    """Suffix in small letters; '' where there is none, or where it is the last number of a UID."""
    suffix = path.suffix.lower()
    return "" if suffix[1:].isdigit() else suffix


def _check_series(folder: Path, images: Sequence[SliceHeader]) -> None:
    """Refuse several series, and images of one series that do not share one pixel grid."""
    # a single series
    series = defaultdict(list)
    for image in images:
        series[image.series].append(image)
    if len(series) > 1:
        shown = [f"...{uid[-6:]} ({len(found)} images, {found[0].name})" for uid, found in sorted(series.items())]
        finding = f"holds {len(series)} series: {' and '.join(shown)}"
        raise DicomError(folder, finding, "keep one series per case and move the others away")
    # one pixel grid and one direction
    first = images[0]
    for image in images:
        if image.size != first.size or not np.allclose(image.pixel_spacing, first.pixel_spacing, rtol=1e-3):
            finding = f"{_grid(image)} differs from {_grid(first)} of {first.path.name}"
            raise DicomError(image.path, finding, "keep images of one pixel grid in a series")
        if not np.allclose(image.directions, first.directions, atol=1e-3):
            finding = f"ImageOrientationPatient differs from that of {first.path.name}"
            raise DicomError(image.path, finding, "keep images of one direction in a series")


def _grid(image: SliceHeader) -> str:
    return f"{image.size[0]}x{image.size[1]} pixels of {image.pixel_spacing[0]:g}x{image.pixel_spacing[1]:g} mm"


def _check_tilt(folder: Path, images: Sequence[SliceHeader]) -> None:
    """Refuse a stack that leans: its slices start more than a pixel away from the line along the normal."""
    offsets = np.array([image.position - images[0].position for image in images])
    if degrees := lean(offsets, images[0].directions, images[0].pixel_spacing):
        raise DicomError(folder, *leaning(degrees))


def _slice_distance(images: Sequence[SliceHeader], normal: Float[np.ndarray, "3"]) -> float:
    """Distance between neighbors in mm; refuses two images at one position and uneven distances."""
    if len(images) == 1:
        return images[0].thickness
    # one image per position
    places = np.array([image.position @ normal for image in images])
    gaps = np.diff(places)
    for before, after, gap in zip(images, images[1:], gaps, strict=False):
        if gap < 0.01:
            finding = f"lies at the same position as {before.name}"
            raise DicomError(after.path, finding, "keep one image per position, e.g. one echo or phase")
    # one distance
    distance, odd = slice_distance(places)
    if odd is not None:
        near, median = images[odd - 1].name, np.median(gaps)
        finding = f"lies {gaps[odd - 1]:.2f} mm from {near}, but slices are {median:.2f} mm apart, to within a tenth"
        remedy = "add the missing slices, keep an evenly spaced part, or resample the series to one distance"
        raise DicomError(images[odd].path, finding, remedy)
    return distance


def _to_target(image: SliceHeader, normal: Float[np.ndarray, "3"]) -> Float[np.ndarray, "3 2"]:
    """Nibabel's orientation transform from (along the normal, row, column) to I, P, L."""
    affine = np.eye(4)
    affine[:3, :3] = np.stack([normal, image.directions[1], image.directions[0]], axis=1)
    affine[:2] *= -1  # DICOM's x and y run to left and posterior, nibabel's to right and anterior
    return to_ipl(affine)
