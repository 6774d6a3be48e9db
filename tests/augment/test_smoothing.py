from __future__ import annotations

import pytest
import torch

from nephrite.augment.smoothing import blur


def test_constant_stays_constant_up_to_the_border() -> None:
    assert torch.allclose(blur(torch.full((2, 3, 20, 31), 0.7), 2.0), torch.tensor(0.7))


def test_a_dot_becomes_a_gaussian() -> None:
    dot = torch.zeros(41, 61)
    dot[20, 30] = 1
    spread = blur(dot, 3.0)
    variance = (spread.sum(0) * (torch.arange(61) - 30) ** 2).sum()
    assert spread.sum() == pytest.approx(1, abs=1e-4)
    assert variance.sqrt() == pytest.approx(3, abs=0.02)
    assert torch.allclose(spread, spread.flip(0, 1))


def test_sigma_of_zero_changes_nothing() -> None:
    image = torch.rand(1, 8, 9, generator=torch.Generator().manual_seed(0))
    assert torch.equal(blur(image, 0), image)


def test_no_weight_is_so_small_that_it_slows_the_processor_down() -> None:
    dot = torch.zeros(64, 64)
    dot[32, 32] = 1
    spread = blur(dot, 0.7)
    assert spread[spread > 0].min() > torch.finfo(torch.float32).tiny


def test_each_slice_is_blurred_by_its_own_sigma() -> None:
    image = torch.rand(2, 20, 31, generator=torch.Generator().manual_seed(0))
    together = blur(image, torch.tensor([0.7, 2.0]).view(2, 1, 1))
    assert torch.allclose(together[0], blur(image[0], 0.7), atol=1e-6)
    assert torch.allclose(together[1], blur(image[1], 2.0), atol=1e-6)
