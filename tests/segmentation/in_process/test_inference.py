from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from nephrite.segmentation.backend import Backend, Prediction, StoredScan, Trained
from nephrite.segmentation.helper_segmenter import label_scans
from nephrite.segmentation.in_process.family import TrainedNetwork
from nephrite.segmentation.in_process.unet import UNetBackend, UNetSettings
from nephrite.store.slices import PairStore, SliceRef

CHANNELS: dict[str, tuple[int, ...]] = {"kidney": (1,), "tumor": (2,)}
UNET = UNetBackend(UNetSettings(kind="unet", base_width=4, depth=2, padding="same", normalization="batch"))


def teacher(batch_size: int) -> TrainedNetwork:
    """With random weights, always the same."""
    torch.manual_seed(0)
    network = UNET.build(2).eval()
    return TrainedNetwork(backend=UNET, channels=CHANNELS, threshold=0.5, network=network, batch_size=batch_size)


def test_a_teacher_labels_every_slice_of_a_patient(pairs: Path) -> None:
    store, patient = PairStore(pairs), "a1"
    labels = label_scans(teacher(4), store, [patient], CHANNELS, confidence=0.51)
    assert labels.label(patient).shape == store.label(patient).shape
    assert labels.label(patient).dtype == np.uint8
    np.testing.assert_array_equal(labels.windowed(SliceRef(patient, 2)), store.windowed(SliceRef(patient, 2)))


def test_labels_do_not_depend_on_the_size_of_batches(pairs: Path) -> None:
    one, other = (label_scans(teacher(n), PairStore(pairs), ["a1"], CHANNELS, confidence=0.6) for n in (1, 6))
    np.testing.assert_array_equal(one.label("a1"), other.label("a1"))


def test_a_teacher_without_probabilities_is_believed(pairs: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    store = PairStore(pairs)

    def truth(self: Backend[UNetSettings, Trained], trained: Trained, scan: StoredScan) -> Prediction:
        return Prediction(np.asarray(store.label(scan.patient)))

    monkeypatch.setattr(UNetBackend, "predict", truth)
    labels = label_scans(teacher(4), store, ["a1"], CHANNELS, confidence=0.9)
    np.testing.assert_array_equal(labels.label("a1"), store.label("a1"))
