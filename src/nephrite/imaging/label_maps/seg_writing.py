"""A label map as DICOM SEG (PS3.3 A.51), one binary segment per class, for the series that it was found in.

The object takes patient and study from the series, so that an archive files it there: it is as private as the series.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from jaxtyping import UInt8
from nibabel.orientations import apply_orientation, ornt_transform
from pydicom import Dataset, dcmread
from pydicom.uid import generate_uid

from nephrite import __version__
from nephrite.errors import DicomError
from nephrite.imaging.dicom_elements import BROKEN
from nephrite.imaging.series import Series

if TYPE_CHECKING:
    from highdicom.seg import SegmentDescription

NEEDED = ("StudyInstanceUID", "FrameOfReferenceUID", "SOPInstanceUID")
MAY_BE_EMPTY = (  # type 2 (PS3.5 7.4.3): de-identified series often lack what should be there and empty
    *("PatientID", "PatientName", "PatientBirthDate", "PatientSex", "StudyID", "StudyDate", "StudyTime"),
    *("AccessionNumber", "ReferringPhysicianName"),
)
STORED = np.array([[0, 1], [1, 1], [2, 1]])  # nibabel's orientation of a block as it is
SERIES_NUMBER = 900  # beyond those of a scanner
REMEDY = "leave '--dicom-seg' out for this series"


def check_source(series: Series) -> None:
    """Refuse a series to which no DICOM SEG can refer.

    Raises:
        DicomError: it lies in multi-frame files, or an element is missing that names study or space.
    """
    for image in series.images:
        if image.frame is not None:
            raise DicomError(image.path, "is a multi-frame file, for which no DICOM SEG is written", REMEDY)
    first = series.images[0].path
    header = dcmread(first, force=True, stop_before_pixels=True)
    if missing := [name for name in NEEDED if name not in header]:
        finding = f"lacks {', '.join(missing)}, which a DICOM SEG refers to"
        raise DicomError(first, finding, f"export the series with it, or {REMEDY}")


def write_segmentation(
    path: Path,
    mask: UInt8[np.ndarray, "slice height width"],
    series: Series,
    classes: Mapping[int, str],
    *,
    model: str,
) -> bool:
    """Write the classes that a label map holds; a DICOM SEG of nothing does not exist.

    Args:
        path: of the file.
        mask: with the axes of `ORIENTATION`.
        series: that it was found in.
        classes: label value to name, which becomes the label of a segment.
        model: name and version of what found it.

    Returns:
        Whether there was anything to write.

    Raises:
        DicomError: the headers of the series do not make one.
    """
    from highdicom.seg import Segmentation

    present = [value for value in classes if (mask == value).any()]
    if not present:
        return False
    # slices as the series has them, one channel per segment
    stored = apply_orientation(mask, ornt_transform(STORED, series.transform))
    segments = np.stack([stored == value for value in present], axis=-1).astype(np.uint8)
    try:
        made = Segmentation(
            [_header(image.path, series.distance) for image in series.images],
            segments,
            "BINARY",
            [_describe(number, classes[value], model) for number, value in enumerate(present, start=1)],
            series_instance_uid=generate_uid(),
            series_number=SERIES_NUMBER,
            sop_instance_uid=generate_uid(),
            instance_number=1,
            manufacturer="Nephrite",
            manufacturer_model_name="nephrite predict",
            software_versions=__version__,
            device_serial_number="0",
            series_description="Not a medical device: not checked",
        )
        made.save_as(path)
    except (*BROKEN, AttributeError) as error:  # which element is wrong says nothing of the person; its value might
        finding = f"its headers make no DICOM SEG ({type(error).__name__})"
        raise DicomError(series.images[0].path, finding, REMEDY) from error
    return True


def _header(path: Path, distance: float) -> Dataset:
    header = dcmread(path, force=True, stop_before_pixels=True)
    for name in MAY_BE_EMPTY:
        if name not in header:
            setattr(header, name, "")
    if not header.get("SliceThickness"):
        header.SliceThickness = f"{distance:.6g}"
    return header


def _describe(number: int, name: str, model: str) -> SegmentDescription:
    from highdicom import AlgorithmIdentificationSequence
    from highdicom.seg import SegmentDescription
    from pydicom.sr.codedict import codes

    algorithm = AlgorithmIdentificationSequence(
        name=model[:64], family=codes.DCM.ArtificialIntelligence, version=__version__
    )
    return SegmentDescription(  # what a class is, only its name says
        segment_number=number,
        segment_label=name[:64],
        segmented_property_category=codes.SCT.AnatomicalStructure,
        segmented_property_type=codes.SCT.AnatomicalStructure,
        algorithm_type="AUTOMATIC",
        algorithm_identification=algorithm,
    )
