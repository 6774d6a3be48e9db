from __future__ import annotations

import pytest
import torch
from torch import nn

from nephrite.config import DiscriminatorSettings
from nephrite.models.discriminators import Discriminator, build_discriminator, receptive_field


def test_three_layers_are_the_papers_70_pixel_discriminator() -> None:
    settings = DiscriminatorSettings(base_width=64, layers=3)
    convolutions = [layer for layer in build_discriminator(settings, channels=3).blocks if isinstance(layer, nn.Conv2d)]
    assert [layer.in_channels for layer in convolutions] == [4, 64, 128, 256, 512]
    assert [layer.stride for layer in convolutions] == [(2, 2), (2, 2), (2, 2), (1, 1), (1, 1)]
    assert receptive_field(3) == 70


@pytest.mark.parametrize(("layers", "pixels"), [(1, 16), (2, 34), (3, 70), (4, 142), (5, 286)])
def test_receptive_field_is_the_papers(layers: int, pixels: int) -> None:
    assert receptive_field(layers) == pixels


@pytest.mark.parametrize("layers", [1, 2, 3])
def test_one_logit_sees_exactly_its_receptive_field(layers: int) -> None:
    torch.manual_seed(0)
    image = torch.rand(1, 1, 160, 160, requires_grad=True)
    logits = Discriminator(2, base_width=2, layers=layers).eval()(torch.rand(1, 1, 160, 160), image)
    logits[0, 0, logits.shape[2] // 2, logits.shape[3] // 2].backward()
    assert image.grad is not None
    rows = image.grad[0, 0].abs().sum(1).nonzero()
    assert int(rows.max() - rows.min() + 1) == receptive_field(layers)


@pytest.mark.parametrize("size", [32, 96, 97])
def test_there_is_a_logit_per_patch(size: int) -> None:
    network = Discriminator(4, base_width=2, layers=3)
    logits = network(torch.rand(2, 3, size, size), torch.rand(2, 1, size, size))
    assert logits.shape == (2, 1, size // 8 - 2, size // 8 - 2)


def test_condition_and_slice_both_count() -> None:
    torch.manual_seed(0)
    network = Discriminator(2, base_width=2, layers=1).eval()
    blank, other = torch.zeros(1, 1, 32, 32), torch.ones(1, 1, 32, 32)
    reference = network(blank, blank)
    assert not torch.equal(network(other, blank), reference)
    assert not torch.equal(network(blank, other), reference)


def test_real_slices_are_judged_without_a_look_at_painted_ones() -> None:
    network = Discriminator(2, base_width=2, layers=2)
    condition, real = torch.rand(2, 1, 32, 32), torch.rand(2, 1, 32, 32)
    before = network(condition, real)
    network(condition, torch.full_like(real, 100))
    assert torch.equal(network(condition, real), before)
