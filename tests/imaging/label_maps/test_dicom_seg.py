from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from pydicom import dcmread
from pydicom.uid import RLELossless

from nephrite.errors import DicomError
from nephrite.imaging.label_maps.dicom_seg import SegmentationFile
from nephrite.imaging.series import read_series

WriteObject = Callable[..., Path]
MASK = np.zeros((6, 8), np.uint8)
MASK[1:3, 2:7] = 1


@pytest.fixture
def folder(write_stack: Callable[..., Path]) -> Path:
    return write_stack()


def planes(path: Path, folder: Path, *names: str) -> list[dict[str, np.ndarray]]:
    file = SegmentationFile(path)
    series = read_series(folder)
    file.place(series, names)
    return [dict(file.masks(position)) for position in range(3)]


def test_binary_frames_lie_by_position_whatever_their_order(write_seg: WriteObject, folder: Path) -> None:
    path = write_seg(["a", "b"], [(2, 20.0, MASK), (1, 30.0, MASK), (1, 20.0, 1 - MASK)])
    found = planes(path, folder, "a", "b")
    assert SegmentationFile(path).names == ("a", "b")
    assert [sorted(plane) for plane in found] == [["a"], [], ["a", "b"]]
    assert np.array_equal(found[2]["b"], MASK)
    assert np.array_equal(found[2]["a"], 1 - MASK)


def test_segments_that_are_not_asked_for_are_not_looked_at(write_seg: WriteObject, folder: Path) -> None:
    path = write_seg(["a", "b"], [(2, 999.0, MASK), (1, 30.0, MASK)])
    assert [sorted(plane) for plane in planes(path, folder, "a")] == [["a"], [], []]
    with pytest.raises(DicomError, match=r"frame 1 lies 969\.00 mm from the nearest of 3 slices"):
        planes(path, folder, "b")


def test_fractional_voxels_count_from_one_half_on(write_seg: WriteObject, folder: Path) -> None:
    values = MASK * 49
    values[1, 2] = 50
    path = write_seg(["a"], [(1, 30.0, values)], "FRACTIONAL", MaximumFractionalValue=100)
    assert planes(path, folder, "a")[0]["a"].sum() == 1


def test_label_map_holds_segment_numbers(write_seg: WriteObject, folder: Path) -> None:
    path = write_seg(["a", "b"], [(1, 25.0, MASK + 1)], "LABELMAP")
    found = planes(path, folder, "a", "b")[1]
    assert np.array_equal(found["b"], MASK)
    assert np.array_equal(found["a"], 1 - MASK)


def test_compressed_frames_are_decoded(write_seg: WriteObject, folder: Path) -> None:
    path = write_seg(["a"], [(1, 30.0, MASK * 255)], "FRACTIONAL", MaximumFractionalValue=255)
    header = dcmread(path)
    header.compress(RLELossless, generate_instance_uid=False)
    header.save_as(path)
    assert np.array_equal(planes(path, folder, "a")[0]["a"], MASK)


def test_frame_without_place_or_segment_is_refused(write_seg: WriteObject, folder: Path) -> None:
    path = write_seg(["a"], [(1, 30.0, MASK)])
    header = dcmread(path)
    del header.PerFrameFunctionalGroupsSequence[0].PlanePositionSequence
    header.save_as(path)
    with pytest.raises(DicomError, match="frame 1 does not say where it lies"):
        planes(path, folder, "a")
    path = write_seg(["a"], [(7, 30.0, MASK)])
    with pytest.raises(DicomError, match="frame 1 does not say which segment it shows"):
        planes(path, folder, "a")


def test_object_that_lacks_an_element_names_it(write_seg: WriteObject) -> None:
    path = write_seg(["a"], [(1, 30.0, MASK)])
    header = dcmread(path)
    del header.SegmentSequence[0].SegmentLabel
    header.save_as(path)
    with pytest.raises(DicomError, match=r"seg\.dcm: is no DICOM SEG that can be read \(.*'SegmentLabel'"):
        SegmentationFile(path)


def test_truncated_pixels_are_refused(write_seg: WriteObject, folder: Path) -> None:
    path = write_seg(["a"], [(1, 30.0, MASK), (1, 25.0, MASK), (1, 20.0, MASK)], "FRACTIONAL", MaximumFractionalValue=1)
    header = dcmread(path)
    header.PixelData = header.PixelData[:60]
    header.save_as(path)
    with pytest.raises(DicomError, match=r"seg\.dcm: "):
        planes(path, folder, "a")
