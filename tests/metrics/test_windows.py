from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from nephrite.config import Config
from nephrite.metrics.windows import Window, place_windows, stack_apart, windows_of

Load = Callable[..., Config]


def centered(side: int = 128, radius: int = 8, slices: int = 3) -> np.ndarray:
    """A disc in the middle of each slice."""
    row, column = np.indices((side, side)) - (side - 1) / 2
    return np.repeat((np.hypot(row, column) <= radius)[None], slices, axis=0)


def test_so_many_windows_hold_nothing_of_the_region_and_the_others_some_of_it() -> None:
    region = centered()
    drawn = [place_windows(region, size=48, count=4, free=2, seed=seed) for seed in range(50)]
    assert all(not window.cut(region).any() for windows in drawn for window in windows[:2])
    others = [window for windows in drawn for window in windows[2:]]
    assert all(window.cut(region).any() for window in others)
    rows = [window.row for window in others]
    assert min(rows) < 16
    assert max(rows) > 64
    assert {len(windows) for windows in drawn} == {4}


def test_every_place_can_be_drawn_to_the_last_row_and_column() -> None:
    windows = place_windows(np.zeros((1, 5, 6), bool), size=4, count=200, free=0, seed=1)
    assert {(w.row, w.column) for w in windows} == {(row, column) for row in range(2) for column in range(3)}


@pytest.mark.parametrize(("radius", "free"), [(14, 1), (0, 0)])
def test_where_no_place_is_as_wanted_windows_lie_anywhere(radius: int, free: int) -> None:
    region = centered(side=32, radius=radius)
    (window,) = place_windows(region, size=24, count=1, free=free, seed=0)
    assert window.cut(region).any() == (radius > 0)
    assert window.cut(region).shape == (3, 24, 24)


def test_a_window_of_the_whole_slice_is_the_slice() -> None:
    region = centered(side=16, radius=3)
    (window,) = place_windows(region, size=16, count=1, free=0, seed=0)
    assert window == Window(0, 0, 16)


def test_stacked_windows_are_apart() -> None:
    parts = [np.ones((2, 3, 3), bool), np.ones((1, 3, 3), bool)]
    assert stack_apart(parts, 2).any(axis=(1, 2)).tolist() == [True, True, False, False, True]
    assert stack_apart(parts[:1], 2).shape == (2, 3, 3)


def test_windows_follow_from_seed_and_patient_and_from_no_arm(load: Load) -> None:
    label = centered(side=32, radius=3).astype(np.uint8)
    setting = "evaluate.windows={size: 8, count: 6}"
    one = windows_of(load(setting, "arm=real/light/1.0/0"), "a", label)
    assert one == windows_of(load(setting, "arm=real+geometric/light/1.0/0"), "a", label)
    assert one != windows_of(load(setting), "b", label)
    assert one != windows_of(load(setting, "trial.seed=8"), "a", label)
    assert windows_of(load(), "a", label) == ()


@pytest.mark.parametrize(("free", "empty"), [(0.0, 0), (0.5, 2), (1.0, 4)])
def test_the_share_of_windows_without_the_region_is_that_of_the_settings(free: float, empty: int, load: Load) -> None:
    label = np.zeros((1, 32, 32), np.uint8)
    label[0, :4] = 1
    config = load(f"evaluate.windows={{size: 8, count: 4, free: {free}}}")
    found = windows_of(config, "a", label)
    assert sum(not window.cut(label).any() for window in found[:empty]) == empty
