from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from nephrite.config import Arm, Config
from nephrite.errors import StoreError, TrialError
from nephrite.files import write_json
from nephrite.metrics.scores import ArmScores, PatientScore, RegionScore, SliceScores
from nephrite.outlook import look_ahead

Load = Callable[..., Config]
CELLS = ("trial.cells=[0, 1, 2]", "trial.segmenters=[light]")


def _splits(test: int, train: int = 5) -> dict[str, str]:
    return {f"train{number}": "train" for number in range(train)} | {f"c{number}": "test" for number in range(test)}


def test_the_outlook_says_effect_and_cells(load: Load) -> None:
    few, many = (look_ahead(load(*CELLS), _splits(patients), None) for patients in (14, 200))
    assert few.cells_needed == {0.02: None, 0.03: None}
    assert many.cells_needed == {0.02: pytest.approx(15, abs=2), 0.03: pytest.approx(7, abs=1)}
    assert few.smallest_effect is not None
    assert many.smallest_effect is not None
    assert 0 < many.smallest_effect < few.smallest_effect < 0.2


def test_cells_that_share_patients_show_less(load: Load) -> None:
    fraction = ("trial.label_fractions=[0.4]", "trial.cells=[0, 1, 2, 3, 4, 5, 6, 7]", "trial.segmenters=[light]")
    shared = look_ahead(load(*fraction), _splits(60, train=20), None)
    apart = look_ahead(load(*fraction, "trial.label_fractions=[0.1]"), _splits(60, train=80), None)
    assert shared.smallest_effect is not None
    assert apart.smallest_effect is not None
    assert shared.smallest_effect > 1.2 * apart.smallest_effect


def test_too_few_cells_can_show_nothing(load: Load) -> None:
    found = look_ahead(load("trial.cells=[0, 1]"), _splits(60), None)
    assert found.smallest_effect is None
    assert found.rows()[0] == ("smallest effect", "none: a verdict needs 3 cells and 8 test patients")


def test_numbers_are_of_the_measure_that_decides(load: Load, tmp_path: Path) -> None:
    config = load(*CELLS, "trial.metric=cpm", "evaluate.lesions={tumor: {}}")
    text = dict(look_ahead(config, _splits(60), None).rows())
    assert " in CPM of tumor, found in 4 of 5 such trials" in text["smallest effect"]
    assert text[""].startswith("that of Dice in a pilot, which says little of CPM of tumor")
    assert " in Dice of tumor" in look_ahead(load(*CELLS), _splits(60), None).rows()[0][1]
    # a finished trial's spread is that of the measure: surface Dice varies half as much here
    for arm in config.trial.arms:
        write_json(tmp_path / f"{arm}.json", _scores(arm, np.random.default_rng(arm.cell), surface=0.5).to_json())
    spreads = [
        look_ahead(load(*CELLS, f"trial.metric={metric}"), _splits(40), tmp_path).spread.residual
        for metric in ("dice", "surface_dice")
    ]
    assert spreads[1] == pytest.approx(0.5 * spreads[0], rel=1e-6)


def test_the_spread_of_a_finished_trial_is_taken_with_its_uncertainty(load: Load, tmp_path: Path) -> None:
    config, generator = load(*CELLS), np.random.default_rng(1)
    for arm in config.trial.arms:
        write_json(tmp_path / f"{arm}.json", _scores(arm, generator).to_json())
    found = look_ahead(config, _splits(40), tmp_path)
    assert found.spread.residual == pytest.approx(0.03, rel=0.2)
    assert found.spread.between_cells > 0.002
    name, source = found.rows()[-1]
    assert not name
    assert source.startswith(f"of Dice of tumor: upper 80% limits; estimated from 3 cells of {tmp_path}: 0.0")


def test_a_trial_that_is_not_finished_has_no_spread(load: Load, tmp_path: Path) -> None:
    with pytest.raises(StoreError, match="is missing"):
        look_ahead(load(*CELLS), _splits(40), tmp_path)


def test_a_trial_without_a_question_has_no_spread(load: Load, tmp_path: Path) -> None:
    overrides = (*CELLS, "trial.training_sets={real: [real, real+geometric], synthetic: []}", "trial.synthesizers=[]")
    config = load(*overrides)
    for arm in config.trial.arms:
        write_json(tmp_path / f"{arm}.json", _scores(arm, np.random.default_rng(0)).to_json())
    with pytest.raises(TrialError, match="asks no question"):
        look_ahead(config, _splits(40), tmp_path)


def _scores(arm: Arm, generator: np.random.Generator, surface: float = 1) -> ArmScores:
    """Forty test patients; scores of two arms differ by a deviation of 0.03."""
    dice = np.linspace(0.3, 0.7, 40) + generator.normal(0, 0.03 / np.sqrt(2), 40)
    regions = ("kidney_and_tumor", "tumor")
    patients = tuple(
        PatientScore(
            f"c{number}",
            {name: RegionScore(float(value), surface * float(value), 5.0, 10.0, 9.0) for name in regions},
            SliceScores(6, 60.0, 58.0, {"kidney": 0.5}, {"kidney": 4}),
        )
        for number, value in enumerate(dice)
    )
    return ArmScores(arm, patients, 0.5, steps=3, seconds=1.0, training_patients=3)


def test_a_headline_about_another_hospital_is_planned_with_its_patients(load: Load) -> None:
    elsewhere = (*CELLS, "trial.where=external", "acquire.external.path=/theirs")
    splits = _splits(14) | {f"e{number}": "external" for number in range(200)}
    found = [look_ahead(load(*settings), splits, None).smallest_effect for settings in (elsewhere, CELLS)]
    assert found == [look_ahead(load(*CELLS), _splits(test), None).smallest_effect for test in (200, 14)]
