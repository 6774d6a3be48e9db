from __future__ import annotations

import runpy
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from pydantic import BaseModel, ValidationError

from nephrite.errors import TrialError
from nephrite.report.comparison_record import ComparisonRecord, Record
from nephrite.report.summary import summarize
from nephrite.report.trial_record import TrialRecord
from nephrite.verdict.trial import Trial
from tests.verdict.test_elsewhere import with_external

MakeTrial = Callable[..., Trial]


def _models(found: type[BaseModel] = Record) -> Iterator[type[BaseModel]]:
    for model in found.__subclasses__():
        yield from (model, *_models(model))


@pytest.mark.parametrize("model", list(_models()), ids=lambda model: model.__name__)
def test_every_field_has_its_sentence_and_none_may_be_left_out(model: type[BaseModel]) -> None:
    for name, field in model.model_fields.items():
        assert (field.description or "").endswith("."), name
        assert field.is_required(), name


@pytest.mark.parametrize(("name", "file"), [("page", "PAGE"), ("schema_text", "SCHEMA")])
def test_page_and_schema_are_current(root: Path, name: str, file: str) -> None:
    script = runpy.run_path(str(root / "docs" / "write_trial_json.py"))
    assert script[file].is_relative_to(root)
    assert script[file].read_text(encoding="utf-8") == script[name](), "run 'make docs'"


def test_every_record_has_its_section_on_the_page(root: Path) -> None:
    script = runpy.run_path(str(root / "docs" / "write_trial_json.py"))
    assert set(script["SECTIONS"].values()) == set(_models())


def _comparisons(trial: TrialRecord) -> list[ComparisonRecord]:
    best = [row for found in trial.best_synthetic for row in found.comparisons]
    return [*trial.answers, *trial.answer_by_segmenter, *trial.comparisons, *trial.rivals, *best]


def test_differences_are_those_that_the_trial_was_judged_by(wide_trial: Trial) -> None:
    record = summarize(wide_trial)
    for row in _comparisons(record):
        expected = wide_trial.differences(row.training_set, row.against, row.segmenters, row.fraction)
        np.testing.assert_array_equal(record.differences(row), expected)


def test_differences_are_taken_in_the_cells_that_both_arms_share(make_trial: MakeTrial) -> None:
    trial = make_trial(cells=4)
    lacking = Trial(trial.plan, tuple(arm for arm in trial.arms if (arm.arm.training_set, arm.arm.cell) != ("real", 1)))
    record = summarize(lacking)
    row = next(row for row in record.comparisons if row.training_set == "real")
    assert row.cells == (0, 2, 3)
    expected = lacking.differences(row.training_set, row.against, row.segmenters, row.fraction)
    np.testing.assert_array_equal(record.differences(row), expected)


def test_differences_of_any_scored_region_can_be_asked_for(make_trial: MakeTrial) -> None:
    record = summarize(make_trial())
    assert record.differences(record.comparisons[0], "kidney_and_tumor").tolist() == [[0.0] * 10] * 3
    with pytest.raises(
        TrialError, match=r"label fraction 1.0\): has no table of Dice of cyst by cell and patient; run"
    ):
        record.differences(record.comparisons[0], "cyst")


def _with_arm(content: dict[str, Any], **change: Any) -> dict[str, Any]:
    return {**content, "arms": ({**content["arms"][0], **change}, *content["arms"][1:])}


def test_tables_of_other_cells_or_patients_are_refused(make_trial: MakeTrial) -> None:
    content = summarize(make_trial(patients=8)).model_dump()
    arm = content["arms"][0]
    rows = arm["dice_by_cell"]["tumor"]
    for table in (rows[1:], tuple(row[1:] for row in rows)):
        with pytest.raises(ValidationError, match="real, tumor, has not one row for each cell and one column for each"):
            TrialRecord.model_validate(_with_arm(content, dice_by_cell={"tumor": table}))
    with pytest.raises(ValidationError, match="names other patients than the trial"):
        TrialRecord.model_validate(_with_arm(content, dice_by_patient={"case_00000": 0.5}))


def test_a_best_run_needs_scores_and_volumes_of_the_same_patients(make_trial: MakeTrial) -> None:
    content = summarize(make_trial(cells=1)).model_dump()
    content["best_run"]["truth_volume_by_patient"].pop("case_00000")
    with pytest.raises(ValidationError, match="name different patients"):
        TrialRecord.model_validate(content)


@pytest.mark.parametrize(
    "change", [{"version": 2}, {"surprise": 1}, {"patients": ()}, {"headline": None}, {"arms": ()}]
)
def test_other_content_is_refused(make_trial: MakeTrial, change: dict[str, Any]) -> None:
    content = summarize(make_trial(cells=1)).model_dump()
    with pytest.raises(ValidationError, match=next(iter(change))):
        TrialRecord.model_validate(content | change)


def test_cells_are_those_of_all_arms_and_fractions_are_told_apart(make_trial: MakeTrial, wide_trial: Trial) -> None:
    trial = make_trial(cells=2)
    ragged = Trial(trial.plan, tuple(arm for arm in trial.arms if (arm.arm.training_set, arm.arm.cell) != ("real", 0)))
    assert summarize(ragged).cells == (0, 1)
    assert not summarize(ragged).several_fractions
    assert summarize(wide_trial).several_fractions


def test_differences_elsewhere_are_those_of_the_external_test_set(make_trial: MakeTrial) -> None:
    trial = with_external(make_trial())
    record = summarize(trial)
    assert record.answer is not None
    table = record.differences(record.answer)
    assert table.shape == (3, 12)
    assert table.mean() == pytest.approx(record.answer.mean)
    scores = record.dice_by_patient(record.arms[0])
    assert [*scores] == [*record.external]
    content = record.model_dump()
    content["external"] = content["external"][1:]
    with pytest.raises(ValidationError, match="one column for each test patient"):
        TrialRecord.model_validate(content)
