"""What is not trained draws its intensities about those of the training patients, or anywhere."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from nephrite.generation.conditioning import Request
from nephrite.generation.fitting import training_of
from nephrite.generation.kinds.randomized import RandomizedSettings
from nephrite.generation.synthesizers import Synthesizer


def test_classes_stay_near_the_training_patients(painter: Callable[[str], Synthesizer], asked: Request) -> None:
    painted = painter("randomized").paint(asked, range(4))
    means = [float(painted[asked.label == value].mean()) for value in (0, 1, 2)]
    assert means == sorted(means)


def test_without_a_spread_any_brightness_comes(painter: Callable[[str], Synthesizer], asked: Request) -> None:
    made = painter("randomized")
    made.kind.settings = RandomizedSettings(kind="randomized", spread=None)
    one = Request(np.repeat(asked.label[:1], 20, axis=0))
    painted = made.paint(one, range(20))
    lesions = painted[:, 14, 14]
    assert lesions.min() < 0.4
    assert lesions.max() > 0.6


def test_nothing_is_trained(painter: Callable[[str], Synthesizer]) -> None:
    kind = painter("randomized").kind
    assert training_of(kind.settings) is None
    assert not [*kind.build(3, 32).parameters()]
