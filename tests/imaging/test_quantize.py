from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest

from nephrite.config import PercentileSettings, ResizeSettings, WindowSettings
from nephrite.imaging.grid import plan_grid
from nephrite.imaging.nifti import open_nifti_scan
from nephrite.imaging.quantize import StoredScale, store_image
from nephrite.imaging.volume import Image, ScanVolume, slice_blocks

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


def hounsfield(dtype: type[np.generic] = np.int16) -> np.ndarray:
    voxels = np.random.default_rng(0).integers(-1000, 1000, (16, 16, 3)).astype(dtype)
    voxels[:4] = -1000
    return voxels


@pytest.mark.parametrize(("outlier", "stored_as"), [(1e6, 32767), (3e38, 32767), (-1e6, -1024)])
def test_outlier_changes_no_other_voxel_of_a_ct(tmp_path: Path, outlier: float, stored_as: int) -> None:
    expected = stored(tmp_path / "a.nii", hounsfield())[0].copy()
    voxels = hounsfield(np.float32)
    voxels[0, 0, 0] = outlier
    image, scale = stored(tmp_path / "b.nii", voxels)
    changed = image != expected
    assert (scale.slope, scale.intercept, changed.sum()) == (1.0, 0.0, 1)
    assert image[changed].item() == stored_as


def test_outlier_is_cut_before_pixels_are_averaged(tmp_path: Path) -> None:
    voxels = np.zeros((32, 32, 2), np.float32)
    voxels[0, 0, 0] = 1e6
    image, _ = stored(tmp_path / "a.nii", voxels + np.arange(32, dtype=np.float32)[:, None, None] * 100)
    assert image.max() < 32767
    assert image[0].ravel()[image[0].argmax()] == pytest.approx(32767 * 0.3, rel=0.5)


@pytest.mark.parametrize("padding", [-2000, -3024, -32768])
def test_padding_is_stored_as_air(tmp_path: Path, padding: int) -> None:
    voxels = hounsfield()
    voxels[:, :2] = padding
    image, _ = stored(tmp_path / "a.nii", voxels)
    assert image.min() == -1024
    assert (image == -1024).sum() == (voxels == padding).sum()


def test_window_beyond_air_and_metal_is_not_cut(tmp_path: Path) -> None:
    voxels = hounsfield(np.int32) * 60
    wide = WindowSettings(kind="window", center=0, width=140_000)
    image, scale = stored(tmp_path / "a.nii", voxels, intensity=wide)
    assert (image.min() * scale.slope + scale.intercept) == pytest.approx(voxels.min(), abs=2)
    assert (image.max() * scale.slope + scale.intercept) == pytest.approx(voxels.max(), abs=2)


@pytest.mark.parametrize("dtype", [np.int32, np.uint16, np.float32, np.float64])
@pytest.mark.parametrize("intensity", [WINDOW, PercentileSettings(kind="percentile")])
def test_whole_numbers_are_stored_alike_whatever_their_type(
    tmp_path: Path, dtype: type[np.generic], intensity: WindowSettings | PercentileSettings
) -> None:
    voxels = np.random.default_rng(0).integers(0, 700, (16, 16, 3))
    first, scale = stored(tmp_path / "a.nii", voxels.astype(np.int16), intensity=intensity)
    image, other = stored(tmp_path / "b.nii", voxels.astype(dtype), intensity=intensity)
    assert np.array_equal(image, first)
    assert other == scale


class FloatScan(ScanVolume):
    """A scan whose reader cannot promise whole numbers, as that of a DICOM series of 16-bit MR."""

    def image_blocks(self, size: int) -> Iterator[tuple[slice, Image]]:
        """See `ScanVolume`."""
        voxels = np.random.default_rng(0).integers(0, 700, self.shape).astype(np.float32)
        for part in slice_blocks(len(voxels), size):
            yield part, voxels[part]


def test_whole_numbers_that_come_as_floats_are_not_spread() -> None:
    scan = FloatScan(spacing=(1.0, 1.0, 1.0), shape=(3, 16, 16), sources={}, header=nib.Nifti1Header())
    image = np.zeros(scan.shape, np.int16)
    grid = plan_grid(ResizeSettings(kind="resize", size=16), scan.shape, scan.spacing)
    scale = store_image(scan, grid, PercentileSettings(kind="percentile"), image, block=2)
    assert (scale.slope, scale.intercept) == (1.0, 0.0)
    assert np.array_equal(image, np.random.default_rng(0).integers(0, 700, scan.shape))


@pytest.mark.parametrize("width", [1.0, 30.0, 300.0, 20_000.0])
def test_outlier_leaves_the_window_its_gray_levels(tmp_path: Path, width: float) -> None:
    voxels = np.random.default_rng(0).random((16, 16, 8)) * width
    voxels[3, 4, 5] = 1e6 * width
    scale = stored(tmp_path / "a.nii", voxels, intensity=PercentileSettings(kind="percentile"))[1]
    low, high = scale.window
    assert high - low > 250
    assert [end * scale.slope + scale.intercept for end in (low, high)] == pytest.approx([0, width], abs=0.02 * width)


def test_narrow_window_is_not_rounded_to_whole_numbers(tmp_path: Path) -> None:
    voxels = np.random.default_rng(0).random((16, 16, 8)) * 30
    voxels[3, 4, 5] = 5000  # fits int16, in a range that is wide enough
    low, high = stored(tmp_path / "a.nii", voxels, intensity=PercentileSettings(kind="percentile"))[1].window
    assert high - low > 250


def test_scan_of_mostly_one_value_keeps_its_range(tmp_path: Path) -> None:
    voxels = np.zeros((16, 16, 8), np.float32)
    voxels[3, 4, 5], voxels[3, 5, 5] = 0.5, 1.0
    image, scale = stored(tmp_path / "a.nii", voxels, intensity=PercentileSettings(kind="percentile"))
    assert np.ptp(image.astype(int)) == 65535
    assert scale.slope * 65535 == pytest.approx(1)
