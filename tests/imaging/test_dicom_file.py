from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from pydicom import Dataset, dcmread
from pydicom.uid import (
    UID,
    ComprehensiveSRStorage,
    CTImageStorage,
    DeflatedExplicitVRLittleEndian,
    EnhancedCTImageStorage,
    EnhancedMRImageStorage,
    ImplicitVRLittleEndian,
    MediaStorageDirectoryStorage,
    RLELossless,
    RTStructureSetStorage,
    SecondaryCaptureImageStorage,
    SegmentationStorage,
)

from nephrite.errors import DicomError
from nephrite.imaging.dicom import open_dicom_scan
from nephrite.imaging.dicom_file import read_content

WriteSlice = Callable[..., Path]
VALUES = (np.arange(48).reshape(6, 8) * 20 + 300).astype(np.uint16)  # 12 bits


@pytest.mark.parametrize(
    "uid",
    [MediaStorageDirectoryStorage, ComprehensiveSRStorage, "1.2.840.10008.5.1.4.1.1.481.2", "1.3.12.2.1107.5.9.1"],
)
def test_other_objects_hold_nothing_whatever_they_lack(write_slice: WriteSlice, uid: str) -> None:
    content = read_content(write_slice("a.dcm", 0.0, SOPClassUID=uid, ImagePositionPatient=None, RescaleSlope=None))
    assert (content.kind, content.slices) == ("nothing", ())


@pytest.mark.parametrize("uid", [SegmentationStorage, RTStructureSetStorage, "1.2.840.10008.5.1.4.1.1.66.7"])
def test_objects_that_mark_regions_are_told_apart(write_slice: WriteSlice, uid: str) -> None:
    assert read_content(write_slice("a.dcm", 0.0, SOPClassUID=uid)).kind == "regions"


@pytest.mark.parametrize(("modality", "is_ct"), [("CT", True), ("MR", False)])
def test_secondary_capture_that_says_where_it_lies_is_a_slice(
    write_slice: WriteSlice, modality: str, is_ct: bool
) -> None:
    path = write_slice("a.dcm", 0.0, SOPClassUID=SecondaryCaptureImageStorage, Modality=modality)
    content = read_content(path)
    assert (content.kind, content.slices[0].is_ct) == ("slices", is_ct)


@pytest.mark.parametrize("elements", [{"ImagePositionPatient": None}, {"Modality": "OT"}, {"SamplesPerPixel": 3}])
def test_screenshot_is_no_slice(write_slice: WriteSlice, elements: dict[str, Any]) -> None:
    path = write_slice("a.dcm", 0.0, SOPClassUID=SecondaryCaptureImageStorage, **elements)
    assert read_content(path).kind == "nothing"


def test_secondary_capture_of_ct_without_rescale_is_refused(write_slice: WriteSlice) -> None:
    path = write_slice("a.dcm", 0.0, SOPClassUID=SecondaryCaptureImageStorage, RescaleSlope=None)
    with pytest.raises(DicomError, match="no valid RescaleSlope"):
        read_content(path)


def test_image_that_does_not_say_what_it_is_is_refused(write_slice: WriteSlice) -> None:
    path = write_slice("a.dcm", 0.0)
    header = dcmread(path)
    del header.SOPClassUID
    header.file_meta.MediaStorageSOPClassUID = UID("")
    header.save_as(path)
    with pytest.raises(DicomError, match=r"does not say what it is \(no SOPClassUID\)"):
        read_content(path)


def test_sop_class_of_the_meta_information_counts_where_the_data_set_has_none(write_slice: WriteSlice) -> None:
    path = write_slice("a.dcm", 0.0)
    header = dcmread(path)
    del header.SOPClassUID
    header.save_as(path)
    assert read_content(path).kind == "slices"


@pytest.mark.parametrize("content", [b"", b"text", bytes(200), b"\x08\x00" + bytes(20)])
def test_other_content_is_not_dicom(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "x"
    path.write_bytes(content)
    assert read_content(path).reason == "not DICOM"


def enhanced(write_slice: WriteSlice, positions: list[float], uid: UID = EnhancedCTImageStorage, **groups: Any) -> Path:
    """A multi-frame file; each frame's values are VALUES plus its number, its slope that number plus 1."""
    pixels = np.stack([VALUES + number for number in range(len(positions))])
    path = write_slice("multi.dcm", 0.0, ImagePositionPatient=None, PixelSpacing=None, RescaleSlope=None)
    header = dcmread(path)
    header.SOPClassUID = header.file_meta.MediaStorageSOPClassUID = uid
    header.set_pixel_data(pixels, "MONOCHROME2", 16, generate_instance_uid=False)
    shared, measures, orientation = Dataset(), Dataset(), Dataset()
    measures.PixelSpacing, measures.SliceThickness = [0.5, 0.75], 5
    orientation.ImageOrientationPatient = [1, 0, 0, 0, 1, 0]
    shared.PixelMeasuresSequence, shared.PlaneOrientationSequence = [measures], [orientation]
    header.SharedFunctionalGroupsSequence, header.PerFrameFunctionalGroupsSequence = [shared], []
    for number, z in enumerate(positions):
        own, place, transformation = Dataset(), Dataset(), Dataset()
        place.ImagePositionPatient = [-4, -3, z]
        transformation.RescaleSlope, transformation.RescaleIntercept = number + 1, -1024
        own.PlanePositionSequence, own.PixelValueTransformationSequence = [place], [transformation]
        header.PerFrameFunctionalGroupsSequence.append(own)
    for keyword, value in groups.items():
        setattr(header, keyword, value)
    header.save_as(path, enforce_file_format=True)
    return path


@pytest.mark.parametrize("syntax", [ImplicitVRLittleEndian, DeflatedExplicitVRLittleEndian, RLELossless])
def test_frames_of_an_enhanced_file_lie_where_their_groups_say(
    write_slice: WriteSlice, tmp_path: Path, syntax: UID
) -> None:
    path = enhanced(write_slice, [10.0, 20.0, 15.0])
    header = dcmread(path)
    if syntax == RLELossless:
        header.compress(syntax, generate_instance_uid=False)
    else:
        header.file_meta.TransferSyntaxUID = syntax
    header.save_as(path, enforce_file_format=True)
    scan = open_dicom_scan(tmp_path / "ct")
    assert (scan.spacing, scan.shape, scan.sources["image"]) == ((5.0, 0.5, 0.75), (3, 6, 8), (path,))
    image = np.concatenate([block for _, block in scan.image_blocks(2)])
    wanted = [(VALUES.astype(int) + number) * (number + 1) - 1024 for number in (1, 2, 0)]
    assert np.array_equal(image, np.stack(wanted))


def test_groups_that_all_frames_share_count_where_a_frame_has_none_of_its_own(write_slice: WriteSlice) -> None:
    path = enhanced(write_slice, [10.0, 20.0])
    header, rescale = dcmread(path), Dataset()
    rescale.RescaleSlope, rescale.RescaleIntercept = 9, 7
    header.SharedFunctionalGroupsSequence[0].PixelValueTransformationSequence = [rescale]
    del header.PerFrameFunctionalGroupsSequence[1].PixelValueTransformationSequence
    header.save_as(path)
    assert [image.rescale for image in read_content(path).slices] == [(1, -1024), (9, 7)]


def test_enhanced_mr_needs_no_rescale(write_slice: WriteSlice, tmp_path: Path) -> None:
    path = enhanced(write_slice, [10.0, 20.0], EnhancedMRImageStorage)
    header = dcmread(path)
    for groups in header.PerFrameFunctionalGroupsSequence:
        del groups.PixelValueTransformationSequence
    del header.RescaleIntercept
    header.save_as(path)
    block = next(open_dicom_scan(tmp_path / "ct").image_blocks(2))[1]
    assert np.array_equal(block, np.stack([VALUES + 1, VALUES]))


def test_two_frames_at_one_position_are_refused(write_slice: WriteSlice, tmp_path: Path) -> None:
    enhanced(write_slice, [10.0, 10.0])
    with pytest.raises(DicomError, match=r"same position as multi\.dcm \(frame 1\); keep one image per position"):
        open_dicom_scan(tmp_path / "ct")


def test_enhanced_file_whose_groups_do_not_suffice_is_refused(write_slice: WriteSlice) -> None:
    path = enhanced(write_slice, [10.0, 20.0], PerFrameFunctionalGroupsSequence=[Dataset()])
    with pytest.raises(DicomError, match="holds 2 frames and functional groups of 1"):
        read_content(path)
    path = enhanced(write_slice, [10.0, 20.0], PerFrameFunctionalGroupsSequence=[Dataset(), Dataset()])
    with pytest.raises(DicomError, match=r"multi\.dcm \(frame 1\): has no valid RescaleSlope"):
        read_content(path)


def test_file_that_may_not_be_read_is_refused(write_slice: WriteSlice, monkeypatch: pytest.MonkeyPatch) -> None:
    path = write_slice("a.dcm", 0.0)

    def refuse(*_: Any, **__: Any) -> None:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(Path, "open", refuse)  # root may read everything
    with pytest.raises(DicomError, match=r"a\.dcm: may not be read"):
        read_content(path)


def test_kind_of_ct_is_known_without_a_modality(write_slice: WriteSlice) -> None:
    path = write_slice("a.dcm", 0.0, SOPClassUID=CTImageStorage, Modality=None)
    assert read_content(path).slices[0].is_ct
