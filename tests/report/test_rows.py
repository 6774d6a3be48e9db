from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace

import jsonschema
import pytest

from nephrite.errors import TrialError
from nephrite.metrics.lesions import Candidate, LesionFindings
from nephrite.metrics.scores import ArmScores, PatientScore
from nephrite.report.markdown import report_markdown
from nephrite.report.rows import plan_record
from nephrite.report.summary import summarize
from nephrite.report.terminal import summary_lines
from nephrite.report.trial_file import trial_schema
from nephrite.verdict.froc import competition_metric
from nephrite.verdict.measures import Measure
from nephrite.verdict.trial import Question, Trial

MakeTrial = Callable[..., Trial]
CPM = Measure("cpm", "tumor")
ASKED = Question(CPM, "real+synthetic+geometric", "real+geometric")


def with_lesions(trial: Trial) -> Trial:
    """Three lesions in each patient: with synthetic slices all are found, else two; one candidate hits nothing."""

    def findings(arm: ArmScores, score: PatientScore) -> LesionFindings:
        hits = 3 if "synthetic" in arm.arm.training_set else 2
        sure = score.regions["tumor"].dice
        found = tuple(Candidate(sure - place / 10, 0.1, place) for place in range(hits))
        return LesionFindings((0.2,) * 3, (*found, Candidate(0.05, 0.1, None)), 4)

    arms = [
        replace(arm, patients=tuple(replace(one, lesions={"tumor": findings(arm, one)}) for one in arm.patients))
        for arm in trial.arms
    ]
    return Trial(trial.plan, tuple(arms))


def test_a_further_question_is_answered_by_its_own_measure_and_adjusted(make_trial: MakeTrial) -> None:
    trial = with_lesions(make_trial())
    record = summarize(Trial(replace(trial.plan, questions=(ASKED,)), trial.arms))
    content = json.loads(record.model_dump_json())
    jsonschema.Draft202012Validator(trial_schema()).validate(content)
    (answer,) = record.questions
    assert answer.measure is not None
    assert (answer.measure.metric, answer.family) == ("cpm", "question")
    assert answer.mean == pytest.approx(1 / 3)
    assert answer.verdict == "helps"
    assert record.answer is not None
    assert record.answer.measure is None
    assert record.answer.mean != answer.mean
    assert "CPM of tumor" in report_markdown(record, {})
    assert any(line.startswith("Further question, CPM of tumor: real+synthetic") for line in summary_lines(record))
    with pytest.raises(TrialError, match="another measure than Dice"):
        record.differences(answer)


def test_the_headline_is_by_the_metric_that_was_declared(make_trial: MakeTrial) -> None:
    trial = with_lesions(make_trial())
    record = summarize(Trial(replace(trial.plan, metric="cpm"), trial.arms))
    assert "CPM of tumor" in record.headline
    assert record.plan.metric == "cpm"
    assert record.answer is not None
    assert record.answer.mean == pytest.approx(1 / 3)
    runs = trial.runs("real+geometric", "light", 1.0)
    expected = competition_metric([one.lesions["tumor"] for one in runs[0].patients])
    assert trial.table("real+geometric", "light", 1.0, [0], CPM).mean() == pytest.approx(float(expected[0]))


def test_the_plan_names_its_questions(make_trial: MakeTrial) -> None:
    plan = plan_record(replace(make_trial().plan, questions=(ASKED,)))
    (question,) = plan.questions
    assert (question.measure.metric, question.measure.region, question.against) == ("cpm", "tumor", "real+geometric")


def test_a_measure_that_was_not_scored_is_refused_before_anything_is_judged(make_trial: MakeTrial) -> None:
    trial = make_trial()
    with pytest.raises(TrialError, match=r"CPM of tumor was not scored; .* add it to 'evaluate.lesions'"):
        Trial(replace(trial.plan, questions=(ASKED,)), trial.arms)


def test_of_a_curve_no_patient_is_told_to_be_better_or_worse(make_trial: MakeTrial) -> None:
    trial = with_lesions(make_trial())
    assert "better in" in report_markdown(summarize(trial), {})
    assert "better in" not in report_markdown(summarize(Trial(replace(trial.plan, metric="cpm"), trial.arms)), {})
