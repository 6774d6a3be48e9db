from __future__ import annotations

import json
from dataclasses import replace

import jsonschema
import pytest

from nephrite.judging.given import GivenScores, gather
from nephrite.judging.record import judged_record
from nephrite.judging.tables import WHOLE, GivenTables
from nephrite.report.markdown import report_markdown, title
from nephrite.report.trial_file import trial_schema
from nephrite.report.trial_record import TrialRecord
from nephrite.verdict.statistics import paired_interval
from nephrite.verdict.trial import TrialPlan
from tests.judging.conftest import GAINS, MakeGiven, scores_of

PLAN = TrialPlan("tumor", "real", ("fakes", "real"), overlap={WHOLE: 1.0}, resamples=500)


def judged(given: GivenScores, plan: TrialPlan = PLAN) -> TrialRecord:
    record = judged_record(GivenTables(plan, given))
    jsonschema.Draft202012Validator(trial_schema()).validate(json.loads(record.model_dump_json()))
    return record


@pytest.mark.parametrize(("gain", "word"), [(0.1, "helps"), (-0.1, "hurts"), (0.0, "no evidence")])
def test_a_gain_is_told_as_what_it_is(make_given: MakeGiven, gain: float, word: str) -> None:
    record = judged(make_given(gains={"real": 0.0, "fakes": gain}))
    assert record.answer
    assert (record.answer.verdict, record.answer.sampled) == (word, ("cells", "patients"))
    assert record.answer.mean == pytest.approx(gain, abs=0.01)
    assert "for these training patients" in record.headline


def test_unknown_provenance_opens_the_headline_and_nothing_can_be_promoted(make_given: MakeGiven) -> None:
    record = judged(make_given())
    assert record.headline.startswith("Provenance unverifiable: 'fakes' helps, for these training patients: ")
    assert title(record) == "Provenance unverifiable: 'fakes' helps, for these training patients"
    assert record.provenance == "unverifiable"
    assert record.best_run is None
    assert record.arms[0].steps == record.arms[0].training_patients == ()
    assert record.arms[0].validation_score is None


@pytest.mark.parametrize("replicates", [1, 2])
def test_below_three_replicates_the_interval_is_over_patients_and_there_is_no_word(
    make_given: MakeGiven, replicates: int
) -> None:
    record = judged(make_given(replicates=replicates))
    answer = record.answer
    assert answer
    assert (answer.verdict, answer.sampled) == ("not enough runs", ("patients",))
    table = record.differences(answer).mean(axis=0, keepdims=True)
    expected = paired_interval(table)
    assert (answer.mean, answer.low, answer.high) == pytest.approx((expected.mean, expected.low, expected.high))
    assert "an interval over patients alone, for th" in record.headline
    assert "there is no word" in " ".join(record.notes)
    assert "patients are the sample" in report_markdown(record, {})


def test_other_training_patients_make_a_longer_interval_that_speaks_for_others(make_given: MakeGiven) -> None:
    same, some, none = (judged(make_given(), replace(PLAN, overlap={WHOLE: share})).answer for share in (1.0, 0.5, 0.0))
    assert same
    assert some
    assert none
    assert same.low == none.low
    assert (some.high or 0) - (some.low or 0) > (none.high or 0) - (none.low or 0)
    text = report_markdown(judged(make_given(), replace(PLAN, overlap={WHOLE: 0.5})), {})
    assert "share 50% of their training patients" in text
    assert "for these training patients" not in text.partition("\n")[0]


def test_further_arms_stand_beside_the_question_and_a_copy_is_the_null(make_given: MakeGiven) -> None:
    given = make_given(gains={**GAINS, "again": 0.0, "paste": 0.05})
    record = judged(given, replace(PLAN, copies={"again": "real"}))
    assert [row.training_set for row in record.comparisons] == ["fakes", "paste"]
    assert record.comparisons[1].family == "exploration"
    assert record.answer
    assert record.answer.null
    assert record.answer.null.arm == "again"
    assert "another initialization alone moves real" in record.headline


def test_regions_and_metrics_that_were_not_given_are_not_shown(make_given: MakeGiven) -> None:
    text = report_markdown(judged(make_given()), {})
    assert "| not given | not given |" in text
    assert "capstone" not in text
    more = [replace(score, metric=metric) for score in scores_of() for metric in ("surface_dice", "hd95")]
    kidney = [replace(score, region="kidney") for score in scores_of()]
    record = judged(gather([*kidney, *scores_of(), *more], "x"))
    assert [*record.arms[0].regions] == ["tumor", "kidney"]
    assert record.arms[0].regions["tumor"].hd95_defined == 30
    assert record.arms[0].regions["kidney"].surface_dice is None


def test_folds_absent_regions_and_names_of_replicates_are_noted() -> None:
    folded = [replace(s, fold=f"f{int(s.patient[1:]) % 5}", replicate=f"cv{s.replicate}") for s in scores_of()]
    recall = [replace(s, metric="recall", value=None if s.patient == "p00" else 0.5) for s in folded]
    notes = " ".join(judged(gather([*folded, *recall], "x")).notes)
    assert "Cells are the replicates, in this order: cv0, cv1, cv2." in notes
    assert "a cross-validation of 5 folds: each patient is predicted once" in notes
    assert "1 of 10 test patients without tumor" in notes


def test_several_scans_of_a_patient_are_noted(make_given: MakeGiven) -> None:
    notes = judged(replace(make_given(), scans=14)).notes
    assert any(note.startswith("14 scans of 10 test patients: a patient's scans are averaged") for note in notes)
    assert "averaged" not in " ".join(judged(make_given()).notes)


def test_few_patients_and_ragged_arms_are_noted() -> None:
    few = [s for s in scores_of(patients=4) if not (s.arm == "real" and s.replicate == "2")]
    record = judged(gather([*few], "x"))
    notes = " ".join(record.notes)
    assert "4 test patients: fewer than the 8" in notes
    assert "Some arms lack a replicate" in notes
    assert record.answer
    assert record.answer.cells == (0, 1)
