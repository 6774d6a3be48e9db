from __future__ import annotations

import torch
from torch import Tensor, nn

from nephrite.segmentation.volumes.inference import volume_logits

PATCH = (4, 8, 8)


class Doubling(nn.Module):
    """Twice the intensity, so that what is put together again is known; it takes patches of one size alone."""

    def forward(self, image: Tensor) -> Tensor:
        assert tuple(image.shape[2:]) == PATCH
        return torch.cat([2 * image, image], dim=1)


class Forward(nn.Module):
    """The slice before, so that mirrored slices give another answer."""

    def forward(self, image: Tensor) -> Tensor:
        return image.roll(1, dims=2)


def test_volumes_of_any_size_are_put_together_from_patches() -> None:
    for shape in ((9, 20, 13), (4, 8, 8), (2, 30, 5)):
        image = torch.rand(1, 1, *shape)
        found = volume_logits(Doubling(), image, PATCH)
        assert torch.allclose(found, torch.cat([2 * image, image], dim=1), atol=1e-5)


def test_mirroring_averages_over_all_combinations_of_axes() -> None:
    image = torch.rand(1, 1, *PATCH)
    found = volume_logits(Forward(), image, PATCH, mirroring=True)
    expected = (image.roll(1, dims=2) + image.flip(2).roll(1, dims=2).flip(2)) / 2
    assert torch.allclose(found, expected, atol=1e-6)
