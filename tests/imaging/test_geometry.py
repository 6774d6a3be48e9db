from __future__ import annotations

import logging
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
from nibabel.orientations import axcodes2ornt, inv_ornt_aff, io_orientation, ornt_transform

from nephrite.errors import VolumeError
from nephrite.imaging.geometry import (
    Geometry,
    lean,
    match_grids,
    nifti_geometry,
    slice_distance,
    to_ipl,
    voxel_milliliters,
    warn_of_spacing,
    warn_of_units,
)

PLACE = Path("case_00012/segmentation.nii.gz")
SHAPE = (6, 32, 40)
KITS = np.array([[0, 0, -0.8, 10], [0, -0.8, 0, 20], [-5.0, 0, 0, 30], [0, 0, 0, 1]])
AXIAL = np.array([[1.0, 0, 0], [0, 1, 0]])


def grid(affine: np.ndarray = KITS, shape: tuple[int, int, int] = SHAPE) -> Geometry:
    return Geometry(shape, affine, to_ipl(affine))


def header(affine: np.ndarray = KITS, unit: int = 2) -> nib.Nifti1Header:
    found = nib.Nifti1Image(np.zeros(SHAPE, np.int8), affine).header
    found["xyzt_units"] = unit
    return found


def read(found: nib.Nifti1Header) -> Geometry:
    return nifti_geometry(Path("imaging.nii.gz"), found, SHAPE, "save it anew")


def turned(codes: str) -> Geometry:
    """The same grid with its axes stored in another order and direction."""
    change = ornt_transform(io_orientation(KITS), axcodes2ornt(tuple(codes)))
    shape = [0, 0, 0]
    for axis, (target, _) in enumerate(change.astype(int)):
        shape[target] = SHAPE[axis]
    return grid(KITS @ inv_ornt_aff(change, SHAPE), (shape[0], shape[1], shape[2]))


@pytest.mark.parametrize("codes", ["IPL", "RAS", "LPS", "ARI"])
def test_planes_and_spacing_are_those_of_slices_rows_and_columns(codes: str) -> None:
    geometry = turned(codes)
    assert geometry.planes == SHAPE
    assert geometry.spacing == (5.0, 0.8, 0.8)


@pytest.mark.parametrize(
    ("unit", "factor", "given"), [(1, 1e3, True), (2, 1, True), (3, 1e-3, True), (0, 1, False), (5, 1, False)]
)
def test_lengths_become_millimeters(unit: int, factor: float, given: bool) -> None:
    geometry = read(header(np.diag([2.0, 3, 4, 1]), unit + 8))  # seconds along the fourth axis
    assert geometry.spacing == pytest.approx((4 * factor, 3 * factor, 2 * factor))
    assert geometry.unit_given is given


def test_small_spacings_keep_six_digits() -> None:
    assert read(header(np.diag([0.123456789, 1, 1000.0, 1]), 3)).spacing == pytest.approx(
        (1, 1e-3, 1.234568e-4), rel=1e-7
    )


def test_volume_of_a_voxel_is_in_milliliters() -> None:
    assert voxel_milliliters((5.0, 1.0, 2.0)) == pytest.approx(0.01)


def test_file_without_any_orientation_is_refused() -> None:
    found = header()
    found["sform_code"] = found["qform_code"] = 0
    with pytest.raises(
        VolumeError, match=r"does not say how the axes lie \(sform and qform code are 0\); save it anew"
    ):
        read(found)


@pytest.mark.parametrize("column", [[0, 0, 0], [0, -0.4, 0], [np.nan, 0, 0]])
def test_axes_that_span_no_volume_are_refused(column: list[float]) -> None:
    found = header()
    found["srow_x"][0], found["srow_y"][0], found["srow_z"][0] = column
    with pytest.raises(VolumeError, match="does not say how the axes lie"):
        read(found)


def with_quaternion(*values: float) -> nib.Nifti1Header:
    found = header(np.diag([-1.0, -1, 5, 1]))
    found["sform_code"], found["qform_code"] = 0, 1
    for name, value in zip("bcd", values, strict=True):
        found[f"quatern_{name}"] = value
    return found


@pytest.mark.parametrize("values", [(0, 0, 1.0000004), (0, 0.70715, 0.70715)])
def test_quaternion_that_rounding_made_too_long_is_read_and_shortened(values: tuple[float, ...]) -> None:
    found = with_quaternion(*values)
    assert sorted(read(found).spacing) == [1.0, 1.0, 5.0]
    assert np.isfinite(found.get_best_affine()).all()  # as nibabel reads a mask that is written with it


def test_quaternion_that_is_no_rotation_is_refused_with_its_length() -> None:
    with pytest.raises(VolumeError, match=r"quaternion of its qform is 1\.2 long, and a rotation's is 1; save it anew"):
        read(with_quaternion(0, 0, 1.2))


def test_quaternion_does_not_matter_where_the_sform_is_set() -> None:
    found = with_quaternion(0, 0, 1.2)
    found.set_sform(KITS, 1)
    assert read(found).spacing == (5.0, 0.8, 0.8)


def sheared(millimeters: float) -> np.ndarray:
    """Each slice starts so much further to the back than the one above."""
    affine = KITS.copy()
    affine[1, 0] = millimeters
    return affine


def test_sheared_stack_is_gantry_tilt() -> None:
    with pytest.raises(VolumeError, match=r"gantry tilt of 11\.3 degrees: slices are not stacked along their normal"):
        read(header(sheared(1.0)))


def test_stack_that_leans_less_than_a_pixel_is_straight() -> None:
    assert read(header(sheared(0.15))).planes == SHAPE  # 5 x 0.15 mm


def test_rows_and_columns_that_are_not_at_right_angles_are_refused() -> None:
    affine = KITS.copy()
    affine[0, 1] = 0.08
    with pytest.raises(VolumeError, match=r"rows and columns are 84\.3 degrees apart, not 90"):
        read(header(affine))


def test_turned_stack_along_its_normal_does_not_lean() -> None:
    angle = np.radians(20)
    tilt = np.array([[1, 0, 0], [0, np.cos(angle), -np.sin(angle)], [0, np.sin(angle), np.cos(angle)]])
    affine = KITS.copy()
    affine[:3, :3] = tilt @ KITS[:3, :3]
    assert read(header(affine)).spacing == pytest.approx((5.0, 0.8, 0.8))


def test_lean_is_the_angle_of_the_slice_that_is_furthest_off() -> None:
    offsets = np.array([[0, 0, 0], [0, 0.9, 5.0], [0, 10.0, 10.0]])
    assert lean(offsets, AXIAL, (1.0, 1.0)) == pytest.approx(45)
    assert lean(offsets[:2], AXIAL, (1.0, 1.0)) == 0


@pytest.mark.parametrize("places", [[0, 5, 10, 15], [0, 0.7, 1.4, 2.0], [0, 1.2, 2.5, 3.8, 5.0], [0, 5.2, 10, 15]])
def test_even_places_have_the_distance_from_first_to_last(places: list[float]) -> None:
    distance, odd = slice_distance(np.array(places, dtype=float))
    assert odd is None
    assert distance == pytest.approx(places[-1] / (len(places) - 1), abs=1e-6)


@pytest.mark.parametrize(
    ("places", "odd"),
    [([0, 5, 10, 20, 25], 3), ([0, 5, 10, 15, 21.2, 27.4], 4), ([0, 5, 11, 15, 20], 2)],
)
def test_slice_off_an_even_stack_is_found(places: list[float], odd: int) -> None:
    assert slice_distance(np.array(places, dtype=float))[1] == odd


def test_slow_drift_is_found_though_neighbors_differ_little() -> None:
    gaps = np.linspace(5.0, 5.4, 60)
    assert slice_distance(np.concatenate([[0], gaps.cumsum()]))[1] is not None


@pytest.mark.parametrize("codes", ["IPL", "RAS", "LPS", "PIR", "SAL"])
def test_same_grid_in_another_order_of_axes_is_matched(codes: str) -> None:
    label = turned(codes)
    matched = match_grids(grid(), label, PLACE)
    assert np.array_equal(matched.transform, label.transform)
    assert matched.planes == SHAPE


def test_order_of_axes_is_that_of_the_image_where_it_is_not_clear() -> None:
    turn = np.eye(4)
    turn[:2, :2] = np.array([[1, -1], [1, 1]]) / np.sqrt(2)  # rows run as much to the left as to the back
    image = grid(turn @ KITS)
    other = Geometry(SHAPE, image.affine, np.array([[0, 1], [2, 1], [1, 1]]))
    assert np.array_equal(match_grids(image, other, PLACE).transform, image.transform)


@pytest.mark.parametrize(("millimeters", "fits"), [(0.4, True), (0.6, False), (5.0, False), (-5.0, False)])
def test_a_tenth_of_a_voxel_is_the_limit(millimeters: float, fits: bool) -> None:
    moved = KITS.copy()
    moved[2, 3] += millimeters  # slices are 5 mm apart
    if fits:
        assert match_grids(grid(), grid(moved), PLACE).planes == SHAPE
    else:
        with pytest.raises(VolumeError, match=r"voxels away from the image .*origin \(10, 20, .*if both show the same"):
            match_grids(grid(), grid(moved), PLACE)


def test_every_corner_counts() -> None:
    wider = KITS.copy()
    wider[0, 2] *= 1.004  # 39 columns further: 0.156 voxels
    with pytest.raises(VolumeError, match=r"up to 0\.156 voxels away"):
        match_grids(grid(), grid(wider), PLACE)


def test_mirrored_grid_is_refused() -> None:
    mirrored = KITS.copy()
    mirrored[0] *= -1
    with pytest.raises(VolumeError, match="voxels away from the image"):
        match_grids(grid(), grid(mirrored), PLACE)


@pytest.mark.parametrize("shape", [SHAPE, (32, 32, 32)])
def test_mask_with_the_identity_gets_a_sentence_about_affines(shape: tuple[int, int, int]) -> None:
    with pytest.raises(VolumeError) as caught:
        match_grids(grid(shape=shape), grid(np.eye(4), shape), PLACE)
    assert "saved with the identity as affine" in str(caught.value)
    assert "save the label map with the image's affine" in str(caught.value)
    assert "shape" not in str(caught.value)


def test_other_number_of_voxels_is_a_finding_about_shapes() -> None:
    with pytest.raises(VolumeError, match=r"shape \(6, 32, 41\) differs from the image's \(6, 32, 40\); give"):
        match_grids(grid(), grid(shape=(6, 32, 41)), PLACE)
    with pytest.raises(VolumeError, match=r"shape \(6, 32, 41\) differs .* \(axes RAS against IPL\); give"):
        match_grids(grid(), grid(np.eye(4), (6, 32, 41)), PLACE)


@pytest.mark.parametrize(
    ("names", "expected"), [([], ""), (["a"], "a does not say"), (["a", "b", "c"], "a and 2 others of 7 do not say")]
)
def test_files_without_a_unit_are_told_in_one_line(
    names: list[str], expected: str, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.WARNING):
        warn_of_units([Path(name) for name in names], 7)
    assert expected in caplog.text
    assert len(caplog.records) == bool(names)


@pytest.mark.parametrize(
    ("spacings", "unit_given", "warned"),
    [
        ([(5.0, 0.8, 0.8)] * 3, False, True),
        ([(5.0, 0.8, 0.8)] * 3, True, False),
        ([(5.0, 0.8, 0.8), (5.0, 0.7, 0.7)], False, False),
        ([(5.0, 0.8, 0.8)], False, False),
    ],
)
def test_voxel_sizes_that_look_made_up_are_told(
    spacings: list[tuple[float, float, float]], unit_given: bool, warned: bool, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.WARNING):
        warn_of_spacing(spacings, unit_given=unit_given)
    assert ("all 3 scans have voxels of 5 x 0.8 x 0.8" in caplog.text) == warned
