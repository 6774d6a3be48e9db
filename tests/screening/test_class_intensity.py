from __future__ import annotations

import numpy as np
import pytest

from nephrite.errors import DataError
from nephrite.screening.class_intensity import IntensityTally, check_intensities, class_means, intensity_ranges

CLASSES = {1: "kidney", 2: "tumor"}


def _slices(kidney: float, count: int = 20) -> tuple[np.ndarray, np.ndarray]:
    """Slices with a kidney of about the given intensity; every second one also holds a tumor of 0.3."""
    generator = np.random.default_rng(0)
    labels = np.zeros((count, 12, 10), dtype=np.uint8)
    labels[:, 2:6, 2:6] = 1
    labels[::2, 8:10, 8:10] = 2
    level = np.array([0.1, kidney, 0.3])[labels]
    return (level + 0.02 * generator.standard_normal(labels.shape)).clip(0, 1).astype(np.float32), labels


def _tally(kidney: float) -> IntensityTally:
    return IntensityTally.of(*_slices(kidney), CLASSES)


def test_a_class_mean_is_that_of_its_pixels_and_undefined_where_there_are_none() -> None:
    images, labels = _slices(0.6)
    means = class_means(images, labels, CLASSES)
    assert means[0, 1] == pytest.approx(images[0][labels[0] == 2].mean())
    assert np.isnan(means[1, 1])


def test_training_slices_lie_in_their_own_range() -> None:
    ranges = intensity_ranges(_tally(0.6), CLASSES, quantiles=(0, 1))
    check = check_intensities(_tally(0.6), ranges)
    assert ranges[2].slices == 10
    assert ranges[1].low < ranges[1].mean < ranges[1].high
    assert check.share == {1: 0, 2: 0}
    assert check.distance == {1: 0, 2: 0}


def test_a_kidney_that_is_too_bright_is_outside_and_its_tumor_is_not() -> None:
    ranges = intensity_ranges(_tally(0.6), CLASSES, quantiles=(0, 1))
    check = check_intensities(_tally(0.75), ranges)
    assert check.share == {1: 1, 2: 0}
    assert check.outside.sum(axis=0).tolist() == [20, 0]
    assert check.distance[1] == pytest.approx(0.15, abs=0.01)


def test_slices_without_a_class_are_not_judged_by_it() -> None:
    images, labels = _slices(0.6)
    check = check_intensities(
        IntensityTally.of(images[1::2], labels[1::2], CLASSES), intensity_ranges(_tally(0.6), CLASSES)
    )
    assert check.share[2] is None
    assert check.distance[2] is None
    assert not check.outside[:, 1].any()


def test_a_class_that_no_training_slice_holds_is_refused() -> None:
    with pytest.raises(DataError, match=r"class 3 \('cyst'\) is in none of the 20 slices"):
        intensity_ranges(IntensityTally.of(*_slices(0.6), (1, 3)), {1: "kidney", 3: "cyst"})


def test_a_mean_may_lie_outside_its_range_by_the_tolerance() -> None:
    ranges = intensity_ranges(_tally(0.6), CLASSES, quantiles=(0, 1))
    assert check_intensities(_tally(0.65), ranges, tolerance=0).share[1] == 1
    assert check_intensities(_tally(0.65), ranges, tolerance=0.06).share[1] == 0


def test_joined_batches_are_tallied_like_all_slices_at_once() -> None:
    images, labels = _slices(0.6)
    whole = IntensityTally.of(images, labels, CLASSES)
    joined = IntensityTally.join(
        [IntensityTally.of(images[part], labels[part], CLASSES) for part in np.r_[:20].reshape(4, 5)]
    )
    assert np.array_equal(joined.means, whole.means, equal_nan=True)
    assert np.array_equal(joined.counts, whole.counts)
    assert joined.sums == pytest.approx(whole.sums)


def test_some_classes_of_a_tally_are_those_of_a_tally_of_them() -> None:
    assert _tally(0.6).only((2,)).slices.tolist() == [10]
    assert np.array_equal(_tally(0.6).only((2,)).counts, IntensityTally.of(*_slices(0.6), (2,)).counts)
