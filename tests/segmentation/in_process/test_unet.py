from __future__ import annotations

import pytest
import torch
from torch import Tensor

from nephrite.segmentation.in_process.features import logits_and_features
from nephrite.segmentation.in_process.networks import Segmenter
from nephrite.segmentation.in_process.unet import UNetBackend, UNetSettings

VALID = UNetSettings(kind="unet", base_width=2, depth=2, padding="valid", normalization="none")
SAME = UNetSettings(kind="unet", base_width=2, depth=2, padding="same", normalization="batch")


def slices(*shape: int) -> Tensor:
    return torch.rand(*shape, generator=torch.Generator().manual_seed(0))


def built(settings: UNetSettings, *, channels: int = 2) -> Segmenter:
    return UNetBackend(settings).build(channels)


@pytest.mark.parametrize("settings", [VALID, SAME])
@pytest.mark.parametrize("size", [(1, 1), (5, 31), (96, 96), (97, 50)])
def test_logits_have_the_size_of_the_slice(settings: UNetSettings, size: tuple[int, int]) -> None:
    segmenter = built(settings, channels=3).eval()
    assert segmenter(slices(2, 1, *size)).shape == (2, 3, *size)


@pytest.mark.parametrize("settings", [VALID, SAME])
def test_logits_lie_where_their_pixels_are(settings: UNetSettings) -> None:
    torch.manual_seed(0)
    segmenter = built(settings.model_copy(update={"base_width": 16}), channels=1).eval()
    dark, bright = torch.zeros(1, 1, 64, 64), torch.zeros(1, 1, 64, 64)
    bright[..., 20, 41] = 1
    change = (segmenter(bright) - segmenter(dark)).detach()[0, 0].square()
    rows, columns = torch.meshgrid(torch.arange(64.0), torch.arange(64.0), indexing="ij")
    place = [float((change * axis).sum() / change.sum()) for axis in (rows, columns)]
    assert place == pytest.approx([20, 41], abs=1.5)


def test_valid_convolutions_make_the_frame_invisible() -> None:
    segmenter = built(VALID.model_copy(update={"depth": 1}), channels=1)
    whole = segmenter(slices(1, 1, 80, 80))
    tile = segmenter(slices(1, 1, 80, 80)[..., :60, :60])
    assert torch.allclose(whole[..., :48, :48], tile[..., :48, :48], atol=1e-5)


@pytest.mark.parametrize("settings", [VALID, SAME])
def test_every_parameter_learns_under_bfloat16(settings: UNetSettings) -> None:
    segmenter = built(settings).to(memory_format=torch.channels_last)
    with torch.autocast("cpu", torch.bfloat16):
        logits = segmenter(slices(2, 1, 64, 64))
    logits.float().square().mean().backward()
    assert all(weight.grad is not None and weight.grad.isfinite().all() for weight in segmenter.parameters())


@pytest.mark.parametrize("settings", [VALID, SAME])
def test_export_takes_any_batch_and_agrees(settings: UNetSettings) -> None:
    segmenter = built(settings).eval()
    exported = torch.export.export(segmenter, (slices(2, 1, 64, 64),), dynamic_shapes=({0: torch.export.Dim.DYNAMIC},))
    batch = slices(3, 1, 64, 64)
    assert torch.allclose(exported.module()(batch), segmenter(batch), atol=1e-4)


@pytest.mark.parametrize(("settings", "features"), [(SAME, 8), (VALID, 8)])
def test_features_are_what_leaves_the_bottom(settings: UNetSettings, features: int) -> None:
    backend = UNetBackend(settings)
    network, image = backend.build(2).eval(), slices(3, 1, 33, 40)
    with torch.inference_mode():
        logits, found = logits_and_features(network, image, backend.deepest(network.network))
        assert torch.equal(logits, network(image))
    assert found.shape == (3, features)


def test_a_narrow_one_is_timed_in_place_of_a_wide_one() -> None:
    wide, narrow = (UNetBackend(SAME.model_copy(update={"base_width": width})) for width in (64, 8))
    probe, factor = wide.cheap()
    assert (probe.settings.base_width, factor) == (16, 16.0)
    assert narrow.cheap()[1] == 1
    assert narrow.cheap()[0].settings == narrow.settings
