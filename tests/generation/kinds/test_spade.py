"""SPADE wears the style that it is given, and pays for the codes of training slices."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from torch import Tensor

from nephrite.generation.conditioning import Request
from nephrite.generation.kinds.spade import Spade
from nephrite.generation.synthesizers import Synthesizer

Make = Callable[[str], Synthesizer]


def test_given_style_decides_whatever_the_seed(painter: Make, asked: Request) -> None:
    made = painter("spade")
    assert asked.background is not None
    dark, bright = asked._replace(style=asked.background * 0.2), asked._replace(style=asked.background * 0.8)
    assert np.array_equal(made.paint(dark, [1, 2, 3, 4]), made.paint(dark, [5, 6, 7, 8]))
    assert not np.allclose(made.paint(dark, range(4)), made.paint(bright, range(4)), atol=1e-4)


def test_style_of_a_training_slice_costs_a_penalty_by_its_weight(painter: Make, real: tuple[Tensor, Tensor]) -> None:
    made = painter("spade")
    assert isinstance(made.kind, Spade)
    scene, found = made.conditioning.of_batch(*real), []
    for weight in (0.05, 0.5):
        made.kind.settings = made.kind.settings.model_copy(update={"divergence_weight": weight})
        penalty = made.kind.imagine(made.network, scene).penalty
        assert penalty is not None
        found.append(penalty.item())
    assert 0 < found[0] == pytest.approx(found[1] / 10)


def test_settings_say_that_a_style_is_worn(painter: Make) -> None:
    settings = painter("spade").kind.settings
    assert (settings.WEARS_STYLE, settings.region_rim, settings.LEARNS_WITHOUT_LABELS) == (True, None, True)
