from __future__ import annotations

from pathlib import Path

import nibabel as nib
import numpy as np
import pytest

from nephrite.config import PercentileSettings, ResizeSettings, WindowSettings
from nephrite.imaging.grid import plan_grid
from nephrite.imaging.nifti import open_nifti_scan
from nephrite.imaging.quantize import StoredScale, store_image

WINDOW = WindowSettings(kind="window", center=100, width=200)


def stored(
    path: Path, voxels: np.ndarray, *, intensity: WindowSettings | PercentileSettings = WINDOW, block: int = 2
) -> tuple[np.ndarray, StoredScale]:
    """A scan as it is stored on 16 x 16 pixels."""
    nib.save(nib.Nifti1Image(voxels, np.diag([-1.0, -1, -1, 1])), path)
    scan = open_nifti_scan(path)
    image = np.zeros((scan.shape[0], 16, 16), np.int16)
    grid = plan_grid(ResizeSettings(kind="resize", size=16), scan.shape, scan.spacing)
    return image, store_image(scan, grid, intensity, image, block=block)


def test_whole_intensities_are_stored_as_they_are(tmp_path: Path) -> None:
    voxels = np.arange(16 * 16 * 3, dtype=np.int16).reshape(16, 16, 3)
    image, scale = stored(tmp_path / "a.nii", voxels)
    assert scale == StoredScale((0.0, 200.0), 1.0, 0.0)
    assert sorted(image.ravel()) == list(range(voxels.size))


def test_small_range_is_spread_and_the_window_with_it(tmp_path: Path) -> None:
    voxels = np.random.default_rng(0).random((16, 16, 3)).astype(np.float32)
    image, scale = stored(tmp_path / "a.nii", voxels, intensity=WindowSettings(kind="window", center=0.5, width=1))
    assert np.ptp(image.astype(int)) == 65535
    assert [end * scale.slope + scale.intercept for end in scale.window] == pytest.approx([0, 1], abs=1e-5)


def test_percentiles_are_those_of_the_whole_scan(tmp_path: Path) -> None:
    voxels = np.zeros((16, 16, 10), np.int16)
    voxels[:] = np.arange(10) * 100
    settings = PercentileSettings(kind="percentile", low=20, high=90)
    for block in (1, 3, 10):
        assert stored(tmp_path / "a.nii", voxels, intensity=settings, block=block)[1].window == (100.0, 800.0)
