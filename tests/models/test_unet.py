from __future__ import annotations

import pytest
import torch
from torch import nn

from nephrite.models.unet import Halving, Normalization, Padding, UNet, crop_center


def parameter_count(
    base_width: int, *, out_channels: int, padding: Padding, normalization: Normalization, halving: Halving
) -> int:
    with torch.device("meta"):
        network = UNet(
            1, out_channels, base_width=base_width, padding=padding, normalization=normalization, halving=halving
        )
    return sum(weight.numel() for weight in network.parameters())


def test_the_papers_layout_has_the_known_31_million_parameters() -> None:
    count = parameter_count(64, out_channels=2, padding="valid", normalization="none", halving="up_convolution")
    assert count == 31_030_658


@pytest.mark.parametrize(("base_width", "millions"), [(64, 23.4), (128, 93.5)])
def test_the_notebooks_layout_has_the_capstones_parameters(base_width: int, millions: float) -> None:
    count = parameter_count(
        base_width, out_channels=2, padding="same", normalization="batch", halving="last_convolution"
    )
    assert round(count / 1e6, 1) == millions


def test_a_tile_of_572_pixels_gives_388_as_in_figure_1() -> None:
    network = UNet(1, 2, base_width=1, padding="valid", normalization="none")
    assert network(torch.zeros(1, 1, 572, 572)).shape == (1, 2, 388, 388)
    assert network.input_size(388) == 572


@pytest.mark.parametrize("depth", [1, 2, 3])
@pytest.mark.parametrize("size", [1, 17, 40, 41, 48])
def test_the_output_of_the_input_size_covers_the_size_and_no_smaller_input_does(depth: int, size: int) -> None:
    network = UNet(1, 1, base_width=1, depth=depth, padding="valid", normalization="none")
    step, side = 2**depth, network.input_size(size)
    covered = network(torch.zeros(1, 1, side, side)).shape[-1]
    assert max(covered - step, 0) < size <= covered


@pytest.mark.parametrize(("size", "side"), [(1, 16), (96, 96), (97, 112)])
def test_same_padding_needs_multiples_of_the_poolings(size: int, side: int) -> None:
    network = UNet(1, 1, base_width=1, padding="same", normalization="none")
    assert network.input_size(size) == side


@pytest.mark.parametrize("halving", ["up_convolution", "last_convolution"])
def test_same_padding_keeps_the_size(halving: Halving) -> None:
    network = UNet(1, 3, base_width=2, padding="same", normalization="batch", halving=halving)
    assert network(torch.zeros(2, 1, 32, 48)).shape == (2, 3, 32, 48)


def test_skip_connections_carry_detail_that_the_bottom_loses() -> None:
    network = UNet(1, 1, base_width=2, depth=2, padding="valid", normalization="none")
    image = torch.rand(1, 1, 60, 60, generator=torch.Generator().manual_seed(0))
    for layer in network.bottom:
        if isinstance(layer, nn.Conv2d):
            nn.init.zeros_(layer.weight)
    assert network(image).std() > 0


def test_normalization_is_there_only_when_asked_for() -> None:
    plain = UNet(1, 1, base_width=1, depth=1, padding="same", normalization="none")
    normalized = UNet(1, 1, base_width=1, depth=1, padding="same", normalization="batch")
    assert not any(isinstance(layer, nn.BatchNorm2d) for layer in plain.modules())
    assert sum(isinstance(layer, nn.BatchNorm2d) for layer in normalized.modules()) == 6


def test_initial_weights_keep_the_scale_of_the_activations() -> None:
    torch.manual_seed(0)
    network = UNet(1, 1, base_width=32, depth=3, padding="same", normalization="none")
    logits = network(torch.randn(1, 1, 64, 64)).detach()
    assert 0.1 < float(logits.std()) < 10


def test_crop_center_takes_the_middle() -> None:
    image = torch.arange(16.0).view(1, 1, 4, 4)
    assert crop_center(image, 2, 2).flatten().tolist() == [5, 6, 9, 10]
