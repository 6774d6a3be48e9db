"""Noise of a slice follows from its seed alone."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from nephrite.generation.noise import normal_noise, slice_noise


def test_noise_of_a_slice_is_that_of_its_seed() -> None:
    together = normal_noise((3, 2), [1, 2, 3])
    assert torch.equal(together[1:2], normal_noise((3, 2), [2]))
    assert len(set(together.flatten().tolist())) == 18


def test_noise_drops_the_share_that_was_set_and_keeps_the_mean() -> None:
    network = nn.Sequential(nn.Dropout(0.5)).eval()
    with slice_noise(network, [1, 2]):
        dropped = network(torch.ones(2, 8, 64, 64))
    assert float((dropped == 0).float().mean()) == pytest.approx(0.5, abs=0.02)
    assert float(dropped.mean()) == pytest.approx(1, abs=0.03)
    assert torch.equal(network(torch.ones(1)), torch.ones(1))
