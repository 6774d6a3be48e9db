from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np
import pytest

from nephrite.config import Config
from nephrite.errors import ConfigError
from nephrite.segmentation.backend import Backend, Prediction, Scan, SliceShape, StoredScan, Trained, backend_of
from nephrite.segmentation.fit_task import FitTask
from nephrite.segmentation.in_process.monai import MonaiBackend, MonaiSettings
from nephrite.segmentation.in_process.unet import UNetSettings
from nephrite.store.slices import PairStore, SliceRef
from tests.conftest import hash_again

Load = Callable[..., Config]
CHANNELS: dict[str, tuple[int, ...]] = {"kidney": (1, 2), "tumor": (2,)}


def test_a_kind_is_found_by_its_name(load: Load) -> None:
    config = load("train_segmenter.segmenters.other={kind: monai, network: BasicUNet}")
    backend = backend_of(config.train_segmenter.segmenters["other"])
    assert isinstance(backend, MonaiBackend)
    assert backend.settings == MonaiSettings(kind="monai", network="BasicUNet")


def test_a_patient_of_a_store_is_a_scan_whose_labels_are_not_read(pairs: Path) -> None:
    (pairs / "patients" / "a1" / "label.npy").write_bytes(b"not read")
    hash_again(pairs)
    store = PairStore(pairs)
    scan = StoredScan(store, "a1")
    assert (scan.shape, scan.spacing) == ((6, 32, 32), store.patient("a1").spacing)
    assert np.array_equal(scan.windowed(range(2, 4))[1], store.windowed(SliceRef("a1", 3)))
    assert scan.intensity_window == (-200, 200)


def test_the_window_of_a_scan_is_told_in_its_intensities(pairs: Path) -> None:
    meta = pairs / "patients" / "a1" / "meta.json"
    meta.write_text(
        meta.read_text().replace('"slope": 1.0', '"slope": 0.5').replace('"intercept": 0.0', '"intercept": 7.0')
    )
    hash_again(pairs)
    assert StoredScan(PairStore(pairs), "a1").intensity_window == (-93, 107)


def test_masks_follow_from_probabilities_or_else_from_the_label_map() -> None:
    labels = np.array([[[0, 1, 2]]], np.uint8)
    probabilities = np.array([[[[0.0, 0.5, 0.6]], [[0.7, 0.2, 0.4]]]], np.float32)
    assert Prediction(labels, probabilities).masks(CHANNELS, 0.5).tolist() == [
        [[[False, True, True]], [[True, False, False]]]
    ]
    assert Prediction(labels).masks(CHANNELS, 0.5).tolist() == [[[[False, True, True]], [[False, False, True]]]]


class Program(Backend[UNetSettings, Trained]):
    """A program of its own: finds nothing, and has nothing that a contract leaves open."""

    def fit(self, task: FitTask) -> Trained:
        return Trained(backend=self, channels=task.channels, threshold=task.threshold)

    def load(
        self, folder: Path, channels: Mapping[str, tuple[int, ...]], threshold: float, *, as_fitted: bool = False
    ) -> Trained:
        return Trained(backend=self, channels=channels, threshold=threshold)

    def identity(self, folder: Path) -> str:
        return "nothing"

    def predict(self, trained: Trained, scan: Scan) -> Prediction:
        return Prediction(np.zeros(scan.shape, np.uint8))

    def step_seconds(self, config: Config) -> float:
        return 0.0


def test_a_program_needs_no_more_than_the_contract_leaves_open(load: Load, pairs: Path) -> None:
    config = load()
    program = Program(UNetSettings(kind="unet", base_width=1, depth=1, padding="same", normalization="none"))
    trained = program.load(pairs, CHANNELS, 0.5)
    program.check(config, SliceShape(32, 2))
    assert program.ready(trained, config.compute, batch_size=3) is trained
    assert program.exported(trained, 32) is None
    scans = [StoredScan(PairStore(pairs), patient) for patient in ("c1", "c2")]
    assert [found.labels.shape for found in program.predict_all(trained, scans)] == [(6, 32, 32)] * 2
    assert (program.settings.intake, program.settings.programs) == (UNetSettings.TAKES, ())
    assert (program.settings.gives_probabilities, program.settings.is_seeded) == (True, True)
    with pytest.raises(ConfigError, match=r"segmenter of kind 'unet': gives no features of a slice; name another"):
        program.examine(trained, np.zeros((1, 4, 4), np.float32))
