"""pix2pix paints the whole slice, and learns from nothing but the discriminator and the real slice."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
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
