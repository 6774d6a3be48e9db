"""Painting in leaves the background alone, and is not shown what it shall paint."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import torch
from torch import Tensor

from nephrite.generation.conditioning import Request
from nephrite.generation.kinds.paint_in import PaintIn, PaintInSettings
from nephrite.generation.synthesizers import Synthesizer

Make = Callable[[str], Synthesizer]


def test_background_outside_of_lesion_and_rim_stays_bit_by_bit(painter: Make, asked: Request) -> None:
    same = painter("paint_in").paint(asked, range(4)) == asked.background
    assert same[:, :8].all()
    assert same[:, :, 22:].all()
    assert not same[:, 12:18, 12:18].any()


def test_generator_is_not_shown_what_it_shall_paint(painter: Make, asked: Request) -> None:
    assert asked.background is not None
    other, made = asked.background.copy(), painter("paint_in")
    other[:, 12:18, 12:18] = 1 - other[:, 12:18, 12:18]  # within the lesion, away from the blended rim
    first, second = (made.paint(asked._replace(background=x), range(4)) for x in (asked.background, other))
    assert np.array_equal(first[:, 12:18, 12:18], second[:, 12:18, 12:18])


def test_training_sees_the_region_unblended_and_costs_no_penalty(painter: Make, real: tuple[Tensor, Tensor]) -> None:
    made = painter("paint_in")
    assert isinstance(made.kind, PaintIn)
    scene = made.conditioning.of_batch(*real)
    image, penalty = made.kind.imagine(made.network, scene)
    assert scene.region is not None
    assert penalty is None
    assert torch.equal(image[scene.region == 0], real[0][scene.region == 0])
    assert not torch.eq(image, real[0])[scene.region > 0].any()


def test_settings_say_that_regions_are_painted() -> None:
    settings = PaintInSettings(kind="paint_in", base_width=4, depth=3, upsampling="resize", dropout=0.5, rim=2)
    assert (settings.region_rim, settings.LEARNS_WITHOUT_LABELS, settings.WEARS_STYLE) == (2, False, False)
