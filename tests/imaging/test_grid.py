from __future__ import annotations

import numpy as np
import pytest

from nephrite.config import ResampleSettings, ResizeSettings
from nephrite.imaging.grid import Grid, fit_center, plan_grid, resize_image, resize_label, restore_planes

TO_16 = ResizeSettings(kind="resize", size=16)


def test_resizing_keeps_the_extent_in_millimeters() -> None:
    grid = plan_grid(TO_16, (3, 32, 64), (5.0, 0.8, 0.8))
    assert grid.spacing == pytest.approx((5.0, 1.6, 3.2))


def test_resampling_gives_the_asked_spacing_and_size() -> None:
    grid = plan_grid(ResampleSettings(kind="resample", spacing=1.6, size=48), (3, 64, 64), (5.0, 0.8, 0.8))
    block = resize_image(np.zeros((3, 64, 64), np.int16), grid)
    assert grid.height == 32
    assert grid.spacing[1] == pytest.approx(1.6)
    assert block.shape == (3, 48, 48)


def test_shrinking_averages() -> None:
    checkerboard = (np.indices((1, 64, 64)).sum(axis=0) % 2 * 100).astype(np.int16)
    shrunk = resize_image(checkerboard, plan_grid(TO_16, checkerboard.shape, (1, 1, 1)))
    assert np.ptp(shrunk) < 10
    assert shrunk.mean() == pytest.approx(50, abs=1)


def test_label_maps_hold_no_new_values() -> None:
    label = np.zeros((1, 64, 64), np.uint8)
    label[:, 20:40, 20:40] = 3
    shrunk = resize_label(label, plan_grid(TO_16, label.shape, (1, 1, 1)))
    assert set(np.unique(shrunk)) == {0, 3}
    assert (shrunk == 3).mean() == pytest.approx((label == 3).mean(), abs=0.02)


def test_the_majority_wins_a_pixel() -> None:
    label = np.zeros((1, 48, 48), np.uint8)
    label[:, :, 16:] = 2  # the sixth pixel covers columns 15 to 17
    shrunk = resize_label(label, plan_grid(TO_16, label.shape, (1, 1, 1)))
    assert shrunk[0, 0].tolist() == [0] * 5 + [2] * 11


def test_the_store_size_passes_unchanged() -> None:
    block = np.arange(2 * 16 * 16, dtype=np.int16).reshape(2, 16, 16)
    assert np.array_equal(resize_image(block, plan_grid(TO_16, block.shape, (1, 1, 1))), block)


@pytest.mark.parametrize("size", [3, 4, 9])
def test_fitting_keeps_the_center(size: int) -> None:
    block = np.zeros((1, 5, 5))
    block[0, 2, 2] = 1
    fitted = fit_center(block, (size, size), 0)
    assert fitted.shape == (1, size, size)
    assert fitted[0, (size - 1) // 2 : size // 2 + 1, (size - 1) // 2 : size // 2 + 1].sum() == 1


@pytest.mark.parametrize("settings", [TO_16, ResampleSettings(kind="resample", spacing=1.6, size=48)])
@pytest.mark.parametrize("shape", [(33, 64), (200, 121)])
def test_restoring_brings_a_square_back_to_its_place(
    settings: ResizeSettings | ResampleSettings, shape: tuple[int, int]
) -> None:
    inside = np.zeros((1, *shape), np.float32)
    rows, columns = (slice(size // 2 - 10, size // 2 + 8) for size in shape)
    inside[:, rows, columns] = 1
    grid = plan_grid(settings, inside.shape, (5.0, 0.8, 0.8))
    found = restore_planes(resize_image(inside, grid), grid, shape) >= 0.5
    assert found.shape == inside.shape
    borders = (found != (inside == 1))[0]
    assert borders.sum() < 0.5 * inside.sum()
    center = [float(axis.mean()) for axis in np.nonzero(found[0])]
    assert center == pytest.approx([size // 2 - 1.5 for size in shape], abs=max(shape) / 16)


@pytest.mark.parametrize("size", [15, 16, 21, 22])
@pytest.mark.parametrize("rows", [19, 20])
def test_restoring_undoes_cropping_and_padding_exactly(size: int, rows: int) -> None:
    block = np.random.default_rng(0).random((2, rows, 20)).astype(np.float32)
    grid = Grid(rows, 20, size, (1.0, 1.0, 1.0))
    restored = restore_planes(resize_image(block, grid), grid, (rows, 20))
    seen = restored != 0
    assert np.array_equal(restored[seen], block[seen])
    assert seen.sum() == 2 * min(size, rows) * min(size, 20)
