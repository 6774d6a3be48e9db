from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from nephrite.segmentation.inference import label_scans, predict_patient
from nephrite.segmentation.networks import build_unet
from nephrite.store.slices import PairStore, SliceRef

CHANNELS: dict[str, tuple[int, ...]] = {"kidney": (1,), "tumor": (2,)}


@pytest.mark.parametrize("batch_size", [1, 4, 6])
def test_every_slice_is_predicted_once_and_in_order(pairs: Path, batch_size: int) -> None:
    network = build_unet(channels=2, base_width=4, depth=1, padding="same", normalization="none").eval()
    store = PairStore(pairs)
    whole = predict_patient(network, store, "c1", threshold=0.5, batch_size=100)
    masks = predict_patient(network, store, "c1", threshold=0.5, batch_size=batch_size)
    assert masks.shape == (6, 2, 32, 32)
    assert np.mean(masks != whole) < 1e-3  # sums in another order may tip a pixel at the threshold


def test_threshold_zero_marks_all_and_one_nothing(pairs: Path) -> None:
    network = build_unet(channels=2, base_width=4, depth=1, padding="same", normalization="none").eval()
    store = PairStore(pairs)
    assert predict_patient(network, store, "c1", threshold=0, batch_size=4).all()
    assert not predict_patient(network, store, "c1", threshold=1, batch_size=4).any()


def test_a_teacher_labels_every_slice_of_a_patient(pairs: Path) -> None:
    store, patient = PairStore(pairs), "a1"
    network = build_unet(channels=2, base_width=4, depth=2, padding="same", normalization="batch").eval()
    labels = label_scans(network, store, [patient], CHANNELS, confidence=0.51, batch_size=4)
    assert labels.label(patient).shape == store.label(patient).shape
    assert labels.label(patient).dtype == np.uint8
    np.testing.assert_array_equal(labels.windowed(SliceRef(patient, 2)), store.windowed(SliceRef(patient, 2)))


def test_labels_do_not_depend_on_the_size_of_batches(pairs: Path) -> None:
    store = PairStore(pairs)
    network = build_unet(channels=2, base_width=4, depth=2, padding="same", normalization="batch").eval()
    one, other = (label_scans(network, store, ["a1"], CHANNELS, confidence=0.6, batch_size=n) for n in (1, 6))
    np.testing.assert_array_equal(one.label("a1"), other.label("a1"))
