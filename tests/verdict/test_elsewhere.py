from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest

from nephrite.metrics.scores import ArmScores, PatientScore
from nephrite.verdict.comparisons import judge_trial
from nephrite.verdict.elsewhere import left_out, not_worse_at_home
from nephrite.verdict.measures import Measure
from nephrite.verdict.trial import Question, Trial

MakeTrial = Callable[..., Trial]
SETS = ("real+synthetic+geometric", "real+geometric")


def with_external(trial: Trial, gain: float = 0.1, patients: int = 12) -> Trial:
    """The trial with patients of another hospital, on whom synthetic data gains something else than at home."""
    rng = np.random.default_rng(3)
    base = rng.uniform(0.2, 0.6, patients)

    def scored(arm: ArmScores) -> tuple[PatientScore, ...]:
        more = gain * ("synthetic" in arm.arm.training_set)
        dice = np.clip(base + more + rng.normal(0, 0.01, patients), 0, 1)
        like = arm.patients[0]
        return tuple(
            replace(
                like,
                patient=f"e{number:02}",
                regions={"tumor": replace(like.regions["tumor"], dice=float(value))},
                recall={"tumor": float(value) if number % 2 else None},
            )
            for number, value in enumerate(dice)
        )

    arms = tuple(replace(arm, external=scored(arm)) for arm in trial.arms)
    return Trial(replace(trial.plan, where="external"), arms)


def test_the_question_at_home_stands_beside_one_about_another_hospital(make_trial: MakeTrial) -> None:
    trial = with_external(make_trial(gain=0.05))
    plan, notes = not_worse_at_home(trial.plan, trial.arms)
    assert plan.questions == (Question(Measure("dice", "tumor", "home"), *SETS),)
    assert notes == []
    judged = judge_trial(Trial(plan, trial.arms))
    assert judged.headline is not None
    assert judged.headline.interval.mean == pytest.approx(0.1, abs=0.01)
    assert judged.headline.patients == 12
    assert judged.questions[0].interval.mean == pytest.approx(0.05, abs=0.01)
    assert (judged.questions[0].patients, judged.questions[0].family) == (10, "question")


def test_it_is_asked_once_and_not_of_a_headline_at_home(make_trial: MakeTrial) -> None:
    trial = with_external(make_trial())
    declared = replace(trial.plan, questions=(Question(Measure("dice", "tumor", "home"), *SETS),))
    assert not_worse_at_home(declared, trial.arms) == (declared, [])
    home = replace(trial.plan, where="home")
    assert not_worse_at_home(home, trial.arms) == (home, [])


def test_where_home_cannot_be_asked_a_note_says_so(make_trial: MakeTrial) -> None:
    trial = with_external(make_trial())
    plan = replace(trial.plan, metric="recall")
    found, notes = not_worse_at_home(plan, trial.arms)
    assert found == plan
    (note,) = notes
    assert note.startswith("Whether it is worse at home cannot be asked: recall of tumor was not scored")


def test_recall_is_judged_on_those_who_have_the_region(make_trial: MakeTrial) -> None:
    trial = with_external(make_trial())
    asked = Question(Measure("recall", "tumor", "external"), *SETS)
    judged = judge_trial(Trial(replace(trial.plan, questions=(asked,)), trial.arms))
    (row,) = judged.questions
    assert row.patients == 6
    assert row.interval.mean == pytest.approx(0.1, abs=0.01)
    assert "6 external test patients" in row.verdict.reason


def test_arms_must_share_patients_elsewhere_too(make_trial: MakeTrial) -> None:
    trial = with_external(make_trial())
    odd = (replace(trial.arms[0], external=trial.arms[0].external[1:]), *trial.arms[1:])
    with pytest.raises(Exception, match=r"do not share test patients \['e00'\]"):
        Trial(trial.plan, odd)


def test_a_report_for_development_says_what_it_does_not_look_at() -> None:
    assert left_out(0, headline=False) == []
    assert left_out(2, headline=False)[0].startswith("2 further questions about the external test set left out")
    assert "asks the validation patients" in left_out(0, headline=True)[0]
