"""A DICOM series whose label map is drawn by DICOM SEG or RTSTRUCT."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from jaxtyping import Bool, UInt8
from nibabel.orientations import apply_orientation
from pydicom import dcmread

from nephrite.config import PrepareSettings
from nephrite.errors import DicomError, SourceError
from nephrite.imaging.dicom import DicomScan, open_dicom_scan
from nephrite.imaging.dicom_elements import sop_class
from nephrite.imaging.dicom_file import STRUCTURES, read_content
from nephrite.imaging.label_maps.dicom_seg import SegmentationFile
from nephrite.imaging.label_maps.regions import Overlaps, RegionFile, assign_values
from nephrite.imaging.label_maps.rtstruct import StructureFile
from nephrite.imaging.series import read_series, visible_files
from nephrite.imaging.volume import LabelMap, Volume, slice_blocks


@dataclass(frozen=True, kw_only=True)
class RegionVolume(DicomScan, Volume):
    """A DICOM series with its label objects; a slice of the label map is drawn when its block is asked for."""

    files: tuple[RegionFile, ...]
    values: tuple[Mapping[str, int], ...]  # of each file, region name to label value
    settings: PrepareSettings
    place: Path  # for messages

    def label_blocks(self, size: int, classes: Mapping[int, str]) -> Iterator[tuple[slice, LabelMap]]:
        """See `Volume`; raises a LabelValueError after the last block where classes share more than a border."""
        overlaps = Overlaps(self.settings, self.place)
        for part in slice_blocks(self.shape[0], size):
            stored = np.stack([self._draw(position, overlaps) for position in range(part.start, part.stop)])
            yield part, np.ascontiguousarray(apply_orientation(stored, self.series.transform))
        overlaps.check()

    def _draw(self, position: int, overlaps: Overlaps) -> UInt8[np.ndarray, "rows columns"]:
        masks: dict[int, Bool[np.ndarray, "rows columns"]] = {}
        for file, values in zip(self.files, self.values, strict=True):
            for name, mask in file.masks(position):
                value = values[name]
                masks[value] = masks[value] | mask if value in masks else mask
        return overlaps.paint(masks) if masks else np.zeros(self.series.images[0].size, np.uint8)


def open_regions(images: Path, labels: Path, settings: PrepareSettings) -> RegionVolume:
    """Open a case whose label map is one or more DICOM SEG or RTSTRUCT.

    Args:
        images: folder with one DICOM series.
        labels: folder with the label objects; the same one, or another.
        settings: which region is which class.

    Raises:
        DicomError: the images cannot be made into one volume, or a label object does not lie on them.
        LabelValueError: the settings do not say which class a region is.
        SourceError: there is no image or no label object.
    """
    # scan, and the files that mark regions
    series = read_series(images, with_regions=True)
    paths = series.regions if images == labels else _region_files(labels)
    if not paths:
        finding = "holds neither DICOM SEG nor RTSTRUCT"
        raise SourceError(labels, finding, "add the label object to the case, or PNG labels under Label/")
    # names first: only what is wanted must lie on the slices
    files = [open_region_file(path) for path in paths]
    assigned = assign_values(files, settings)
    used = [(file, values) for file, values in zip(files, assigned, strict=True) if values]
    for file, values in used:
        file.place(series, list(values))
    scan = open_dicom_scan(images, series)
    return RegionVolume(
        spacing=scan.spacing,
        shape=scan.shape,
        sources={**scan.sources, "label": tuple(file.path for file, _ in used)},
        header=scan.header,
        series=series,
        files=tuple(file for file, _ in used),
        values=tuple(values for _, values in used),
        settings=settings,
        place=labels,
    )


def open_region_file(path: Path) -> RegionFile:
    """Open a DICOM SEG or RTSTRUCT, told apart by its SOP class.

    Raises:
        DicomError: it cannot be read.
    """
    header = dcmread(path, force=True, stop_before_pixels=True, specific_tags=["SOPClassUID"])
    return StructureFile(path) if sop_class(header) in STRUCTURES else SegmentationFile(path)


def _region_files(folder: Path) -> tuple[Path, ...]:
    found = []
    for path in visible_files(folder):
        content = read_content(path)
        if content.kind != "regions":
            finding = f"is no label map ({content.reason or 'a slice of CT or MR'})"
            raise DicomError(path, finding, "keep PNG labels, DICOM SEG or RTSTRUCT in this folder")
        found.append(path)
    return tuple(found)
