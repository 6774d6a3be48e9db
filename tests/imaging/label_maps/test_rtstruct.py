from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from nephrite.errors import DicomError
from nephrite.imaging.label_maps.rtstruct import StructureFile, fill_contour
from nephrite.imaging.series import read_series

WriteObject = Callable[..., Path]


@pytest.fixture
def folder(write_stack: Callable[..., Path]) -> Path:
    return write_stack()


def rectangle(top: float, left: float, bottom: float, right: float, z: float) -> np.ndarray:
    """Corners in mm around whole pixels of the grid: rows top to bottom, columns left to right, both included."""
    x = [-4 + 0.75 * (left - 0.4), -4 + 0.75 * (right + 0.4)]
    y = [-3 + 0.5 * (top - 0.4), -3 + 0.5 * (bottom + 0.4)]
    return np.array([[x[0], y[0], z], [x[1], y[0], z], [x[1], y[1], z], [x[0], y[1], z]])


def planes(path: Path, folder: Path, *names: str) -> list[dict[str, np.ndarray]]:
    file = StructureFile(path)
    file.place(read_series(folder), names)
    return [dict(file.masks(position)) for position in range(3)]


def block(top: int, left: int, bottom: int, right: int) -> np.ndarray:
    mask = np.zeros((6, 8), bool)
    mask[top : bottom + 1, left : right + 1] = True
    return mask


def test_contours_are_filled_on_the_slice_of_their_plane(write_structures: WriteObject, folder: Path) -> None:
    path = write_structures([("a", [rectangle(1, 2, 3, 6, 20.0)]), ("b", [rectangle(0, 0, 5, 7, 30.3)])])
    found = planes(path, folder, "a", "b")
    assert StructureFile(path).names == ("a", "b")
    assert [sorted(plane) for plane in found] == [["b"], [], ["a"]]
    assert np.array_equal(found[2]["a"], block(1, 2, 3, 6))
    assert found[0]["b"].all()


def test_inner_contour_is_a_hole_and_a_separate_one_a_part(write_structures: WriteObject, folder: Path) -> None:
    outer, hole, other = rectangle(0, 0, 4, 4, 25), rectangle(1, 1, 3, 3, 25), rectangle(0, 6, 5, 7, 25)
    found = planes(write_structures([("a", [outer, hole, other])]), folder, "a")[1]["a"]
    assert np.array_equal(found, block(0, 0, 4, 4) ^ block(1, 1, 3, 3) ^ block(0, 6, 5, 7))


def test_regions_of_interest_of_one_name_are_both_there(write_structures: WriteObject, folder: Path) -> None:
    path = write_structures([("a", [rectangle(0, 0, 1, 1, 25)]), ("a", [rectangle(3, 3, 4, 4, 25)])])
    file = StructureFile(path)
    file.place(read_series(folder), ["a"])
    assert sum(mask.sum() for _, mask in file.masks(1)) == 8


def test_points_and_lines_mark_no_region(write_structures: WriteObject) -> None:
    assert StructureFile(write_structures([("a", [rectangle(0, 0, 1, 1, 25)])], kind="OPEN_PLANAR")).names == ()


@pytest.mark.parametrize(
    ("points", "finding"),
    [
        (rectangle(0, 0, 1, 1, 27.4), r"contour 1 of 'a' lies 2\.40 mm from the nearest of 3 slices, 5\.00 mm apart"),
        (rectangle(0, 0, 1, 1, 35.0), r"lies 5\.00 mm from the nearest"),
        (np.vstack([rectangle(0, 0, 1, 1, 25)[:3], rectangle(0, 0, 1, 1, 26)[3:]]), r"lies 1\.00 mm from"),
        (rectangle(0, 0, 5, 11, 25), "reaches outside of the scan's slices"),
    ],
)
def test_contour_that_lies_on_no_slice_is_refused(
    write_structures: WriteObject, folder: Path, points: np.ndarray, finding: str
) -> None:
    path = write_structures([("a", [points]), ("b", [rectangle(0, 0, 1, 1, 25)])])
    assert planes(path, folder, "b")[1]["b"].sum() == 4
    with pytest.raises(DicomError, match=finding):
        planes(path, folder, "a")


def test_other_frame_of_reference_is_refused(write_structures: WriteObject, folder: Path) -> None:
    path = write_structures([("a", [rectangle(0, 0, 1, 1, 25)])], space="1.2.3")
    with pytest.raises(DicomError, match="in another frame of reference"):
        planes(path, folder, "a")


def test_file_without_regions_has_no_names(write_structures: WriteObject) -> None:
    assert StructureFile(write_structures([])).names == ()


def test_filled_area_is_that_of_the_outline() -> None:
    angles = np.linspace(0, 2 * np.pi, 200, endpoint=False)
    mask = np.zeros((100, 120), bool)
    fill_contour(mask, np.stack([50.3 + 30 * np.sin(angles), 60.7 + 40 * np.cos(angles)], axis=1))
    assert mask.sum() == pytest.approx(np.pi * 30 * 40, rel=0.002)
    rows, columns = np.nonzero(mask)
    assert (rows.mean(), columns.mean()) == pytest.approx((50.3, 60.7), abs=0.05)


def test_outline_between_pixel_centers_fills_nothing() -> None:
    mask = np.zeros((4, 4), bool)
    fill_contour(mask, np.array([[1.2, 1.2], [1.2, 1.8], [1.8, 1.8]]))
    assert not mask.any()
