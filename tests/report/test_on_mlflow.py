from __future__ import annotations

from collections.abc import Callable

import pytest

from nephrite.report.on_mlflow import run_note, run_title
from nephrite.report.summary import summarize
from nephrite.report.trial_record import TrialRecord
from nephrite.verdict.trial import Trial

MakeTrial = Callable[..., Trial]


@pytest.fixture
def trial_record(make_trial: MakeTrial) -> TrialRecord:
    return summarize(make_trial())


def test_the_name_of_a_trials_run_is_its_verdict(trial_record: TrialRecord) -> None:
    assert trial_record.answer is not None
    assert run_title("lidc", trial_record) == f"lidc: {trial_record.answer.verdict}"
    plan = trial_record.plan.model_copy(update={"judged_on": "validation"})
    assert run_title("lidc", trial_record.model_copy(update={"plan": plan})).startswith("lidc: development, ")
    assert run_title("lidc", trial_record.model_copy(update={"answer": None})) == "lidc"


def test_the_note_begins_with_the_headline_and_names_what_to_compare_by(trial_record: TrialRecord) -> None:
    note = run_note(trial_record)
    assert note.startswith(f"**{trial_record.headline}**\n")
    assert all(line in note for line in trial_record.notes)
    assert "`replicate`" in note
