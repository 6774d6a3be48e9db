from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pytest

from nephrite.config import Config
from nephrite.metrics.means import mean_scores
from nephrite.metrics.scores import ArmScores

Load = Callable[..., Config]


def test_the_declared_regions_dice_has_one_name_in_every_arm(load: Load, make_arm: Callable[..., ArmScores]) -> None:
    means = mean_scores(load("trial.primary=tumor"), make_arm("real", "light", 0, {"a": 0.2, "b": 0.6}))
    assert means["dice"] == means["tumor_dice"] == pytest.approx(0.4)
    assert means["kidney_and_tumor_dice"] == pytest.approx(0.9)


def test_of_patients_of_another_hospital_it_is_their_dice(load: Load, make_arm: Callable[..., ArmScores]) -> None:
    home, away = (make_arm("real", "light", 0, {"a": value}) for value in (0.2, 0.7))
    scores = replace(home, external=away.patients)
    config = load("trial.primary=tumor", "acquire.external.path=/elsewhere", "trial.where=external")
    means = mean_scores(config, scores)
    assert means["dice"] == means["external_tumor_dice"] == pytest.approx(0.7)
    assert means["tumor_dice"] == pytest.approx(0.2)
