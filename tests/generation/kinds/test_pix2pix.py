"""pix2pix paints the whole slice, and learns from nothing but the discriminator and the real slice."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from nephrite.generation.conditioning import Request
from nephrite.generation.kinds.pix2pix import Pix2Pix
from nephrite.generation.synthesizers import Synthesizer

Make = Callable[[str], Synthesizer]


def test_scene_is_imagined_whole_and_costs_no_penalty(painter: Make, real: tuple[Tensor, Tensor]) -> None:
    made = painter("pix2pix")
    assert isinstance(made.kind, Pix2Pix)
    painted = made.kind.imagine(made.network, made.conditioning.of_batch(*real))
    assert painted.image.shape == (4, 1, 32, 32)
    assert painted.penalty is None


@pytest.mark.parametrize(("dropout", "varies"), [(0.5, True), (0.0, False)])
def test_dropout_is_the_only_noise(painter: Make, asked: Request, dropout: float, varies: bool) -> None:
    made = painter("pix2pix")
    for layer in made.network.modules():
        if isinstance(layer, nn.Dropout):
            layer.p = dropout
    first, other = made.paint(asked, [1, 2, 3, 4]), made.paint(asked, [5, 6, 7, 8])
    assert np.array_equal(first, other) != varies


@pytest.mark.parametrize("normalization", ["slice", "batch"])
def test_paints_as_it_was_trained_unless_by_running_averages(
    painter: Make, real: tuple[Tensor, Tensor], asked: Request, normalization: str
) -> None:
    made = painter("pix2pix")
    assert isinstance(made.kind, Pix2Pix)
    kind = Pix2Pix(made.kind.settings.model_copy(update={"dropout": 0.0, "normalization": normalization}))
    network = kind.build(made.conditioning.channels, 32)
    for weights in network.parameters():
        weights.detach().mul_(4)
    scene = made.conditioning.of_batch(*real)
    trained = kind.imagine(network.train(), scene).image
    painted = kind.paint(network.eval(), scene, [0, 0, 0, 0])
    assert torch.allclose(trained, painted, atol=1e-5) == (normalization == "slice")


def test_a_slice_does_not_depend_on_the_others_of_its_batch(painter: Make, asked: Request) -> None:
    made = painter("pix2pix")
    assert asked.background is not None
    first = Request(asked.label[:1], background=asked.background[:1])
    np.testing.assert_allclose(made.paint(asked, [1, 2, 3, 4])[:1], made.paint(first, [1]), atol=1e-5)
