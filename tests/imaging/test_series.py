from __future__ import annotations

import logging
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from pydicom.uid import (
    EncapsulatedPDFStorage,
    EnhancedCTImageStorage,
    RTStructureSetStorage,
    SegmentationStorage,
)

from nephrite.errors import DicomError, SourceError
from nephrite.imaging.series import read_series

WriteSlice = Callable[..., Path]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "ct"


def test_slices_run_from_superior_to_inferior_whatever_their_names(write_slice: WriteSlice, folder: Path) -> None:
    for name, z in (("c.dcm", 40.0), ("a.dcm", 45.0), ("b.dcm", 35.0)):
        write_slice(name, z)
    series = read_series(folder)
    assert [image.path.name for image in series.images] == ["a.dcm", "c.dcm", "b.dcm"]
    assert series.distance == 5.0
    assert series.transform.tolist() == [[0, 1], [1, 1], [2, 1]]


def test_normal_to_inferior_still_starts_superior(write_slice: WriteSlice, folder: Path) -> None:
    flipped = [-1, 0, 0, 0, 1, 0]  # columns to right: the normal points to inferior
    write_slice("a.dcm", 10.0, ImageOrientationPatient=flipped)
    write_slice("b.dcm", 13.0, ImageOrientationPatient=flipped)
    series = read_series(folder)
    assert [image.path.name for image in series.images] == ["b.dcm", "a.dcm"]
    assert series.transform.tolist() == [[0, 1], [1, 1], [2, -1]]


def test_single_slice_takes_its_nominal_distance(write_slice: WriteSlice, folder: Path) -> None:
    write_slice("a.dcm", 0.0, SpacingBetweenSlices=-2.5)
    assert read_series(folder).distance == 2.5


@pytest.mark.parametrize("uid", [RTStructureSetStorage, SegmentationStorage, EncapsulatedPDFStorage])
def test_other_objects_among_the_images_are_skipped(
    write_slice: WriteSlice, folder: Path, caplog: pytest.LogCaptureFixture, uid: str
) -> None:
    write_slice("a.dcm", 0.0)
    write_slice(
        "rs.dcm", 0.0, SOPClassUID=uid, Modality="RTSTRUCT", SeriesInstanceUID="1.2.9", ImagePositionPatient=None
    )
    (folder / "notes.txt").write_text("no image")
    with caplog.at_level(logging.WARNING):
        assert len(read_series(folder).images) == 1
    assert "rs.dcm: skipped, modality RTSTRUCT" in caplog.text
    assert "notes.txt: skipped, not DICOM" in caplog.text


def test_localizer_is_skipped(write_slice: WriteSlice, folder: Path) -> None:
    write_slice("a.dcm", 0.0)
    write_slice("scout.dcm", 0.0, ImageType=["ORIGINAL", "PRIMARY", "LOCALIZER"], SeriesInstanceUID="1.2.9")
    assert [image.path.name for image in read_series(folder).images] == ["a.dcm"]


def test_folder_without_images_is_refused(write_slice: WriteSlice, folder: Path) -> None:
    write_slice("rs.dcm", 0.0, SOPClassUID=RTStructureSetStorage)
    with pytest.raises(SourceError, match="holds no CT or MR image"):
        read_series(folder)


def test_two_series_are_refused_by_the_ends_of_their_uids(write_slice: WriteSlice, folder: Path) -> None:
    write_slice("a.dcm", 0.0)
    write_slice("b.dcm", 3.0, SeriesInstanceUID="1.2.840.222222")
    with pytest.raises(DicomError, match=r"2 series: \.\.\.111111 \(1 images, a.dcm\) and \.\.\.222222"):
        read_series(folder)


@pytest.mark.parametrize(
    ("elements", "finding"),
    [
        ({"RescaleSlope": None}, "no valid RescaleSlope"),
        ({"RescaleIntercept": None}, "no valid RescaleIntercept"),
        ({"RescaleSlope": 0}, "RescaleSlope is 0"),
        ({"ImagePositionPatient": None}, "no valid ImagePositionPatient"),
        ({"ImageOrientationPatient": None, "PixelSpacing": None}, "ImageOrientationPatient and PixelSpacing"),
        ({"ImageOrientationPatient": [1, 0, 0, 1, 0, 0]}, "not a pixel grid"),
        ({"PixelSpacing": [0, 1]}, "not a pixel grid"),
        ({"GantryDetectorTilt": -12.5}, r"gantry tilt of 12\.5 degrees"),
        (
            {"NumberOfFrames": 3, "SOPClassUID": EnhancedCTImageStorage},
            "holds 3 frames and does not say where each of them lies",
        ),
    ],
)
def test_header_that_does_not_suffice_is_refused(
    write_slice: WriteSlice, folder: Path, elements: dict[str, Any], finding: str
) -> None:
    write_slice("a.dcm", 0.0, **elements)
    with pytest.raises(DicomError, match=rf"ct/a\.dcm: .*{finding}"):
        read_series(folder)


@pytest.mark.parametrize(
    ("elements", "finding"),
    [
        ({"PixelSpacing": [0.5, 0.8]}, r"pixels of 0\.5x0\.8 mm differs from 6x8 pixels of 0\.5x0\.75 mm of a\.dcm"),
        ({"ImageOrientationPatient": [0.6, 0.8, 0, -0.8, 0.6, 0]}, "ImageOrientationPatient differs"),
        ({"pixels": np.zeros((6, 6), np.uint16)}, "6x6 pixels"),
        ({"z": 0.0}, r"same position as a\.dcm"),
        ({"z": 20.0}, r"lies 10\.00 mm from b\.dcm, but slices are 5\.00 mm apart"),
    ],
)
def test_slice_that_does_not_fit_its_series_is_named(
    write_slice: WriteSlice, folder: Path, elements: dict[str, Any], finding: str
) -> None:
    for name, z in (("a.dcm", 0.0), ("b.dcm", 10.0), ("d.dcm", 5.0)):
        write_slice(name, z)
    write_slice("c.dcm", **{"z": 15.0, **elements})
    with pytest.raises(DicomError, match=rf"ct/c\.dcm: .*{finding}"):
        read_series(folder)


def test_every_second_slice_is_a_series(write_slice: WriteSlice, folder: Path) -> None:
    for number in range(5):
        write_slice(f"{number}.dcm", 4.0 * number, SpacingBetweenSlices=2.0)
    assert read_series(folder).distance == 4.0


def test_positions_rounded_to_a_tenth_of_a_millimeter_are_even(write_slice: WriteSlice, folder: Path) -> None:
    for number in range(9):
        write_slice(f"{number}.dcm", round(1.25 * number, 1))
    assert read_series(folder).distance == 1.25


def test_distance_that_changes_within_the_series_is_refused(write_slice: WriteSlice, folder: Path) -> None:
    for number, z in enumerate((0, 5, 10, 15, 21.2, 27.4)):
        write_slice(f"{number}.dcm", float(z))
    with pytest.raises(
        DicomError, match=r"4\.dcm: lies 6\.20 mm from 3\.dcm, but slices are 5\.00 mm apart, to within a"
    ):
        read_series(folder)


def test_leaning_stack_is_gantry_tilt(write_slice: WriteSlice, folder: Path) -> None:
    for number in range(4):
        write_slice(f"{number}.dcm", 0.0, ImagePositionPatient=[-4, -3 + 1.0 * number, 5.0 * number])
    with pytest.raises(DicomError, match=r"gantry tilt of 11\.3 degrees"):
        read_series(folder)


def test_oblique_stack_along_its_normal_is_no_tilt(write_slice: WriteSlice, folder: Path) -> None:
    lean = np.radians(20)
    normal = np.array([0, -np.sin(lean), np.cos(lean)])
    for number in range(4):
        position = [round(float(value), 6) for value in 5 * number * normal]
        orientation = [1, 0, 0, 0, round(float(np.cos(lean)), 6), round(float(np.sin(lean)), 6)]
        write_slice(f"{number}.dcm", 0.0, ImagePositionPatient=position, ImageOrientationPatient=orientation)
    assert read_series(folder).distance == pytest.approx(5.0, abs=1e-4)


def test_coronal_series_is_refused(write_slice: WriteSlice, folder: Path) -> None:
    write_slice("a.dcm", 0.0, ImageOrientationPatient=[1, 0, 0, 0, 0, -1])
    with pytest.raises(DicomError, match="not axial"):
        read_series(folder)


@pytest.mark.parametrize("content", [b"", b"not DICOM at all" * 20])
@pytest.mark.parametrize(
    ("slices", "other"),
    [("a.dcm", "b.dcm"), ("a.dcm", "b.IMA"), ("IM0", "IM1"), ("1.2.840.1", "1.2.840.2"), ("a.x", "b.X")],
)
def test_file_named_as_a_slice_that_is_not_dicom_is_refused(
    write_slice: WriteSlice, folder: Path, slices: str, other: str, content: bytes
) -> None:
    write_slice(slices, 0.0)
    (folder / other).write_bytes(content)
    with pytest.raises(DicomError, match=rf"{other}: is empty or not DICOM, and is named as a slice is"):
        read_series(folder)


@pytest.mark.parametrize("other", ["README", "notes.txt", ".DS_Store"])
def test_other_files_beside_slices_are_skipped(write_slice: WriteSlice, folder: Path, other: str) -> None:
    write_slice("a.dcm", 0.0)
    (folder / other).write_text("no image")
    assert len(read_series(folder).images) == 1


def test_slices_in_folders_within_the_folder_are_of_the_series(write_slice: WriteSlice, folder: Path) -> None:
    for number in range(4):
        path = write_slice(f"{number}.dcm", 5.0 * number)
        part = folder / f"part{number % 2}"
        part.mkdir(exist_ok=True)
        path.rename(part / path.name)
    (folder / ".cache").mkdir()
    (folder / ".cache" / "x.dcm").write_bytes(b"")
    assert [image.path.name for image in read_series(folder).images] == ["3.dcm", "2.dcm", "1.dcm", "0.dcm"]


def test_files_that_mark_regions_are_handed_over_where_asked_for(
    write_slice: WriteSlice, folder: Path, caplog: pytest.LogCaptureFixture
) -> None:
    write_slice("a.dcm", 0.0)
    marks = write_slice("rs.dcm", 0.0, SOPClassUID=RTStructureSetStorage, Modality="RTSTRUCT")
    with caplog.at_level(logging.WARNING):
        assert read_series(folder, with_regions=True).regions == (marks,)
    assert not caplog.text
    assert read_series(folder).regions == ()


def test_truncated_header_is_refused(write_slice: WriteSlice, folder: Path) -> None:
    path = write_slice("a.dcm", 0.0)
    path.write_bytes(path.read_bytes()[:142])  # ends within the first element
    with pytest.raises(DicomError, match=r"a\.dcm: .*truncated or damaged"):
        read_series(folder)


def test_messages_hold_nothing_of_the_person(
    write_slice: WriteSlice, folder: Path, caplog: pytest.LogCaptureFixture
) -> None:
    write_slice("a.dcm", 0.0, RescaleSlope=None, PatientID="X99")
    write_slice("rs.dcm", 0.0, SOPClassUID=RTStructureSetStorage)
    with pytest.raises(DicomError) as caught:
        read_series(folder)
    assert not any(word in str(caught.value) + caplog.text for word in ("Doe", "Jane", "X99"))
