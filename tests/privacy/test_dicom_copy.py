from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from pydicom import Dataset, dcmread, dcmwrite
from pydicom.dataset import FileMetaDataset
from pydicom.uid import (
    UID,
    CTImageStorage,
    DeflatedExplicitVRLittleEndian,
    EnhancedCTImageStorage,
    ExplicitVRBigEndian,
    ExplicitVRLittleEndian,
    ImplicitVRLittleEndian,
    RLELossless,
    RTStructureSetStorage,
)

from nephrite.errors import DicomError
from nephrite.privacy.dicom_copy import copy_dicom

MARKER, SALT = b"DOEJANE", "ab" * 32
MarkSlice = Callable[..., Path]
VALUES = np.arange(48).reshape(6, 8)
GEOMETRY = (  # keywords
    "Rows Columns PixelSpacing ImagePositionPatient ImageOrientationPatient SliceThickness RescaleSlope"
    " RescaleIntercept BitsStored InstanceNumber Modality SOPClassUID"
)


@pytest.fixture
def source(mark_slice: MarkSlice, tmp_path: Path) -> Path:
    return mark_slice(tmp_path / "a.dcm", VALUES, 1, 2.5)


def test_geometry_and_pixels_stay_and_all_else_goes(source: Path, tmp_path: Path) -> None:
    copy_dicom(source, tmp_path / "b.dcm", SALT)
    before, after = dcmread(source), dcmread(tmp_path / "b.dcm")
    assert source.read_bytes().count(MARKER) > 10
    assert MARKER not in (tmp_path / "b.dcm").read_bytes()
    assert [after[name].value for name in GEOMETRY.split()] == [before[name].value for name in GEOMETRY.split()]
    assert np.array_equal(after.pixel_array, before.pixel_array)
    assert list(after.ImageType) == ["ORIGINAL", "PRIMARY", "AXIAL"]
    assert (after.PatientIdentityRemoved, str(after.PatientName)) == ("YES", "")


def test_identifiers_are_hashed_the_same_to_the_same(source: Path, mark_slice: MarkSlice, tmp_path: Path) -> None:
    other = mark_slice(tmp_path / "c.dcm", VALUES, 2, 5)
    for path in (source, other):
        copy_dicom(path, tmp_path / f"new-{path.name}", SALT)
    copy_dicom(source, tmp_path / "salted.dcm", "cd" * 32)
    one, two, salted = (dcmread(tmp_path / name) for name in ("new-a.dcm", "new-c.dcm", "salted.dcm"))
    assert one.SeriesInstanceUID == two.SeriesInstanceUID
    assert one.SOPInstanceUID != two.SOPInstanceUID
    assert len({"1.2.9", one.SeriesInstanceUID, salted.SeriesInstanceUID}) == 3
    assert one.file_meta.MediaStorageSOPInstanceUID == one.SOPInstanceUID


def test_a_value_that_is_no_number_goes(source: Path, tmp_path: Path) -> None:
    content = source.read_bytes()
    at = content.index(b"0.5\\0.75")
    source.write_bytes(content[:at] + MARKER + b" " + content[at + 8 :])
    copy_dicom(source, tmp_path / "b.dcm", SALT)
    assert "PixelSpacing" not in dcmread(tmp_path / "b.dcm")
    assert MARKER not in (tmp_path / "b.dcm").read_bytes()


def test_compressed_pixels_stay_as_they_are_stored(source: Path, tmp_path: Path) -> None:
    header = dcmread(source)
    header.compress(RLELossless, generate_instance_uid=False)
    header.save_as(tmp_path / "c.dcm")
    copy_dicom(tmp_path / "c.dcm", tmp_path / "b.dcm", SALT)
    after = dcmread(tmp_path / "b.dcm")
    assert after.PixelData == dcmread(tmp_path / "c.dcm").PixelData
    assert after.file_meta.TransferSyntaxUID == RLELossless
    assert np.array_equal(after.pixel_array, VALUES + 1024)


@pytest.mark.parametrize("syntax", [ImplicitVRLittleEndian, ExplicitVRLittleEndian, ExplicitVRBigEndian])
@pytest.mark.parametrize("says_it", [True, False], ids=["with syntax", "without syntax"])
def test_every_way_of_storing_elements_is_kept(syntax: UID, says_it: bool, source: Path, tmp_path: Path) -> None:
    header = dcmread(source)
    for tag in (0x00110010, 0x00111001):
        del header[tag]
    stored = (VALUES + 1024).astype("<u2" if syntax != ExplicitVRBigEndian else ">u2")
    header["PixelData"].value, header.PixelPaddingValue = stored.tobytes(), 1024
    header["PixelPaddingValue"].VR = "US"
    header.file_meta = FileMetaDataset()
    if says_it:
        header.file_meta.TransferSyntaxUID = syntax
    how = {"implicit_vr": syntax == ImplicitVRLittleEndian, "little_endian": syntax != ExplicitVRBigEndian}
    dcmwrite(tmp_path / "c.dcm", header, **({} if says_it else how))
    copy_dicom(tmp_path / "c.dcm", tmp_path / "b.dcm", SALT)
    after = dcmread(tmp_path / "b.dcm")
    assert after.file_meta.TransferSyntaxUID == syntax
    assert np.array_equal(after.pixel_array, VALUES + 1024)
    assert after.PixelPaddingValue == 1024


def test_functional_groups_of_frames_stay(source: Path, tmp_path: Path) -> None:
    header = dcmread(source)
    header.SOPClassUID = EnhancedCTImageStorage
    place, frame, measures = Dataset(), Dataset(), Dataset()
    place.ImagePositionPatient = [1, 2, 3]
    frame.PlanePositionSequence = [place]
    frame.FrameAnatomySequence = [Dataset()]
    frame.FrameAnatomySequence[0].add_new(0x00080104, "LO", MARKER.decode())
    measures.PixelMeasuresSequence = [Dataset()]
    measures.PixelMeasuresSequence[0].PixelSpacing = [0.5, 0.5]
    header.PerFrameFunctionalGroupsSequence, header.SharedFunctionalGroupsSequence = [frame], [measures]
    header.save_as(tmp_path / "c.dcm")
    copy_dicom(tmp_path / "c.dcm", tmp_path / "b.dcm", SALT)
    after = dcmread(tmp_path / "b.dcm")
    assert after.PerFrameFunctionalGroupsSequence[0].PlanePositionSequence[0].ImagePositionPatient == [1, 2, 3]
    assert after.SharedFunctionalGroupsSequence[0].PixelMeasuresSequence[0].PixelSpacing == [0.5, 0.5]
    assert MARKER not in (tmp_path / "b.dcm").read_bytes()


def test_structure_set_still_belongs_to_its_series(source: Path, tmp_path: Path) -> None:
    # one region with one contour on the slice
    structures, region, drawn, contour, image = (Dataset() for _ in range(5))
    structures.SOPClassUID, structures.SOPInstanceUID, structures.Modality = RTStructureSetStorage, "1.2.5", "RTSTRUCT"
    structures.StructureSetLabel = structures.ReviewerName = MARKER.decode()
    region.ROINumber, region.ROIName, region.ReferencedFrameOfReferenceUID = 1, "Niere rechts \u00df", "1.2.7"
    region.ROIDescription = MARKER.decode()
    image.ReferencedSOPClassUID, image.ReferencedSOPInstanceUID = CTImageStorage, "1.2.3.1"
    contour.ContourGeometricType, contour.NumberOfContourPoints = "CLOSED_PLANAR", 3
    contour.ContourData, contour.ContourImageSequence = [0, 0, 2.5, 1, 0, 2.5, 1, 1, 2.5], [image]
    drawn.ReferencedROINumber, drawn.ContourSequence = 1, [contour]
    structures.StructureSetROISequence, structures.ROIContourSequence = [region], [drawn]
    structures.SpecificCharacterSet = "ISO_IR 100"
    structures.file_meta = FileMetaDataset()
    structures.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    structures.save_as(tmp_path / "r.dcm", enforce_file_format=True)
    # its copy and that of the slice
    copy_dicom(tmp_path / "r.dcm", tmp_path / "s.dcm", SALT)
    copy_dicom(source, tmp_path / "b.dcm", SALT)
    after, slice_after = dcmread(tmp_path / "s.dcm"), dcmread(tmp_path / "b.dcm")
    assert MARKER not in (tmp_path / "s.dcm").read_bytes()
    assert after.StructureSetROISequence[0].ROIName == "Niere rechts \u00df"
    assert after.StructureSetROISequence[0].ReferencedFrameOfReferenceUID == slice_after.FrameOfReferenceUID
    kept = after.ROIContourSequence[0].ContourSequence[0]
    assert kept.ContourData == [0, 0, 2.5, 1, 0, 2.5, 1, 1, 2.5]
    assert kept.ContourImageSequence[0].ReferencedSOPInstanceUID == slice_after.SOPInstanceUID


def test_deflated_file_that_is_damaged_is_one_error(source: Path, tmp_path: Path) -> None:
    header = dcmread(source)
    header.file_meta.TransferSyntaxUID = DeflatedExplicitVRLittleEndian
    header.save_as(source, enforce_file_format=True)
    copy_dicom(source, tmp_path / "whole.dcm", SALT)
    content = bytearray(source.read_bytes())
    content[len(content) // 2 :] = b"\xff" * (len(content) - len(content) // 2)
    source.write_bytes(bytes(content))
    with pytest.raises(DicomError, match="cannot be de-identified"):
        copy_dicom(source, tmp_path / "copy.dcm", SALT)
    assert not (tmp_path / "copy.dcm").exists()


def test_disk_that_refuses_says_nothing_about_the_source(source: Path, tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        copy_dicom(source, tmp_path / "missing" / "copy.dcm", SALT)


def test_what_is_no_dicom_is_refused(tmp_path: Path) -> None:
    (tmp_path / "a.dcm").write_bytes(b"")
    with pytest.raises(DicomError, match=r"a.dcm: "):
        copy_dicom(tmp_path / "a.dcm", tmp_path / "b.dcm", SALT)
    assert not (tmp_path / "b.dcm").exists()


def test_compressed_file_that_does_not_say_how_is_refused(source: Path, tmp_path: Path) -> None:
    header = dcmread(source)
    header.compress(RLELossless, generate_instance_uid=False)
    del header.file_meta.TransferSyntaxUID
    dcmwrite(tmp_path / "c.dcm", header, implicit_vr=False, little_endian=True)
    with pytest.raises(DicomError, match="does not say how its pixels are compressed"):
        copy_dicom(tmp_path / "c.dcm", tmp_path / "b.dcm", SALT)
