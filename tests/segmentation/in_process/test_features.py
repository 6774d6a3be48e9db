from __future__ import annotations

import pytest
import torch
from torch import nn

from nephrite.segmentation.in_process.features import logits_and_features


class Levels(nn.Module):
    """Gives its image twice, the second time doubled."""

    def forward(self, image: torch.Tensor) -> list[torch.Tensor]:
        return [image, 2 * image]


class Deep(nn.Module):
    """A network with a part that gives a list."""

    def __init__(self) -> None:
        super().__init__()
        self.levels = Levels()

    def forward(self, image: torch.Tensor) -> torch.Tensor:
        deepest: torch.Tensor = self.levels(image)[-1]
        return -deepest


def test_features_are_the_mean_of_the_last_level_and_no_hook_is_left() -> None:
    network, image = Deep(), torch.stack([torch.zeros(1, 4, 6), torch.ones(1, 4, 6)])
    logits, features = logits_and_features(network, image, network.levels)
    assert torch.equal(logits, -2 * image)
    assert features.tolist() == [[0], [2]]
    assert not any(module._forward_hooks for module in network.modules())


def test_no_hook_is_left_by_a_network_that_breaks() -> None:
    network = Deep()
    with pytest.raises(TypeError):
        logits_and_features(network, None, network.levels)  # type: ignore[arg-type]  # no image
    assert not any(module._forward_hooks for module in network.modules())
