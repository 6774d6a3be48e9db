from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest

from nephrite.errors import ProgramError
from nephrite.segmentation.backend import Prediction
from nephrite.segmentation.programs.predictions import read_prediction

CHANNELS: dict[str, tuple[int, ...]] = {"kidney": (1, 2), "tumor": (2,)}
AFFINE = np.diag([-2.0, -2.0, -4.0, 1.0])
LABELS = np.zeros((4, 3, 2), np.uint8)  # column, row, slice
LABELS[3, 2, 1] = 2


@pytest.fixture
def read(tmp_path: Path) -> Callable[..., Prediction]:
    """Write a scan; then read what was found in it."""
    nib.save(nib.Nifti1Image(np.zeros(LABELS.shape, np.float32), AFFINE), tmp_path / "scan.nii.gz")

    def from_folder(*, probabilities: bool = False) -> Prediction:
        return read_prediction(tmp_path / "scan.nii.gz", tmp_path, "a", CHANNELS, probabilities=probabilities)

    return from_folder


def save(path: Path, voxels: np.ndarray, affine: np.ndarray = AFFINE) -> None:
    nib.save(nib.Nifti1Image(voxels, affine), path)


def test_a_label_map_is_read_with_the_axes_of_the_store(read: Callable[..., Prediction], tmp_path: Path) -> None:
    save(tmp_path / "a.nii.gz", LABELS.astype(np.float32))
    found = read()
    assert found.labels.shape == (2, 3, 4)
    assert found.labels.dtype == np.uint8
    assert np.argwhere(found.labels).tolist() == [[1, 2, 3]]
    assert found.probabilities is None


def test_axes_in_another_order_are_brought_back(read: Callable[..., Prediction], tmp_path: Path) -> None:
    affine = AFFINE @ np.diag([1.0, 1.0, -1.0, 1.0])
    affine[2, 3] = -4.0
    save(tmp_path / "a.nii.gz", LABELS[:, :, ::-1], affine)
    assert np.argwhere(read().labels).tolist() == [[1, 2, 3]]


def test_probabilities_are_read_by_channel(read: Callable[..., Prediction], tmp_path: Path) -> None:
    save(tmp_path / "a.nii.gz", LABELS)
    for value, name in ((0.25, "kidney"), (0.75, "tumor")):
        save(tmp_path / f"a_prob_{name}.nii.gz", np.full(LABELS.shape, value, np.float32))
    found = read(probabilities=True).probabilities
    assert found is not None
    assert found.shape == (2, 2, 3, 4)
    assert found[:, :, 0, 0].tolist() == [[0.25, 0.75], [0.25, 0.75]]


@pytest.mark.parametrize(
    ("voxels", "affine", "told"),
    [
        (LABELS[:, :, :1], AFFINE, r"prediction a\.nii\.gz: shape \(4, 3, 1\) differs from the image's"),
        (LABELS, np.eye(4), r"prediction a\.nii\.gz: was saved with the identity as affine"),
        (LABELS + 1, AFFINE, r"prediction a\.nii\.gz: .*\b3\b"),
        (LABELS + 0.5, AFFINE, r"prediction a\.nii\.gz: label value 0\.5 is not an integer"),
        (np.full(LABELS.shape, np.nan), AFFINE, r"prediction a\.nii\.gz: label value nan is not an integer"),
    ],
)
def test_what_is_no_label_map_of_the_scan_is_one_line(
    read: Callable[..., Prediction], tmp_path: Path, voxels: np.ndarray, affine: np.ndarray, told: str
) -> None:
    save(tmp_path / "a.nii.gz", voxels, affine)
    with pytest.raises(ProgramError, match=told) as caught:
        read()
    assert "\n" not in str(caught.value)
    assert str(tmp_path) not in str(caught.value)


@pytest.mark.parametrize(("value", "told"), [(1.5, r"holds 1\.5 to 1\.5"), (-0.1, "holds -0.1"), (np.nan, "NaN")])
def test_what_is_no_probability_is_told(
    read: Callable[..., Prediction], tmp_path: Path, value: float, told: str
) -> None:
    save(tmp_path / "a.nii.gz", LABELS)
    save(tmp_path / "a_prob_kidney.nii.gz", np.full(LABELS.shape, value, np.float32))
    with pytest.raises(ProgramError, match=rf"prediction a_prob_kidney\.nii\.gz: .*{told}"):
        read(probabilities=True)


def test_what_was_not_written_is_told(read: Callable[..., Prediction], tmp_path: Path) -> None:
    with pytest.raises(ProgramError, match=r"prediction a\.nii\.gz: was not written"):
        read()
    save(tmp_path / "a.nii.gz", LABELS)
    with pytest.raises(ProgramError, match=r"prediction a_prob_kidney\.nii\.gz: was not written"):
        read(probabilities=True)


def test_a_file_that_ends_early_is_told(read: Callable[..., Prediction], tmp_path: Path) -> None:
    save(tmp_path / "a.nii.gz", LABELS)
    whole = (tmp_path / "a.nii.gz").read_bytes()
    (tmp_path / "a.nii.gz").write_bytes(whole[: len(whole) // 2])
    with pytest.raises(ProgramError, match=r"prediction a\.nii\.gz: "):
        read()
