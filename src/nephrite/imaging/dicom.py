"""A DICOM series, alone or with PNG labels (the MOAI layout); intensities are Hounsfield units (PS3.3 C.11.1)."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import nibabel as nib
import numpy as np
from jaxtyping import Bool, Float32, Integer
from nibabel.orientations import apply_orientation
from pydicom import Dataset
from pydicom.pixels.processing import apply_rescale

from nephrite.errors import VolumeError
from nephrite.imaging.dicom_file import SliceHeader
from nephrite.imaging.dicom_pixels import decode_pixels
from nephrite.imaging.intensity import AIR, HIGHEST
from nephrite.imaging.label_maps.pairing import pair_labels
from nephrite.imaging.png import png_shape, read_png
from nephrite.imaging.series import Series, read_series
from nephrite.imaging.volume import Image, LabelMap, ScanVolume, Volume, slice_blocks


@dataclass(frozen=True, kw_only=True)
class DicomScan(ScanVolume):
    """A scan that is a DICOM series; a slice is decoded when its block is asked for."""

    series: Series

    def image_blocks(self, size: int) -> Iterator[tuple[slice, Image]]:
        """See `Volume`."""
        dtype = np.int16 if all(image.is_whole for image in self.series.images) else np.float32
        for part in slice_blocks(len(self.series.images), size):
            stored = np.stack([read_intensity(image).astype(dtype) for image in self.series.images[part]])
            yield part, np.ascontiguousarray(apply_orientation(stored, self.series.transform))


@dataclass(frozen=True, kw_only=True)
class DicomVolume(DicomScan, Volume):
    """A case of the MOAI layout."""

    labels: tuple[Path, ...]  # in the order of the series' images

    def label_blocks(self, size: int, classes: Mapping[int, str]) -> Iterator[tuple[slice, LabelMap]]:
        """See `Volume`."""
        for part in slice_blocks(len(self.labels), size):
            stored = np.stack([read_png(path, classes) for path in self.labels[part]])
            yield part, np.ascontiguousarray(apply_orientation(stored, self.series.transform))


def open_dicom_scan(images: Path, series: Series | None = None) -> DicomScan:
    """Open a scan without a label map: a folder with one DICOM series, which may have been read before.

    Raises:
        DicomError: the images cannot be made into one volume.
        SourceError: there is no image.
    """
    series = series or read_series(images)
    spacing, shape = _extent(series)
    return DicomScan(
        spacing=spacing,
        shape=shape,
        sources={"image": image_files(series)},
        header=series_header(series),
        series=series,
    )


def open_moai(images: Path, labels: Path) -> DicomVolume:
    """Open a MOAI case: a folder with one DICOM series and a folder with one PNG per slice.

    Raises:
        DicomError: the images cannot be made into one volume.
        SourceError: there is no image, or labels do not pair with images.
        VolumeError: a label has another size than its image.
    """
    # pair every slice with its label
    series = read_series(images)
    headers = series.images
    pngs = sorted(path for path in labels.iterdir() if path.suffix.lower() == ".png" and not path.name.startswith("."))
    paired = pair_labels(labels, headers, pngs)
    for image, label in zip(headers, paired, strict=True):
        if (size := png_shape(label)) != image.size:
            finding = f"size {size} differs from the image's {image.size} ({image.path.name})"
            raise VolumeError(label, finding, "give the label map of this very slice")
    # both share the grid of the series
    spacing, shape = _extent(series)
    return DicomVolume(
        spacing=spacing,
        shape=shape,
        sources={"image": image_files(series), "label": paired},
        header=series_header(series),
        series=series,
        labels=paired,
    )


def image_files(series: Series) -> tuple[Path, ...]:
    """The files behind a series' images, each once."""
    return tuple(dict.fromkeys(image.path for image in series.images))


def series_header(series: Series) -> nib.Nifti1Header:
    """The grid that readers of DICOM make of a series (ITK's): column, row, slice along the normal of the first two.

    DICOM's x and y run to left and posterior (PS3.3 C.7.6.2.1.1), NIfTI's to right and anterior.
    """
    # spans of the series in millimeters
    first, last = series.images[0], series.images[-1]
    normal = np.cross(*first.directions)
    span = float((last.position - first.position) @ normal)
    count, (rows, columns) = len(series.images), first.size
    # DICOM's patient axes (left, posterior, superior)
    affine = np.eye(4)
    affine[:3, 0] = first.directions[0] * first.pixel_spacing[1]
    affine[:3, 1] = first.directions[1] * first.pixel_spacing[0]
    affine[:3, 2] = normal * series.distance
    affine[:3, 3] = first.position if span >= 0 else last.position
    # NIfTI points right and anterior
    affine[:2] *= -1
    header = nib.Nifti1Header()
    header.set_data_shape((columns, rows, count))
    header.set_sform(affine, code="scanner")
    header.set_qform(affine, code="scanner")
    header.set_xyzt_units("mm")
    return header


def _extent(series: Series) -> tuple[tuple[float, float, float], tuple[int, int, int]]:
    """Spacing and shape of slices, rows, columns, once the series lies as `ORIENTATION` says."""
    rows, columns = (0, 1) if series.transform[1, 0] == 1 else (1, 0)
    size, spacing = series.images[0].size, series.images[0].pixel_spacing
    return (series.distance, spacing[rows], spacing[columns]), (len(series.images), size[rows], size[columns])


def read_intensity(image: SliceHeader) -> Float32[np.ndarray, "height width"]:
    """Decode one image as stored: Hounsfield units with padding as air for CT, raw or rescaled intensity for MR.

    Raises:
        VolumeError: the pixel data are missing, truncated or damaged.
    """
    pixels, header = decode_pixels(image.path, image.syntax, size=image.size, frame=image.frame)
    if image.rescale is None:
        values = apply_rescale(pixels, header).astype(np.float32)
    else:
        slope, intercept = image.rescale
        values = (pixels * slope + intercept).astype(np.float32)
    values[_padding(pixels, header)] = AIR if image.is_ct else 0.0
    return np.clip(values, AIR, HIGHEST) if image.is_ct else values


def _padding(pixels: Integer[np.ndarray, "height width"], header: Dataset) -> Bool[np.ndarray, "height width"]:
    """Where stored values are padding (PS3.3 C.7.5.1.1.2): one value, or a range if its other end is given."""
    if header.get("PixelPaddingValue") is None:
        return np.zeros(pixels.shape, dtype=bool)
    ends = [header.PixelPaddingValue, header.get("PixelPaddingRangeLimit", header.PixelPaddingValue)]
    # an end written with the wrong sign (63536 for -2000) wraps to the pixels' own type
    low, high = sorted(np.array(ends, dtype=np.int64).astype(pixels.dtype).tolist())
    return np.asarray((pixels >= low) & (pixels <= high))
