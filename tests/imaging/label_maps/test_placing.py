from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from nephrite.errors import DicomError
from nephrite.imaging.label_maps.placing import check_space, paste_plane, place_plane, slice_at
from nephrite.imaging.series import Series, read_series

PATH = Path("seg.dcm")
PLANE: dict[str, Any] = {
    "origin": np.array([-4.0, -3.0, 25.0]),
    "directions": np.array([[1.0, 0, 0], [0, 1, 0]]),
    "spacing": (0.5, 0.75),
    "size": (6, 8),
}
VALUES = np.arange(48).reshape(6, 8) % 3 == 0


@pytest.fixture
def series(write_stack: Callable[..., Path]) -> Series:
    return read_series(write_stack())


def pasted(series: Series, mask: np.ndarray, **changes: Any) -> np.ndarray:
    placed = place_plane(PATH, series, "frame 1", **{**PLANE, "size": mask.shape, **changes})
    assert placed.position == 1
    return paste_plane(PATH, mask, placed, (6, 8), "frame 1")


@pytest.mark.parametrize(
    ("mask", "changes"),
    [
        (VALUES, {}),
        (VALUES, {"origin": PLANE["origin"] + [0.05, -0.03, 0.4]}),
        (VALUES[:, ::-1], {"directions": [[-1, 0, 0], [0, 1, 0]], "origin": [-4 + 7 * 0.75, -3, 25]}),
        (VALUES[::-1], {"directions": [[1, 0, 0], [0, -1, 0]], "origin": [-4, -3 + 5 * 0.5, 25]}),
        (VALUES.T, {"directions": [[0, 1, 0], [1, 0, 0]], "spacing": (0.75, 0.5)}),
        (
            VALUES[::-1, ::-1].T,
            {
                "directions": [[0, -1, 0], [-1, 0, 0]],
                "spacing": (0.75, 0.5),
                "origin": [-4 + 7 * 0.75, -3 + 5 * 0.5, 25],
            },
        ),
    ],
)
def test_plane_lies_as_the_slice_does_however_it_is_stored(
    series: Series, mask: np.ndarray, changes: dict[str, Any]
) -> None:
    arrays = {key: value if key == "spacing" else np.array(value, float) for key, value in changes.items()}
    assert np.array_equal(pasted(series, mask, **arrays), VALUES)


def test_part_of_a_slice_lies_where_it_was_cut_out(series: Series) -> None:
    found = pasted(series, VALUES[2:5, 3:6], origin=np.array([-4 + 3 * 0.75, -3 + 2 * 0.5, 25]))
    assert np.array_equal(found[2:5, 3:6], VALUES[2:5, 3:6])
    assert found.sum() == VALUES[2:5, 3:6].sum()


def test_plane_larger_than_the_slice_may_mark_nothing_outside(series: Series) -> None:
    large = np.zeros((10, 12), bool)
    large[2:8, 2:10] = VALUES
    changes = {"origin": np.array([-4 - 2 * 0.75, -3 - 2 * 0.5, 25])}
    assert np.array_equal(pasted(series, large, **changes), VALUES)
    large[0, 0] = True
    with pytest.raises(DicomError, match="frame 1 marks pixels outside of the scan's slices"):
        pasted(series, large, **changes)
    with pytest.raises(DicomError, match="outside"):
        pasted(series, VALUES, origin=np.array([100 * 0.75 - 4, -3, 25]))


@pytest.mark.parametrize(
    ("changes", "finding"),
    [
        ({"origin": np.array([-3.8, -3, 25])}, r"lies 0\.27 pixels beside"),
        ({"spacing": (0.5, 0.7)}, "pixels of another size or direction"),
        ({"spacing": (0.25, 0.75)}, "pixels of another size or direction"),
        ({"spacing": (1.0, 0.75)}, "pixels of another size or direction"),
        ({"directions": np.array([[0.8, 0.6, 0], [-0.6, 0.8, 0]])}, "pixels of another size or direction"),
        ({"directions": np.array([[1.0, 0, 0], [0, 0, -1.0]])}, "from the nearest of 3 slices"),
        ({"origin": np.array([-4, -3, 27.5])}, r"lies 2\.50 mm from the nearest of 3 slices, 5\.00 mm apart"),
    ],
)
def test_plane_whose_pixels_do_not_meet_the_slices_is_refused(
    series: Series, changes: dict[str, Any], finding: str
) -> None:
    with pytest.raises(DicomError, match=rf"seg\.dcm: frame 1 .*{finding}"):
        pasted(series, VALUES, **changes)


def test_slice_is_found_to_a_tenth_of_the_distance(series: Series) -> None:
    assert slice_at(PATH, series, np.array([[0, 0, 20.49]]), "it") == 2
    with pytest.raises(DicomError, match=r"it lies 0\.51 mm"):
        slice_at(PATH, series, np.array([[0, 0, 20.51]]), "it")


@pytest.mark.parametrize("found", ["", "1.2.840.777778"])
def test_frames_of_reference_must_be_the_same(series: Series, found: str) -> None:
    check_space(PATH, "1.2.840.777777", series)
    with pytest.raises(DicomError, match="frame of reference"):
        check_space(PATH, found, series)
