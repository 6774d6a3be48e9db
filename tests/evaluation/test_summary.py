from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import jsonschema
import pytest

from nephrite.evaluation.scores import ArmScores
from nephrite.evaluation.summary import trial_json, trial_schema
from nephrite.evaluation.trial import Trial, TrialPlan

MakeTrial = Callable[..., Trial]


def _validate(content: dict[str, Any]) -> None:
    schema = trial_schema()
    jsonschema.Draft202012Validator.check_schema(schema)
    jsonschema.Draft202012Validator(schema).validate(json.loads(json.dumps(content, allow_nan=False)))


@pytest.mark.parametrize("size", [(3, 10), (1, 10), (2, 2), (1, 1)])
def test_trial_json_follows_its_schema(make_trial: MakeTrial, size: tuple[int, int]) -> None:
    _validate(trial_json(make_trial(cells=size[0], patients=size[1])))


@pytest.mark.parametrize("change", [{"version": 2}, {"surprise": 1}, {"patients": []}, {"headline": None}])
def test_the_schema_refuses_other_content(make_trial: MakeTrial, change: dict[str, Any]) -> None:
    with pytest.raises(jsonschema.ValidationError):
        _validate(trial_json(make_trial()) | change)


def test_a_trial_without_synthetic_sets_asks_nothing(make_arms: Callable[..., list[ArmScores]]) -> None:
    arms = tuple(arm for arm in make_arms() if not arm.arm.synthetic)
    content = trial_json(Trial(TrialPlan("tumor", "real+geometric", None, resamples=100), arms))
    _validate(content)
    assert content["answer"] is None
    assert content["answer_by_segmenter"] == []
    assert "does not ask" in content["headline"]


def test_the_headline_says_the_verdict_with_interval_patients_cells_and_null(make_trial: MakeTrial) -> None:
    content = trial_json(make_trial())
    answer = content["answer"]
    assert answer["resampled"] == ["cells", "patients"]
    assert content["headline"].startswith("Synthetic data helps: real+synthetic+geometric minus real+geometric is +0.0")
    assert f"[{answer['low']:+.3f}, {answer['high']:+.3f}]" in content["headline"]
    assert "10 test patients, 3 cells and 2 segmenters" in content["headline"]
    assert f"by up to {answer['null']['largest']:.3f}" in content["headline"]


def test_one_cell_says_how_to_ask_for_more_and_what_was_not_resampled(make_trial: MakeTrial) -> None:
    content = trial_json(make_trial(cells=1))
    assert content["answer"]["resampled"] == ["patients"]
    assert content["answer"]["null"] is None
    assert "trial.cells: [0, 1, 2]" in content["notes"][0]
    assert "null difference is not available" in content["notes"][1]


def test_few_patients_are_noted(make_trial: MakeTrial) -> None:
    notes = trial_json(make_trial(patients=5))["notes"]
    assert any("5 test patients are fewer than the 8" in note for note in notes)


def test_a_missing_cell_is_noted(make_trial: MakeTrial) -> None:
    trial = make_trial()
    assert not trial_json(trial)["notes"]
    assert "lack a cell" in trial_json(replace(trial, arms=trial.arms[:-1]))["notes"][0]


def test_hd95_is_averaged_where_it_is_defined(make_arm: Callable[..., ArmScores]) -> None:
    arm = make_arm("real", "light", 0, {"a": 0.0, "b": 0.5})
    region = trial_json(Trial(TrialPlan("tumor", "real", None), (arm,)))["arms"][0]["regions"]["tumor"]
    assert (region["hd95"], region["hd95_defined"], region["scored"]) == (8.0, 1, 2)
    nowhere = make_arm("real", "light", 0, {"a": 0.0, "b": 0.0})
    assert (
        trial_json(Trial(TrialPlan("tumor", "real", None), (nowhere,)))["arms"][0]["regions"]["tumor"]["hd95"] is None
    )
