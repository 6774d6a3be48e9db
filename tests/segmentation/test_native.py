from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import nibabel as nib
import numpy as np
import pytest

from nephrite.config import Config
from nephrite.errors import SourceError
from nephrite.metrics.overlap import volume_dice
from nephrite.metrics.windows import Window
from nephrite.recording import SilentRun
from nephrite.segmentation.backend import Prediction
from nephrite.segmentation.native import NativeScans, assembled, own_labels
from nephrite.stages.prepare import prepare
from nephrite.store.slices import PairStore
from tests.conftest import CHANNELS, write_case

Load = Callable[..., Config]
REGIONS = ("kidney_and_tumor", "tumor")
SPLIT = "prepare.split={train: 0.34, validation: 0.33, test: 0.33, salt: x}"


def trained(threshold: float = 0.5) -> Any:
    """A segmenter of the store's channels, as far as its label maps ask for one."""
    return SimpleNamespace(channels=CHANNELS, threshold=threshold)


def as_found(label: np.ndarray) -> Prediction:
    """A prediction that is certain of this label map."""
    probabilities = np.stack([np.isin(label, values) for values in CHANNELS.values()], axis=1).astype(np.float32)
    return Prediction(label, probabilities)


def raw_folder(root: Path) -> Path:
    """Three cases, each with another scan."""
    for number in range(3):
        write_case(root / "raw" / f"case_{number}", number)
    return root / "raw"


def native_scans(load: Load, root: Path, *overrides: str) -> NativeScans:
    """A store of three cases, and where they lie."""
    raw, config = raw_folder(root), load(SPLIT, *overrides)
    prepare(config, SilentRun(), raw=raw, pairs=root / "pairs")
    return NativeScans(raw, PairStore(root / "pairs"), config, root / "kept")


def test_the_label_map_that_is_kept_lies_on_the_scan_and_is_what_is_scored(load: Load, tmp_path: Path) -> None:
    native = native_scans(load, tmp_path, "prepare.in_plane={kind: resize, size: 16}")
    patient = native.store.patients("test")[0]
    scores = native.score(patient, as_found(np.asarray(native.store.label(patient))), trained(), REGIONS)
    own = nib.nifti1.load(native.raw / patient / "segmentation.nii.gz")
    kept = nib.nifti1.load(tmp_path / "kept" / patient / "segmentation.nii.gz")
    np.testing.assert_allclose(kept.affine, own.affine)
    found, marked = np.asarray(kept.dataobj), np.asarray(own.dataobj)
    assert scores["tumor"].dice == pytest.approx(volume_dice(found == 2, marked == 2))
    assert scores["kidney_and_tumor"].dice == pytest.approx(volume_dice(found > 0, marked > 0))
    assert 0.7 < scores["tumor"].dice < 1  # what the grid costs, where on the grid nothing is wrong
    assert scores["tumor"].truth_volume == pytest.approx(np.count_nonzero(marked == 2) * 5 * 0.8 * 0.8 / 1000)


def test_a_lesion_that_the_grid_lost_is_missed(load: Load, tmp_path: Path) -> None:
    raw = raw_folder(tmp_path)
    for case in raw.iterdir():
        path = case / "segmentation.nii.gz"
        image = nib.nifti1.load(path)
        label = np.asarray(image.dataobj).copy()
        label[label == 2] = 1
        label[2, 16, 16] = 2
        nib.save(nib.Nifti1Image(label, image.affine), path)
    config = load(SPLIT, "prepare.in_plane={kind: resize, size: 16}")
    prepare(config, SilentRun(), raw=raw, pairs=tmp_path / "pairs")
    store = PairStore(tmp_path / "pairs")
    label = np.asarray(store.label("case_0"))
    assert not (label == 2).any()
    scores = NativeScans(raw, store, config).score("case_0", as_found(label), trained(), REGIONS)
    assert scores["tumor"].dice == 0
    assert scores["kidney_and_tumor"].dice > 0.8


def test_a_threshold_cuts_probabilities_and_masks_alone_are_cut_at_one_half(load: Load, tmp_path: Path) -> None:
    native = native_scans(load, tmp_path)
    label = np.asarray(native.store.label("case_0"))
    weak = Prediction(label, np.full((5, len(CHANNELS), *label.shape[1:]), 0.4, np.float32))
    assert native.score("case_0", weak, trained(0.3), REGIONS)["tumor"].predicted_volume > 0
    assert native.score("case_1", weak, trained(0.5), REGIONS)["tumor"].predicted_volume == 0
    masks = native.score("case_2", Prediction(label), trained(0.9), REGIONS)
    assert masks["tumor"].dice > 0.9


def test_what_is_found_in_windows_is_kept_on_the_scan(load: Load, tmp_path: Path) -> None:
    native = native_scans(load, tmp_path)
    label = np.asarray(native.store.label("case_0"))
    middle = label.shape[1] // 2
    windows = (Window(0, 0, middle), Window(middle - 4, middle - 4, middle))
    seen = [(window, as_found(window.cut(label))) for window in windows]
    native.keep("case_0", seen, trained())
    kept = np.asarray(nib.nifti1.load(tmp_path / "kept" / "case_0" / "segmentation.nii.gz").dataobj)
    marked = np.asarray(nib.nifti1.load(native.raw / "case_0" / "segmentation.nii.gz").dataobj)
    assert 0 < np.count_nonzero(kept) < np.count_nonzero(marked)
    assert np.mean(kept[kept > 0] == marked[kept > 0]) > 0.9  # but for borders of the store's grid


def test_windows_come_together_as_one_prediction() -> None:
    label = np.arange(1, 33, dtype=np.uint8).reshape(2, 4, 4) % 3
    windows = [Window(0, 0, 3), Window(1, 1, 3)]
    whole = assembled([(window, as_found(window.cut(label))) for window in windows], label.shape)
    seen = np.zeros((4, 4), bool)
    seen[:3, :3] = seen[1:, 1:] = True
    np.testing.assert_array_equal(whole.labels, label * seen)
    assert whole.probabilities is not None
    np.testing.assert_array_equal(whole.probabilities[:, 1], (label == 2) & seen)
    masks = assembled([(window, Prediction(window.cut(label))) for window in windows], label.shape)
    assert masks.probabilities is None


def test_blocks_of_slices_change_nothing(load: Load, tmp_path: Path) -> None:
    whole, pieces = (native_scans(load, tmp_path / str(size), f"prepare.block={size}") for size in (64, 2))
    found = as_found(np.asarray(whole.store.label("case_1")))
    assert whole.score("case_1", found, trained(), REGIONS) == pieces.score("case_1", found, trained(), REGIONS)


@pytest.mark.parametrize("change", ["scan", "label"])
def test_another_scan_or_label_map_than_the_stores_is_refused(load: Load, tmp_path: Path, change: str) -> None:
    native = native_scans(load, tmp_path)
    label = as_found(np.asarray(native.store.label("case_0")))
    path = native.raw / "case_0" / {"scan": "imaging.nii.gz", "label": "segmentation.nii.gz"}[change]
    image = nib.nifti1.load(path)
    nib.save(nib.Nifti1Image(np.asarray(image.dataobj)[:, ::-1].copy(), image.affine), path)
    with pytest.raises(SourceError, match="is not the scan that"):
        native.score("case_0", label, trained(), REGIONS)
    assert not (tmp_path / "kept").exists()


def test_a_patient_who_is_not_in_raw_data_is_refused(load: Load, tmp_path: Path) -> None:
    native = native_scans(load, tmp_path)
    (native.raw / "case_0").rename(native.raw / "case_9")
    with pytest.raises(SourceError, match="does not hold 'case_0'"):
        native.score("case_0", as_found(np.asarray(native.store.label("case_0"))), trained(), REGIONS)


def test_labels_of_a_part_are_those_of_the_whole() -> None:
    generator = np.random.default_rng(0)
    said = Prediction(np.zeros((6, 8, 8), np.uint8), generator.random((6, len(CHANNELS), 8, 8), np.float32))
    grid: Any = SimpleNamespace(height=8, width=8, size=8, spacing=(1.0, 1.0, 1.0))
    whole = own_labels(said, slice(0, 6), trained(), grid, (20, 24))
    np.testing.assert_array_equal(own_labels(said, slice(2, 4), trained(), grid, (20, 24)), whole[2:4])
