"""Diffusion is refused levels that it does not know, and is trained by denoising."""

from __future__ import annotations

import pytest
import torch
from pydantic import ValidationError
from torch import Tensor

from nephrite.generation.conditioning import Conditioning
from nephrite.generation.denoising import DenoisingModule
from nephrite.generation.fitting import training_of
from nephrite.generation.kinds.diffusion import Diffusion, DiffusionSettings


def test_more_sampling_than_noise_steps_are_refused() -> None:
    with pytest.raises(ValidationError, match="'sampling_steps' 3 is more than 'noise_steps' 2"):
        DiffusionSettings(kind="diffusion", base_width=8, depth=1, noise_steps=2, sampling_steps=3)


def test_loss_follows_from_the_generator_alone(real: tuple[Tensor, Tensor]) -> None:
    kind = Diffusion(DiffusionSettings(kind="diffusion", base_width=8, depth=1, noise_steps=50, sampling_steps=2))
    network, scene = kind.build(3, 32), Conditioning((1, 2)).of_batch(*real)
    losses = [kind.loss(network, scene, torch.Generator().manual_seed(seed)).item() for seed in (1, 1, 2)]
    assert losses[0] == losses[1] != losses[2]
    assert training_of(kind.settings) is DenoisingModule


def test_network_is_no_deeper_than_its_slices_allow() -> None:
    settings = [DiffusionSettings(kind="diffusion", base_width=8, depth=depth) for depth in (5, 3)]
    deep, exact = (Diffusion(one).build(3, 8).state_dict() for one in settings)
    assert [*deep] == [*exact]
