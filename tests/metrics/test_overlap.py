from __future__ import annotations

import numpy as np
import pytest

from nephrite.errors import VolumeError
from nephrite.metrics.overlap import capstone_iou, foreground_iou, predict_nothing_iou, volume_dice, volume_recall


def _box(start: int, stop: int) -> np.ndarray:
    volume = np.zeros((4, 8, 8), dtype=bool)
    volume[1:3, start:stop, 2:6] = True
    return volume


def _slices(*organ_pixels: int) -> np.ndarray:
    truth = np.zeros((len(organ_pixels), 2, 20, 20), dtype=bool)
    for one, pixels in zip(truth, organ_pixels, strict=True):
        one[0].flat[:pixels] = True
    return truth


def test_dice_counts_voxels_of_the_volume_and_not_slices() -> None:
    truth, predicted = _box(2, 6), _box(4, 8)
    predicted[0] = True
    assert volume_dice(predicted, truth) == pytest.approx(2 * 16 / (32 + 32 + 64))


def test_dice_of_two_empty_regions_is_one_and_of_one_empty_region_is_zero() -> None:
    empty = np.zeros((4, 8, 8), dtype=bool)
    assert volume_dice(empty, empty) == 1
    assert volume_dice(empty, _box(2, 6)) == volume_dice(_box(2, 6), empty) == 0


def test_shapes_that_differ_are_refused() -> None:
    with pytest.raises(VolumeError, match=r"\(2, 8, 8\).*\(4, 8, 8\)"):
        volume_dice(_box(2, 6)[:2], _box(2, 6))


def test_foreground_iou_is_undefined_where_nobody_marks_the_class() -> None:
    predicted, truth = _slices(30, 0), _slices(40, 0)
    iou = foreground_iou(predicted, truth)
    assert iou[0, 0] == pytest.approx(0.75)
    assert np.isnan(iou[0, 1])
    assert np.isnan(iou[1]).all()


def test_capstone_iou_flattens_both_channels_and_averages_background_and_foreground() -> None:
    predicted, truth = _slices(30), _slices(40)
    predicted[0, 1, 0, :10] = True
    foreground, background = 30 / 50, (800 - 50) / (800 - 30)
    assert capstone_iou(predicted, truth) == pytest.approx([50 * (foreground + background)])


def test_capstone_iou_counts_an_undefined_value_as_100() -> None:
    everything = np.ones((1, 2, 4, 4), dtype=bool)
    assert capstone_iou(everything, everything) == pytest.approx([100])


def test_predicting_nothing_scores_about_50_on_a_slice_with_an_organ_and_100_on_one_without() -> None:
    scores = predict_nothing_iou(_slices(8, 20, 0))
    assert scores == pytest.approx([49.5, 48.75, 100])


def test_predicting_nothing_scores_about_58_if_one_slice_in_six_is_empty() -> None:
    assert predict_nothing_iou(_slices(4, 4, 4, 4, 4, 0)).mean() == pytest.approx(58.1, abs=0.1)


def test_iou_of_a_single_pixel_is_defined() -> None:
    truth = np.zeros((1, 1, 2, 2), dtype=bool)
    truth[0, 0, 0, 0] = True
    assert foreground_iou(truth, truth).tolist() == [[1.0]]
    assert foreground_iou(np.zeros_like(truth), truth).tolist() == [[0.0]]


def test_recall_is_the_share_of_the_truth_that_is_found_and_not_defined_without_any() -> None:
    assert volume_recall(_box(4, 8), _box(2, 6)) == pytest.approx(0.5)
    assert volume_recall(np.ones((4, 8, 8), dtype=bool), _box(2, 6)) == 1
    assert volume_recall(_box(2, 6), np.zeros((4, 8, 8), dtype=bool)) is None
