from __future__ import annotations

import numpy as np
import pytest

from nephrite.config import PercentileSettings, WindowSettings
from nephrite.imaging.intensity import OFFSET, apply_window, invert_window, resolve_range

CAPSTONE = WindowSettings(kind="window", center=0, width=400)


def histogram(values: np.ndarray) -> np.ndarray:
    return np.bincount(values + OFFSET, minlength=2 * OFFSET)


def test_window_maps_its_ends_to_zero_and_one_and_clips_beyond() -> None:
    stored = np.array([-1000, -200, 0, 200, 3000], dtype=np.int16)
    assert apply_window(stored, -200, 200).tolist() == [0, 0, 0.5, 1, 1]


def test_window_gives_float32() -> None:
    assert apply_window(np.zeros((2, 2), np.int16), -200, 200).dtype == np.float32


def test_inverse_returns_stored_values_inside_the_window() -> None:
    stored = np.arange(-200, 201, dtype=np.int16)
    assert np.array_equal(invert_window(apply_window(stored, -200, 200), -200, 200), stored)


def test_inverse_never_leaves_the_window() -> None:
    values = np.array([-0.5, -1e-4, 0, 0.5, 1, 1.0001, 40], dtype=np.float32)
    assert invert_window(values, -100, 300).tolist() == [-100, -100, -100, 100, 300, 300, 300]


def test_inverse_rounds_to_the_nearest_value_and_is_int16() -> None:
    stored = invert_window(np.array([0.149, 0.151, 0.26], dtype=np.float32), 0, 10)
    assert stored.tolist() == [1, 2, 3]
    assert stored.dtype == np.int16


def test_fixed_window_does_not_depend_on_the_scan() -> None:
    assert resolve_range(CAPSTONE, histogram(np.array([5, 6]))) == (-200, 200)


def test_percentiles_are_read_off_the_histogram() -> None:
    values = np.random.default_rng(0).integers(-500, 1500, 100_000)
    low, high = resolve_range(PercentileSettings(kind="percentile", low=1, high=99), histogram(values))
    assert (low, high) == pytest.approx(tuple(np.percentile(values, [1, 99])), abs=1)


def test_a_constant_scan_still_has_a_window() -> None:
    low, high = resolve_range(PercentileSettings(kind="percentile", low=1, high=99), histogram(np.full(10, 7)))
    assert high > low
