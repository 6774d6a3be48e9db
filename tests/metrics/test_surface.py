from __future__ import annotations

import warnings

import numpy as np
import pytest
import surface_distance
from scipy import ndimage

from nephrite.errors import VolumeError
from nephrite.metrics.surface import SurfaceScores, surface_scores


def _box(first_row: int) -> np.ndarray:
    volume = np.zeros((12, 40, 40), dtype=bool)
    volume[3:9, first_row : first_row + 12, 10:30] = True
    return volume


def _blob(seed: int) -> np.ndarray:
    noise = ndimage.gaussian_filter(np.random.default_rng(seed).standard_normal((14, 32, 32)), (1, 3, 3))
    blob: np.ndarray = noise > 0.03
    return blob


def test_equal_regions_agree_fully() -> None:
    assert surface_scores(_box(5), _box(5), spacing=(5.0, 1.0, 1.0), tolerance=1.0) == SurfaceScores(dice=1, hd95=0)


def test_hd95_of_a_shifted_box_is_the_shift_in_millimeters() -> None:
    scores = surface_scores(_box(8), _box(5), spacing=(1.0, 0.8, 0.8), tolerance=1.0)
    assert scores.hd95 == pytest.approx(3 * 0.8)


def test_spacing_decides_whether_a_shift_is_within_the_tolerance() -> None:
    near = surface_scores(_box(6), _box(5), spacing=(1.0, 0.9, 1.0), tolerance=1.0)
    far = surface_scores(_box(6), _box(5), spacing=(1.0, 1.1, 1.0), tolerance=1.0)
    assert near.dice == 1
    assert 0.5 < far.dice < 1


def test_a_shift_of_the_tolerance_itself_is_within_it() -> None:
    assert surface_scores(_box(6), _box(5), spacing=(1.0, 1.0, 1.0), tolerance=1.0).dice == 1
    assert surface_scores(_box(5), _box(5), spacing=(1.0, 1.0, 1.0), tolerance=0.0).dice == 1


def test_both_empty_agree_and_one_empty_has_no_distance() -> None:
    empty = np.zeros((12, 40, 40), dtype=bool)
    assert surface_scores(empty, empty, spacing=(5.0, 1.0, 1.0), tolerance=2.0) == SurfaceScores(dice=1, hd95=0)
    assert surface_scores(empty, _box(5), spacing=(5.0, 1.0, 1.0), tolerance=2.0) == SurfaceScores(dice=0, hd95=None)
    assert surface_scores(_box(5), empty, spacing=(5.0, 1.0, 1.0), tolerance=2.0) == SurfaceScores(dice=0, hd95=None)


def test_a_region_that_fills_the_volume_has_a_surface() -> None:
    full = np.ones((4, 6, 6), dtype=bool)
    assert surface_scores(full, full, spacing=(5.0, 1.0, 1.0), tolerance=1.0) == SurfaceScores(dice=1, hd95=0)


def test_shapes_that_differ_are_refused() -> None:
    with pytest.raises(VolumeError, match="shape"):
        surface_scores(_box(5), _box(5)[:4], spacing=(1.0, 1, 1.0), tolerance=1.0)


@pytest.mark.parametrize("seed", range(4))
def test_scores_equal_those_of_the_published_package(seed: int) -> None:
    predicted, truth, spacing = _blob(seed), _blob(seed + 100), (3.0, 0.7, 0.8)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # the package uses names that SciPy deprecates, which is why we do not call it
        published = surface_distance.compute_surface_distances(truth, predicted, spacing)
    ours = surface_scores(predicted, truth, spacing=spacing, tolerance=1.5)
    assert ours.hd95 == pytest.approx(surface_distance.compute_robust_hausdorff(published, 95))
    assert ours.dice == pytest.approx(surface_distance.compute_surface_dice_at_tolerance(published, 1.5))
