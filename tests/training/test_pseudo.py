from __future__ import annotations

from pathlib import Path

import numpy as np
import torch

from nephrite.config import IGNORED
from nephrite.imaging.slices import PairStore, SliceRef
from nephrite.models.segmenters import build_unet
from nephrite.training.pseudo import found_somewhere, label_scans, to_labels

CHANNELS: dict[str, tuple[int, ...]] = {"kidney": (1,), "tumor": (2,)}


def test_sure_pixels_are_labelled_and_unsure_ones_ignored() -> None:
    probability = torch.tensor([[0.95, 0.02, 0.5, 0.99, 0.03], [0.01, 0.02, 0.0, 0.97, 0.95]])[None, :, None]
    assert to_labels(probability, CHANNELS, 0.9).flatten().tolist() == [1, 0, IGNORED, 2, 2]


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


def test_nothing_is_found_where_all_is_background_or_unsure() -> None:
    background, unsure = np.zeros((2, 3, 3), np.uint8), np.full((2, 3, 3), IGNORED, np.uint8)
    kidney = background.copy()
    kidney[1, 2, 0] = 1
    assert found_somewhere({"a": background, "b": unsure, "c": kidney}) == ["c"]
