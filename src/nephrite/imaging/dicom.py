"""A DICOM series with PNG labels (MOAI layout) as a `Volume`.

Slices are ordered by position along the slice normal (DICOM PS3.3 C.7.6.2.1.1) and never by file name; intensities are
Hounsfield units by the modality rescale (C.11.1). Only geometry and file paths enter messages and logs: a header may name
a person, so nothing else of it is read.
"""

from __future__ import annotations

import logging
from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NoReturn

import numpy as np
from jaxtyping import Bool, Float, Float32, Integer
from nibabel.orientations import apply_orientation, axcodes2ornt, io_orientation, ornt_transform
from pydicom import Dataset, dcmread
from pydicom.errors import InvalidDicomError
from pydicom.pixels import apply_rescale, get_decoder, pixel_array
from pydicom.uid import CTImageStorage, EnhancedCTImageStorage, EnhancedMRImageStorage, MRImageStorage

from nephrite.errors import DicomError, SourceError, VolumeError
from nephrite.imaging.png import pair_labels, png_shape, read_png
from nephrite.imaging.volume import ORIENTATION, Image, LabelMap, Volume, slice_blocks

log = logging.getLogger(__name__)

AIR = -1024.0  # HU; padding and everything below is set to it
TILT_DEGREES = 0.1
GAP_TOLERANCE = 0.25  # of the median slice distance: a missing slice is 1.0, rounded positions stay below 0.2
_IMAGES = {CTImageStorage, MRImageStorage, EnhancedCTImageStorage, EnhancedMRImageStorage}
_TAGS = [
    "SOPClassUID", "Modality", "ImageType", "SeriesInstanceUID", "InstanceNumber", "NumberOfFrames", "Rows", "Columns",
    "ImagePositionPatient", "ImageOrientationPatient", "PixelSpacing", "SpacingBetweenSlices", "SliceThickness",
    "GantryDetectorTilt", "RescaleSlope", "RescaleIntercept",
]  # fmt: skip


@dataclass(frozen=True)
class SliceHeader:
    """Where one image lies; positions and directions in mm in DICOM's patient system (left, posterior, superior)."""

    path: Path
    series: str
    instance: int | None
    is_ct: bool
    size: tuple[int, int]
    position: np.ndarray
    directions: np.ndarray  # [2, 3]: along a row (column index grows), along a column (row index grows)
    pixel_spacing: tuple[float, float]  # between rows, between columns
    thickness: float


@dataclass(frozen=True, kw_only=True)
class DicomVolume(Volume):
    """A series of the MOAI layout; a slice is decoded when its block is asked for."""

    images: tuple[SliceHeader, ...]
    labels: tuple[Path, ...]
    transform: np.ndarray  # nibabel orientation transform of a block of stored slices

    def image_blocks(self, size: int) -> Iterator[tuple[slice, Image]]:
        """See `Volume`; float32."""
        for part in slice_blocks(len(self.images), size):
            stored = np.stack([read_intensity(image) for image in self.images[part]])
            yield part, np.ascontiguousarray(apply_orientation(stored, self.transform))

    def label_blocks(self, size: int, classes: Mapping[int, str]) -> Iterator[tuple[slice, LabelMap]]:
        """See `Volume`."""
        for part in slice_blocks(len(self.labels), size):
            stored = np.stack([read_png(path, classes) for path in self.labels[part]])
            yield part, np.ascontiguousarray(apply_orientation(stored, self.transform))


def open_moai(images: Path, labels: Path) -> DicomVolume:
    """Open a MOAI case: a folder with one DICOM series and a folder with one PNG per slice.

    Raises:
        DicomError: the series cannot be made into one volume.
        SourceError: the folder holds no image, or labels do not pair with images.
        VolumeError: a label of another size than its image.
    """
    series = one_series(images, [header for path in _files(images) if (header := _image_header(path))])
    ordered, distance, transform = order_slices(images, series)
    pngs = sorted(path for path in _files(labels) if path.suffix.lower() == ".png")
    paired = pair_labels([image.path for image in ordered], [image.instance for image in ordered], pngs)
    for image, label in zip(ordered, paired, strict=True):
        if (size := png_shape(label)) != image.size:
            finding = f"size {size} differs from the image's {image.size} ({image.path.name})"
            raise VolumeError(label, finding, "give the label map of this very slice")
    spacing, shape = (distance, *ordered[0].pixel_spacing), (len(ordered), *ordered[0].size)
    axes = np.argsort(transform[:, 0])
    return DicomVolume(
        spacing=(spacing[axes[0]], spacing[axes[1]], spacing[axes[2]]),
        shape=(shape[axes[0]], shape[axes[1]], shape[axes[2]]),
        sources={"image": tuple(image.path for image in ordered), "label": paired},
        images=ordered,
        labels=paired,
        transform=transform,
    )


def one_series(folder: Path, images: Sequence[SliceHeader]) -> Sequence[SliceHeader]:
    """Refuse a folder without images, with several series, or with images of several sizes.

    Raises:
        SourceError: no CT or MR image.
        DicomError: names the series by the end of their UIDs, or the sizes.
    """
    if not images:
        raise SourceError(folder, "holds no CT or MR image", "give a folder with one DICOM series")
    series = defaultdict(list)
    for image in images:
        series[image.series].append(image)
    if len(series) > 1:
        shown = [f"...{uid[-6:]} ({len(found)} images, {found[0].path.name})" for uid, found in sorted(series.items())]
        finding = f"holds {len(series)} series: {' and '.join(shown)}"
        raise DicomError(folder, finding, "keep one series per case and move the others away")
    odd = next((image for image in images if image.size != images[0].size), None)
    if odd:
        finding = f"size {odd.size} differs from {images[0].size} of {images[0].path.name}"
        raise DicomError(odd.path, finding, "keep images of one size in a series")
    return images


def order_slices(
    folder: Path, images: Sequence[SliceHeader]
) -> tuple[tuple[SliceHeader, ...], float, Float[np.ndarray, "3 2"]]:
    """Order images from superior to inferior.

    Returns:
        The ordered images, the median slice distance in mm, and the transform of their stored axes to I, P, L.

    Raises:
        DicomError: a tilted gantry, several directions, an image twice, a gap, or slices that are not axial.
    """
    first = images[0]
    normal = np.cross(*first.directions)
    _check_directions(folder, images)
    along = np.array([image.position @ normal for image in images])
    rank = np.argsort(along, kind="stable")
    ascending, distance = [images[index] for index in rank], first.thickness
    if len(images) > 1:
        _check_tilt(folder, ascending, normal)
        distance = _check_gaps(ascending, np.diff(along[rank]))
    transform = _transform(first, normal)
    if transform[0, 0] != 0:
        raise DicomError(folder, "the slices are not axial", "export axial slices of this series")
    superior_first = ascending if transform[0, 1] > 0 else ascending[::-1]
    return tuple(superior_first), distance, np.vstack([[0, 1], transform[1:]])


def read_intensity(image: SliceHeader) -> Float32[np.ndarray, "height width"]:
    """Decode one image: Hounsfield units for CT with padding as air, raw or rescaled intensity for MR.

    Raises:
        VolumeError: the pixel data are truncated or damaged.
    """
    header = Dataset()
    try:
        pixels = pixel_array(image.path, ds_out=header)
    except (ValueError, AttributeError, EOFError, RuntimeError, OSError) as error:
        raise VolumeError(image.path, "pixel data are truncated or damaged", "fetch the file again") from error
    values = apply_rescale(pixels, header).astype(np.float32)
    values[_padding(pixels, header)] = AIR if image.is_ct else 0
    return np.maximum(values, np.float32(AIR)) if image.is_ct else values


def _files(folder: Path) -> list[Path]:
    return sorted(path for path in folder.iterdir() if path.is_file() and not path.name.startswith("."))


def _image_header(path: Path) -> SliceHeader | None:
    """Read one file's header; None, with a warning, for a file that is not a CT or MR image."""
    try:
        header = dcmread(path, stop_before_pixels=True, specific_tags=[*_TAGS])
    except (InvalidDicomError, EOFError, OSError) as error:
        if path.suffix.lower() == ".dcm":
            raise DicomError(path, "is empty or not DICOM", "fetch the file again") from error
        log.warning("%s: skipped, not DICOM", path)
        return None
    kind = header.get("SOPClassUID")
    if kind not in _IMAGES or "LOCALIZER" in (header.get("ImageType") or []):
        log.warning("%s: skipped, modality %s is not a slice of CT or MR", path, header.get("Modality") or "unknown")
        return None
    _check_decodable(path, header)
    if header.get("Modality") == "CT":
        _check_rescale(path, header)
    return _slice_header(path, header)


def _slice_header(path: Path, header: Dataset) -> SliceHeader:
    """Take the geometry from a header, refusing an image that has none."""
    numbers = {keyword: _numbers(header, keyword, count) for keyword, count in _GEOMETRY.items()}
    for keyword, values in numbers.items():
        if values is None:
            raise DicomError(path, f"has no valid {keyword}", "export the series with its geometry, or leave it out")
    tilt = _numbers(header, "GantryDetectorTilt", 1)
    if tilt is not None and abs(tilt[0]) > TILT_DEGREES:
        _refuse_tilt(path, abs(float(tilt[0])))
    thickness = _numbers(header, "SpacingBetweenSlices", 1)
    return SliceHeader()


def _numbers(header: Dataset, keyword: str, count: int) -> Float[np.ndarray, " count"] | None:
    """An element's finite numbers, or None where it is missing, empty or something else."""
    try:
        values = np.atleast_1d(np.asarray(header.get(keyword), dtype=np.float64))
    except (ValueError, TypeError):
        return None
    return values if values.shape == (count,) and np.isfinite(values).all() else None
