"""SPADE paints what the condition says, in the style that the code says."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn

from nephrite.models.spade import SpadeGenerator, SpadeNorm, StyleEncoder, divergence, shrink


@pytest.fixture
def network() -> SpadeGenerator:
    return SpadeGenerator(3, base_width=4, depth=3, hidden_width=4, code_length=5).eval()


def conditions(height: int = 32, width: int = 32) -> Tensor:
    return nn.functional.one_hot(torch.randint(0, 3, (2, height, width)), 3).permute(0, 3, 1, 2).float()


@pytest.mark.parametrize("side", [(32, 32), (50, 37), (9, 70)])
def test_slices_have_the_size_of_the_condition_and_lie_in_the_window(
    network: SpadeGenerator, side: tuple[int, int]
) -> None:
    image = network(conditions(*side), torch.randn(2, 5))
    assert image.shape == (2, 1, *side)
    assert 0 <= image.min() < image.max() <= 1


def test_one_condition_in_two_styles_is_two_slices(network: SpadeGenerator) -> None:
    shown = conditions()
    first, other = network(shown, torch.zeros(2, 5)), network(shown, torch.ones(2, 5))
    assert not torch.allclose(first, other, atol=1e-4)
    assert torch.equal(first, network(shown, torch.zeros(2, 5)))


def test_condition_scales_and_shifts_what_was_normalized() -> None:
    norm = SpadeNorm(2, 1, 3)
    nn.init.zeros_(norm.scale_and_offset.weight)
    assert norm.scale_and_offset.bias is not None
    norm.scale_and_offset.bias.data = torch.tensor([1.0, 1.0, 5.0, 7.0])  # scale, scale, offset, offset
    changed = norm(torch.randn(4, 2, 8, 8) * 3 + 9, torch.rand(4, 1, 8, 8))
    assert changed.mean((0, 2, 3)).tolist() == pytest.approx([5, 7], abs=1e-4)
    assert changed.std((0, 2, 3)).tolist() == pytest.approx([2, 2], rel=0.01)


def test_code_follows_contrast_and_not_place() -> None:
    encoder = StyleEncoder(4, 5)
    image = torch.zeros(1, 1, 64, 64)
    image[..., 16:32, 16:32] = 1
    code, moved, darker = (encoder(x)[0] for x in (image, image.roll(16, dims=3), image / 2))
    assert (code - moved).norm() < 0.1 * (code - darker).norm()


def test_divergence_is_that_of_torch() -> None:
    mean, log_variance = torch.randn(3, 5), torch.randn(3, 5)
    normal = torch.distributions.Normal
    reference = torch.distributions.kl_divergence(normal(mean, (log_variance / 2).exp()), normal(0.0, 1.0))
    assert float(divergence(mean, log_variance)) == pytest.approx(float(reference.sum(1).mean()), rel=1e-4)


def test_a_small_lesion_keeps_its_share_at_low_resolution() -> None:
    shown = torch.zeros(1, 2, 32, 32)
    shown[0, 1, 3, 3] = 1
    assert float(shrink(shown, 4, 4)[0, 1].sum()) == pytest.approx(1 / 64)
