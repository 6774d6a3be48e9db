from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from nephrite.errors import LabelValueError, VolumeError
from nephrite.imaging.volume import check_finite, slice_blocks, to_label_map, to_planes

CLASSES = {1: "kidney", 2: "tumor"}
PLACE = Path("case_00012/segmentation.nii.gz")


def test_blocks_cover_every_slice_once() -> None:
    assert list(slice_blocks(5, 2)) == [slice(0, 2), slice(2, 4), slice(4, 5)]
    assert list(slice_blocks(0, 2)) == []


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16, np.int32, np.float32, np.float64])
def test_whole_labels_of_any_type_become_uint8(dtype: type[np.generic]) -> None:
    labels = to_label_map(np.array([[0, 1], [2, 0]], dtype=dtype), CLASSES, PLACE)
    assert labels.dtype == np.uint8
    assert labels.tolist() == [[0, 1], [2, 0]]


@pytest.mark.parametrize("dtype", [np.uint8, np.int16, np.float32])
def test_unknown_value_is_refused_with_value_and_classes(dtype: type[np.generic]) -> None:
    with pytest.raises(LabelValueError) as caught:
        to_label_map(np.array([0, 1, 3], dtype=dtype), CLASSES, PLACE)
    assert str(caught.value) == (
        "case_00012/segmentation.nii.gz: values {3} are not among the classes {1: kidney, 2: tumor}; "
        "add them to 'prepare.classes' or fix the file"
    )


@pytest.mark.parametrize("value", [-1, 257, 256])
def test_value_that_would_wrap_to_a_class_is_refused(value: int) -> None:
    with pytest.raises(LabelValueError, match=rf"values \{{{value}\}}"):
        to_label_map(np.array([0, value], dtype=np.int16), CLASSES, PLACE)


@pytest.mark.parametrize("value", [0.5, 0.999, 1.001, np.nan, np.inf])
def test_label_that_is_not_an_integer_is_refused(value: float) -> None:
    with pytest.raises(
        LabelValueError, match=rf"label value {value:g} is not an integer \(1 voxels are off by over 0\.0001"
    ):
        to_label_map(np.array([0, value, 1]), CLASSES, PLACE)


@pytest.mark.parametrize(("value", "label"), [(0.99999994, 1), (1.0000001, 1), (1.99995, 2), (-1e-7, 0)])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_label_that_is_an_integer_but_for_rounding_counts(value: float, label: int, dtype: type[np.generic]) -> None:
    assert to_label_map(np.array([0, value, 1], dtype), CLASSES, PLACE).tolist() == [0, label, 1]


def test_values_are_rounded_to_the_step_of_the_file() -> None:
    assert to_label_map(np.array([0, 1.0039, 1.9961]), CLASSES, PLACE, step=2 / 255).tolist() == [0, 1, 2]
    with pytest.raises(LabelValueError, match=r"1\.0039 is not an integer"):
        to_label_map(np.array([1.0039]), CLASSES, PLACE)
    with pytest.raises(LabelValueError, match=r"1\.2 is not an integer"):
        to_label_map(np.array([1.2]), CLASSES, PLACE, step=0.6)  # too coarse: it could be any


@pytest.mark.parametrize(("value", "remedy"), [(3, "add them to"), (256, "renumber them"), (-1, "renumber them")])
def test_remedy_for_a_value_outside_the_classes_works(value: int, remedy: str) -> None:
    with pytest.raises(LabelValueError, match=remedy):
        to_label_map(np.array([0, value], np.int32), CLASSES, PLACE)


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_intensity_that_is_not_finite_is_counted(value: float) -> None:
    block = np.zeros((2, 3, 3), np.float32)
    block[1, 0, :2] = value
    with pytest.raises(VolumeError, match="2 intensities are NaN or infinite"):
        check_finite(block, PLACE)


def test_opposite_infinities_do_not_cancel() -> None:
    with pytest.raises(VolumeError, match="2 intensities"):
        check_finite(np.array([[[np.inf, -np.inf]]], np.float32), PLACE)


@pytest.mark.parametrize("shape", [(3, 40, 70), (1, 32, 32), (5, 7, 33)])
def test_planes_are_contiguous_and_equal_to_a_block_whose_slices_lie_densest(shape: tuple[int, int, int]) -> None:
    block = np.asfortranarray(np.random.default_rng(0).integers(-1000, 1000, shape, dtype=np.int16))
    planes = to_planes(block, np.float32)
    assert planes.flags.c_contiguous
    assert planes.dtype == np.float32
    assert np.array_equal(planes, block)
