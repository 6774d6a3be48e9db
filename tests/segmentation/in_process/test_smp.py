from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from nephrite.config import Config
from nephrite.errors import ConfigError
from nephrite.models.pretrained import WHEEL_ENCODER, wheel_weights
from nephrite.recording import SilentRun
from nephrite.segmentation.artifacts import load_segmenter
from nephrite.segmentation.backend import StoredScan
from nephrite.segmentation.in_process.fpn import FPNBackend, FPNSettings
from nephrite.segmentation.in_process.smp import SmpBackend, SmpSettings
from nephrite.stages.train_segmenter import train_segmenter
from nephrite.store.slices import PairStore

Load = Callable[..., Config]
UNET = "train_segmenter.segmenters.light={kind: smp, architecture: Unet, encoder: resnet18, weights: none}"


def backend(architecture: str, encoder: str = "resnet18", weights: str = "none") -> SmpBackend:
    settings = {"kind": "smp", "architecture": architecture, "encoder": encoder, "weights": weights}
    return SmpBackend(SmpSettings.model_validate(settings))


def test_it_is_trained_as_any_segmenter_is_and_comes_back(load: Load, pairs: Path, tmp_path: Path) -> None:
    config = load(UNET, "arm=real+geometric/light/1.0/0", "train_segmenter.epochs=1")
    train_segmenter(config, SilentRun(), pairs=pairs, segmenter=tmp_path / "s")
    loaded = load_segmenter(tmp_path / "s")
    found = loaded.trained.backend.predict(loaded.trained, StoredScan(PairStore(pairs), "c1"))
    assert isinstance(loaded.card.settings, SmpSettings)
    assert found.labels.shape == (6, 32, 32)


@pytest.mark.parametrize("architecture", ["Unet", "PSPNet", "DeepLabV3Plus"])
def test_any_in_plane_size_goes_and_features_are_the_encoders(architecture: str) -> None:
    made = backend(architecture)
    network, image = made.build(3).eval(), torch.rand(2, 1, 40, 70)
    assert network(image).shape == (2, 3, 40, 70)
    assert made.deepest(network.network) is network.get_submodule("network.pyramid.encoder")


def test_fpn_is_the_same_network_by_another_name() -> None:
    states = []
    for made in (backend("FPN"), FPNBackend(FPNSettings(kind="fpn", encoder="resnet18", weights="none"))):
        torch.manual_seed(0)
        states.append(made.build(2).state_dict())
    assert states[0].keys() == states[1].keys()
    assert all(torch.equal(states[0][name], states[1][name]) for name in states[0])


def test_a_pretrained_encoder_holds_its_weights_in_any_architecture() -> None:
    encoder = backend("Unet", WHEEL_ENCODER, "imagenet").build(2).get_submodule("network.pyramid.encoder.model")
    assert torch.equal(encoder.get_parameter("conv_stem.weight"), next(iter(wheel_weights().values())))


def test_weights_of_its_own_need_none_to_be_fetched() -> None:
    assert backend("Unet", "resnet18", "imagenet").bare().settings.weights == "none"


@pytest.mark.parametrize(
    ("architecture", "encoder", "message"),
    [
        ("UNet", "resnet18", r"architecture 'UNet': is no architecture .*; take one of DPT, .*, Unet, UnetPlusPlus"),
        ("Unet", "resnet1000", r"encoder 'resnet1000': cannot be the encoder of Unet of segmentation_models_pytorch"),
    ],
)
def test_names_that_the_library_lacks_are_one_line(architecture: str, encoder: str, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        backend(architecture, encoder).build(2)
