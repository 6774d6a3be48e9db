"""One DICOM file: slices of a scan, an object that marks regions, or neither.

Files are told apart by their SOP class (PS3.4 B.5), never by their name. A file is a slice, or holds slices, if it is a
CT or MR image, one of the enhanced multi-frame kinds, or a secondary capture of CT or MR that says where it lies; of
these localizers are left out. DICOM SEG and RTSTRUCT mark regions. All else (DICOMDIR, reports, dose, presentation
states) is no part of a scan. A header may name a person: nothing is read of it but what stands here.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, NamedTuple

import numpy as np
from jaxtyping import Float
from pydicom import Dataset, dcmread
from pydicom.uid import (
    UID,
    CTImageStorage,
    EnhancedCTImageStorage,
    EnhancedMRImageStorage,
    ExplicitVRLittleEndian,
    LegacyConvertedEnhancedCTImageStorage,
    LegacyConvertedEnhancedMRImageStorage,
    MRImageStorage,
    MultiFrameGrayscaleByteSecondaryCaptureImageStorage,
    MultiFrameGrayscaleWordSecondaryCaptureImageStorage,
    RTStructureSetStorage,
    SecondaryCaptureImageStorage,
    SegmentationStorage,
)

from nephrite.errors import DicomError
from nephrite.imaging.dicom_elements import BROKEN, is_dicom, numbers, sop_class
from nephrite.imaging.dicom_pixels import find_syntax
from nephrite.imaging.geometry import leaning

TILT_DEGREES = 0.1
_CT = {CTImageStorage, EnhancedCTImageStorage, LegacyConvertedEnhancedCTImageStorage}
_IMAGES = _CT | {MRImageStorage, EnhancedMRImageStorage, LegacyConvertedEnhancedMRImageStorage}
_CAPTURES = {
    SecondaryCaptureImageStorage,
    MultiFrameGrayscaleByteSecondaryCaptureImageStorage,
    MultiFrameGrayscaleWordSecondaryCaptureImageStorage,
}
LABEL_MAP_SEGMENTATION = UID("1.2.840.10008.5.1.4.1.1.66.7")
SEGMENTATIONS = {SegmentationStorage, LABEL_MAP_SEGMENTATION}
STRUCTURES = {RTStructureSetStorage}
_GEOMETRY = {"ImagePositionPatient": 3, "ImageOrientationPatient": 6, "PixelSpacing": 2, "Rows": 1, "Columns": 1}
_OTHER_TAGS = (
    "SOPClassUID Modality ImageType SeriesInstanceUID FrameOfReferenceUID InstanceNumber NumberOfFrames"
    " SpacingBetweenSlices SliceThickness GantryDetectorTilt RescaleSlope RescaleIntercept BitsStored"
    " PixelRepresentation SamplesPerPixel"
)
_PER_FRAME, _SHARED = "PerFrameFunctionalGroupsSequence", "SharedFunctionalGroupsSequence"
_GROUPS = "PixelMeasuresSequence PlanePositionSequence PlaneOrientationSequence PixelValueTransformationSequence"
GEOMETRY_REMEDY = "export it with its geometry or remove it"
RESCALE_REMEDY = "export it with its rescale tags, without which its Hounsfield units are unknown"


@dataclass(frozen=True)
class SliceHeader:
    """Where one image lies, in mm of DICOM's patient system (x to left, y to posterior, z to superior)."""

    path: Path
    series: str
    instance: int | None  # of a multi-frame file, the frame
    is_ct: bool
    is_whole: bool  # whether every intensity is a whole number that fits int16
    size: tuple[int, int]  # rows, columns
    position: Float[np.ndarray, "3"]  # center of the first pixel
    directions: Float[np.ndarray, "2 3"]  # of growing column index, of growing row index
    pixel_spacing: tuple[float, float]  # between rows, between columns
    thickness: float  # nominal slice distance
    space: str = ""  # frame of reference
    syntax: str = ExplicitVRLittleEndian  # transfer syntax, found out where the file does not say it
    frame: int | None = None  # of a multi-frame file, from 0
    rescale: tuple[float, float] | None = None  # slope and intercept of this frame alone

    @property
    def name(self) -> str:
        """File name, and number of the frame where there are several."""
        return self.path.name if self.frame is None else f"{self.path.name} (frame {self.frame + 1})"


class Content(NamedTuple):
    """What a file holds for a scan: slices, or regions, or nothing and why."""

    kind: Literal["slices", "regions", "nothing"]
    slices: tuple[SliceHeader, ...] = ()
    reason: str = ""


def read_content(path: Path) -> Content:
    """Read one file's header.

    Raises:
        DicomError: it holds slices of CT or MR that cannot be used, or it is damaged.
    """
    try:
        if not is_dicom(path):
            return Content("nothing", reason="not DICOM")
        header = dcmread(
            path,
            force=True,
            stop_before_pixels=True,
            specific_tags=[*_OTHER_TAGS.split(), *_GEOMETRY, _PER_FRAME, _SHARED],
        )
        return _content(path, header)
    except PermissionError as error:
        raise DicomError(path, "may not be read", "grant yourself the right to read it") from error
    except (*BROKEN, AttributeError) as error:
        raise DicomError(path, "its header is truncated or damaged", "fetch the file again") from error


def _content(path: Path, header: Dataset) -> Content:
    """Sort by SOP class; of a slice, check that it can be used."""
    # what it is: an image that does not say so would be a hole in the scan
    kind = sop_class(header)
    if not kind:
        if header.get("Rows") is None and header.get("Modality") is None:
            return Content("nothing", reason="not DICOM")
        raise DicomError(path, "does not say what it is (no SOPClassUID)", "export it again, or remove it")
    if kind in SEGMENTATIONS | STRUCTURES:
        return Content("regions", reason=_unlike_slice(header))
    is_image = kind in _IMAGES or (kind in _CAPTURES and _is_placed_capture(header))
    if not is_image or "LOCALIZER" in (header.get("ImageType") or []):
        return Content("nothing", reason=_unlike_slice(header))
    # how it is stored, then its one slice or its frames
    syntax = find_syntax(path, header)
    is_ct = kind in _CT or (kind in _CAPTURES and header.get("Modality") == "CT")
    return Content("slices", tuple(_slices(path, header, syntax, is_ct=is_ct)))


def _unlike_slice(header: Dataset) -> str:
    return f"modality {header.get('Modality') or 'unknown'}, not a slice of CT or MR"


def _is_placed_capture(header: Dataset) -> bool:
    """Whether a secondary capture is a gray slice of CT or MR that says where it lies: a screenshot does not."""
    is_placed = any(keyword in header for keyword in ("ImagePositionPatient", _PER_FRAME))
    return header.get("Modality") in {"CT", "MR"} and is_placed and header.get("SamplesPerPixel", 1) == 1


def _slices(path: Path, header: Dataset, syntax: str, *, is_ct: bool) -> Iterator[SliceHeader]:
    """One slice, or one per frame with the functional groups of that frame (PS3.3 C.7.6.16)."""
    # a single slice says all by itself
    frames = numbers(header, "NumberOfFrames", 1)
    count = 1 if frames is None else int(frames[0])
    if _PER_FRAME not in header and _SHARED not in header:
        if count > 1:
            finding = f"holds {count} frames and does not say where each of them lies"
            raise DicomError(path, finding, "convert it to one file per slice")
        yield _slice_header(path, path, header, syntax, is_ct=is_ct)
        return
    # a frame's own groups overrule those that all frames share
    groups = header.get(_PER_FRAME) or []
    if len(groups) != count:
        finding = f"holds {count} frames and functional groups of {len(groups)}"
        raise DicomError(path, finding, "export it again, or convert it to one file per slice")
    shared = (header.get(_SHARED) or [Dataset()])[0]
    for number, own in enumerate(groups):
        flat = Dataset()
        flat.update({key: element for key, element in header.items() if element.tag.group != 0x5200})
        for name in _GROUPS.split():
            for item in (own.get(name) or shared.get(name) or [])[:1]:
                flat.update(item)
        yield _slice_header(path, f"{path} (frame {number + 1})", flat, syntax, is_ct=is_ct, frame=number)


def _slice_header(
    path: Path, place: str | Path, header: Dataset, syntax: str, *, is_ct: bool, frame: int | None = None
) -> SliceHeader:
    """Take the geometry from a header, refusing an image that has none, or intensities of unknown meaning."""
    # geometry, all of it
    _check_rescale(place, header, is_ct=is_ct)
    _check_tag_tilt(place, header)
    found = {keyword: numbers(header, keyword, count) for keyword, count in _GEOMETRY.items()}
    geometry = {keyword: values for keyword, values in found.items() if values is not None}
    if missing := sorted(set(found) - set(geometry)):
        raise DicomError(place, f"has no valid {' and '.join(missing)}", GEOMETRY_REMEDY)
    # orthonormal axes and positive spacing
    directions = geometry["ImageOrientationPatient"].reshape(2, 3)
    if np.abs(directions @ directions.T - np.eye(2)).max() > 0.01 or geometry["PixelSpacing"].min() <= 0:
        raise DicomError(place, "ImageOrientationPatient or PixelSpacing is not a pixel grid", GEOMETRY_REMEDY)
    # optional facts
    instance = numbers(header, "InstanceNumber", 1)
    nominal = [numbers(header, keyword, 1) for keyword in ("SpacingBetweenSlices", "SliceThickness")]
    return SliceHeader(
        path=path,
        series=str(header.get("SeriesInstanceUID") or ""),
        instance=frame + 1 if frame is not None else None if instance is None else int(instance[0]),
        is_ct=is_ct,
        is_whole=_is_whole(header, is_ct=is_ct),
        size=(int(geometry["Rows"][0]), int(geometry["Columns"][0])),
        position=geometry["ImagePositionPatient"],
        directions=directions,
        pixel_spacing=(float(geometry["PixelSpacing"][0]), float(geometry["PixelSpacing"][1])),
        thickness=next((abs(float(value[0])) for value in nominal if value is not None and value[0]), 1.0),
        space=str(header.get("FrameOfReferenceUID") or ""),
        syntax=syntax,
        frame=frame,
        rescale=None if frame is None else _rescale(header),
    )


def _rescale(header: Dataset) -> tuple[float, float]:
    slope, intercept = (numbers(header, keyword, 1) for keyword in ("RescaleSlope", "RescaleIntercept"))
    return 1.0 if slope is None else float(slope[0]), 0.0 if intercept is None else float(intercept[0])


def _is_whole(header: Dataset, *, is_ct: bool) -> bool:
    """CT values above int16 are not Hounsfield units and are cut off; MR intensities may use all of uint16."""
    rescale = [numbers(header, keyword, 1) for keyword in ("RescaleSlope", "RescaleIntercept")]
    if any(value is not None and not float(value[0]).is_integer() for value in rescale):
        return False
    bits = numbers(header, "BitsStored", 1)
    fits = rescale == [None, None] and bits is not None and bits[0] <= 15 + int(header.get("PixelRepresentation") or 0)
    return is_ct or bool(fits)


def _check_rescale(place: str | Path, header: Dataset, *, is_ct: bool) -> None:
    """CT needs a valid rescale; MR needs one only if it has the tags."""
    for keyword in ("RescaleSlope", "RescaleIntercept"):
        value = numbers(header, keyword, 1)
        if value is None and (is_ct or keyword in header):
            raise DicomError(place, f"has no valid {keyword}", RESCALE_REMEDY)
        if keyword == "RescaleSlope" and value is not None and value[0] == 0:
            raise DicomError(place, "RescaleSlope is 0", RESCALE_REMEDY)


def _check_tag_tilt(place: str | Path, header: Dataset) -> None:
    tilt = numbers(header, "GantryDetectorTilt", 1)
    if tilt is not None and abs(tilt[0]) > TILT_DEGREES:
        raise DicomError(place, *leaning(abs(float(tilt[0]))))
