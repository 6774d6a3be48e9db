"""A DICOM slice with markers in every place where a name could stand."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.uid import CTImageStorage, ExplicitVRLittleEndian

MARKER = "DOEJANE"
MarkSlice = Callable[..., Path]


@pytest.fixture
def mark_slice() -> MarkSlice:
    """Write one CT slice of rows x columns voxels in Hounsfield units at z mm."""

    def write(path: Path, values: np.ndarray, number: int, z: float, **elements: Any) -> Path:
        header = Dataset()
        header.SOPClassUID, header.SOPInstanceUID, header.Modality = CTImageStorage, f"1.2.3.{number}", "CT"
        header.StudyInstanceUID, header.SeriesInstanceUID, header.FrameOfReferenceUID = "1.2.8", "1.2.9", "1.2.7"
        header.ImageType, header.InstanceNumber = ["ORIGINAL", "PRIMARY", "AXIAL", MARKER], number
        for name in (
            "PatientName",
            "PatientID",
            "StudyDescription",
            "AccessionNumber",
            "InstitutionName",
            "StationName",
        ):
            setattr(header, name, MARKER)
        header.PatientComments = f"{MARKER}, born 1950"
        header.OtherPatientIDsSequence = [Dataset()]
        header.OtherPatientIDsSequence[0].PatientID = MARKER
        header.private_block(0x0011, MARKER, create=True).add_new(1, "LO", MARKER)
        header.add_new(0x60000022, "LO", MARKER)  # of an overlay
        header.ImagePositionPatient, header.ImageOrientationPatient = [-4, -3, z], [1, 0, 0, 0, 1, 0]
        header.PixelSpacing, header.SliceThickness = [0.5, 0.75], 2
        header.RescaleSlope, header.RescaleIntercept = 1, -1024
        header.file_meta = FileMetaDataset()
        header.file_meta.TransferSyntaxUID, header.file_meta.SourceApplicationEntityTitle = (
            ExplicitVRLittleEndian,
            MARKER,
        )
        header.file_meta.MediaStorageSOPClassUID = CTImageStorage
        header.file_meta.MediaStorageSOPInstanceUID = header.SOPInstanceUID
        header.set_pixel_data((values + 1024).astype(np.uint16), "MONOCHROME2", 16, generate_instance_uid=False)
        for keyword, value in elements.items():
            setattr(header, keyword, value)
        header.preamble = MARKER.encode().ljust(128, b"\0")
        path.parent.mkdir(parents=True, exist_ok=True)
        header.save_as(path, enforce_file_format=True)
        return path

    return write
