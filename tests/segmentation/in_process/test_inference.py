from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from nephrite.segmentation.backend import Backend, Prediction, StoredScan, Trained
from nephrite.segmentation.helper_segmenter import label_scans
from nephrite.segmentation.in_process.family import TrainedNetwork
from nephrite.segmentation.in_process.inference import outputs_and_features, sigmoid_outputs, slice_logits
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


class Local(nn.Module):
    """Logits of each pixel from that pixel alone, so that windows change nothing; remembers what it was given."""

    def __init__(self) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.ones(1))
        self.sizes: list[int] = []

    def forward(self, image: torch.Tensor) -> torch.Tensor:
        self.sizes.append(image.shape[-1])
        return torch.cat([image * self.weight, 1 - image], dim=1)


class Sided(nn.Module):
    """Logits that know their place in what is given: 0 on the left to 1 on the right."""

    def forward(self, image: torch.Tensor) -> torch.Tensor:
        return torch.linspace(0, 1, image.shape[-1]).repeat(len(image), 2, image.shape[-2], 1)


@pytest.mark.parametrize(("window", "size"), [(None, 48), (64, 48), (48, 48), (32, 32), (20, 20)])
def test_slices_larger_than_the_window_go_through_by_windows(window: int | None, size: int) -> None:
    network, image = Local(), torch.rand(2, 1, 48, 48)
    logits = slice_logits(network, image, window=window)
    assert {*network.sizes} == {size}
    torch.testing.assert_close(logits, torch.cat([image, 1 - image], dim=1))


def test_the_middle_of_a_window_weighs_more_than_its_edge() -> None:
    logits = slice_logits(Sided(), torch.zeros(1, 1, 64, 64), window=32)[0, 0, 32]
    # column 28: near the right edge of one window, 0.9, and in the middle of the next one, 0.39
    assert 0.39 < logits[28] < 0.45


def test_mirroring_is_the_mean_of_four_views_turned_back() -> None:
    image = torch.rand(2, 1, 16, 16)
    torch.testing.assert_close(slice_logits(Local(), image, mirroring=True), slice_logits(Local(), image))
    flat = slice_logits(Sided(), image, mirroring=True)
    torch.testing.assert_close(flat, torch.full_like(flat, 0.5))


def test_features_are_those_of_the_whole_slice() -> None:
    network = UNET.build(2).eval()
    planes, source = np.random.default_rng(0).random((2, 48, 48), np.float32), network.network.get_submodule("bottom")
    whole, features = outputs_and_features(network, planes, source)
    parts, same = outputs_and_features(network, planes, source, window=32)
    np.testing.assert_array_equal(features, same)
    assert parts.shape == whole.shape
    np.testing.assert_allclose(parts, sigmoid_outputs(network, planes, window=32), atol=1e-6)
    assert np.abs(parts - whole).max() > 1e-4
