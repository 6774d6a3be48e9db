"""A folder of DICOM files as one ordered series of slices.

Slices are ordered by position along the slice normal (DICOM PS3.3 C.7.6.2.1.1) and never by file name. Only geometry
and file paths enter messages and logs: a header may name a person, so nothing else of it is read.
"""

from __future__ import annotations

import logging
import struct
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from jaxtyping import Float
from pydicom import Dataset, dcmread
from pydicom.errors import BytesLengthException, InvalidDicomError
from pydicom.pixels.decoders.base import get_decoder
from pydicom.uid import CTImageStorage, EnhancedCTImageStorage, EnhancedMRImageStorage, MRImageStorage

from nephrite.errors import DicomError, SourceError
from nephrite.imaging.geometry import lean, leaning, slice_distance, to_ipl

log = logging.getLogger(__name__)

TILT_DEGREES = 0.1
_IMAGES = {CTImageStorage, MRImageStorage, EnhancedCTImageStorage, EnhancedMRImageStorage}
_GEOMETRY = {"ImagePositionPatient": 3, "ImageOrientationPatient": 6, "PixelSpacing": 2, "Rows": 1, "Columns": 1}
_BROKEN = (  # what pydicom raises for a damaged header, also later, as it converts an element when that is asked for
    BytesLengthException, EOFError, KeyError, NotImplementedError, OSError, TypeError, ValueError, struct.error,
)  # fmt: skip
_OTHER_TAGS = (
    "SOPClassUID Modality ImageType SeriesInstanceUID InstanceNumber NumberOfFrames SpacingBetweenSlices SliceThickness"
    " GantryDetectorTilt RescaleSlope RescaleIntercept BitsStored PixelRepresentation"
)


@dataclass(frozen=True)
class SliceHeader:
    """Where one image lies, in mm of DICOM's patient system (x to left, y to posterior, z to superior)."""

    path: Path
    series: str
    instance: int | None
    is_ct: bool
    is_whole: bool  # whether every intensity is a whole number that fits int16
    size: tuple[int, int]  # rows, columns
    position: Float[np.ndarray, "3"]  # center of the first pixel
    directions: Float[np.ndarray, "2 3"]  # of growing column index, of growing row index
    pixel_spacing: tuple[float, float]  # between rows, between columns
    thickness: float  # nominal slice distance


@dataclass(frozen=True)
class Series:
    """Images of one series from superior to inferior.

    Attributes:
        distance: slice distance in mm; the nominal one (or 1 mm if the header has none) for a single slice.
        transform: nibabel's orientation transform of a block of stored slices to I, P, L.
    """

    images: tuple[SliceHeader, ...]
    distance: float
    transform: Float[np.ndarray, "3 2"]


def read_series(folder: Path) -> Series:
    """Read the headers of a folder's files and make one series of its CT or MR images; other objects are skipped.

    Raises:
        DicomError: the images cannot be made into one volume.
        SourceError: the folder holds no CT or MR image.
    """
    # images of the folder
    paths = sorted(path for path in folder.iterdir() if path.is_file() and not path.name.startswith("."))
    images = [image for path in paths if (image := _read_header(path)) is not None]
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
    return Series(tuple(superior_first), distance, np.vstack([[0.0, 1.0], transform[1:]]))


def _read_header(path: Path) -> SliceHeader | None:
    """Read one header; None, with a warning, if the file is no slice of CT or MR."""
    try:
        header = dcmread(path, stop_before_pixels=True, specific_tags=[*_OTHER_TAGS.split(), *_GEOMETRY])
        return _image_header(path, header)
    except InvalidDicomError as error:
        if path.suffix.lower() == ".dcm":
            raise DicomError(path, "is empty or not DICOM", "fetch the file again") from error
        log.warning("%s: skipped, not DICOM", path)
        return None
    except _BROKEN as error:
        raise DicomError(path, "its header is truncated or damaged", "fetch the file again") from error


def _image_header(path: Path, header: Dataset) -> SliceHeader | None:
    """Check that a file's image can be used; None, with a warning, if it has none of CT or MR."""
    if header.get("SOPClassUID") not in _IMAGES or "LOCALIZER" in (header.get("ImageType") or []):
        log.warning("%s: skipped, modality %s, not a slice of CT or MR", path, header.get("Modality") or "unknown")
        return None
    if (frames := _numbers(header, "NumberOfFrames", 1)) is not None and frames[0] > 1:
        raise DicomError(path, f"holds {frames[0]:.0f} frames", "convert it to one file per slice")
    _check_decoder(path, header)
    _check_rescale(path, header)
    _check_tag_tilt(path, header)
    return _slice_header(path, header)


def _slice_header(path: Path, header: Dataset) -> SliceHeader:
    """Take the geometry from a header, refusing an image that has none."""
    # geometry, all of it
    found = {keyword: _numbers(header, keyword, count) for keyword, count in _GEOMETRY.items()}
    geometry = {keyword: values for keyword, values in found.items() if values is not None}
    if missing := sorted(set(found) - set(geometry)):
        raise DicomError(path, f"has no valid {' and '.join(missing)}", "export it with its geometry or remove it")
    # orthonormal axes and positive spacing
    directions = geometry["ImageOrientationPatient"].reshape(2, 3)
    if np.abs(directions @ directions.T - np.eye(2)).max() > 0.01 or geometry["PixelSpacing"].min() <= 0:
        finding = "ImageOrientationPatient or PixelSpacing is not a pixel grid"
        raise DicomError(path, finding, "export it with its geometry or remove it")
    # optional facts
    instance = _numbers(header, "InstanceNumber", 1)
    nominal = [_numbers(header, keyword, 1) for keyword in ("SpacingBetweenSlices", "SliceThickness")]
    return SliceHeader(
        path=path,
        series=str(header.get("SeriesInstanceUID") or ""),
        instance=None if instance is None else int(instance[0]),
        is_ct=_is_ct(header),
        is_whole=_is_whole(header),
        size=(int(geometry["Rows"][0]), int(geometry["Columns"][0])),
        position=geometry["ImagePositionPatient"],
        directions=directions,
        pixel_spacing=(float(geometry["PixelSpacing"][0]), float(geometry["PixelSpacing"][1])),
        thickness=next((abs(float(value[0])) for value in nominal if value is not None and value[0]), 1.0),
    )


def _numbers(header: Dataset, keyword: str, count: int) -> Float[np.ndarray, " count"] | None:
    """An element's finite numbers, or None where it is missing, empty or something else."""
    try:
        values = np.atleast_1d(np.asarray(header.get(keyword), dtype=np.float64))
    except (ValueError, TypeError):
        return None
    return values if values.shape == (count,) and np.isfinite(values).all() else None


def _is_ct(header: Dataset) -> bool:
    return header.get("SOPClassUID") in {CTImageStorage, EnhancedCTImageStorage}


def _is_whole(header: Dataset) -> bool:
    """CT values above int16 are not Hounsfield units and are cut off; MR intensities may use all of uint16."""
    rescale = [_numbers(header, keyword, 1) for keyword in ("RescaleSlope", "RescaleIntercept")]
    if any(value is not None and not float(value[0]).is_integer() for value in rescale):
        return False
    bits = _numbers(header, "BitsStored", 1)
    fits = rescale == [None, None] and bits is not None and bits[0] <= 15 + int(header.get("PixelRepresentation") or 0)
    return _is_ct(header) or bool(fits)


def _check_decoder(path: Path, header: Dataset) -> None:
    syntax = header.file_meta.get("TransferSyntaxUID")
    try:
        decoder = get_decoder(syntax)
    except (NotImplementedError, ValueError):
        raise DicomError(path, f"transfer syntax {syntax} is unknown", "decompress the series") from None
    if not decoder.is_available:
        packages = " or ".join(decoder.missing_dependencies)
        finding = f"is compressed as {syntax.name} ({syntax}) and no decoder is installed"
        raise DicomError(path, finding, f"install one of: {packages}, or decompress the series")


def _check_rescale(path: Path, header: Dataset) -> None:
    """CT needs a valid rescale; MR needs one only if it has the tags."""
    remedy = "export it with its rescale tags, without which its Hounsfield units are unknown"
    for keyword in ("RescaleSlope", "RescaleIntercept"):
        value = _numbers(header, keyword, 1)
        if value is None and (_is_ct(header) or keyword in header):
            raise DicomError(path, f"has no valid {keyword}", remedy)
        if keyword == "RescaleSlope" and value is not None and value[0] == 0:
            raise DicomError(path, "RescaleSlope is 0", remedy)


def _check_tag_tilt(path: Path, header: Dataset) -> None:
    tilt = _numbers(header, "GantryDetectorTilt", 1)
    if tilt is not None and abs(tilt[0]) > TILT_DEGREES:
        raise DicomError(path, *leaning(abs(float(tilt[0]))))


def _check_series(folder: Path, images: Sequence[SliceHeader]) -> None:
    """Refuse several series, and images of one series that do not share one pixel grid."""
    # a single series
    series = defaultdict(list)
    for image in images:
        series[image.series].append(image)
    if len(series) > 1:
        shown = [f"...{uid[-6:]} ({len(found)} images, {found[0].path.name})" for uid, found in sorted(series.items())]
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
            finding = f"lies at the same position as {before.path.name}"
            raise DicomError(after.path, finding, "keep one image per position")
    # one distance
    distance, odd = slice_distance(places)
    if odd is not None:
        near, median = images[odd - 1].path.name, np.median(gaps)
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
