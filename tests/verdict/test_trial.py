from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pytest

from nephrite.errors import TrialError
from nephrite.metrics.scores import ArmScores
from nephrite.verdict.trial import Trial, TrialPlan, synthetic_question

REFERENCE = "real+geometric"
PLAN = TrialPlan("tumor", REFERENCE, None, resamples=500)
MakeArm = Callable[..., ArmScores]


def test_the_best_run_is_chosen_on_validation_and_not_on_test(make_arm: MakeArm) -> None:
    weak, strong = ({"a": 0.1, "b": 0.1}, {"a": 0.9, "b": 0.9})
    good_on_test = replace(make_arm(REFERENCE, "light", 0, strong), validation_score=0.2)
    good_on_validation = replace(make_arm("real", "light", 0, weak), validation_score=0.7)
    assert Trial(PLAN, (good_on_test, good_on_validation)).best_run() is good_on_validation


def test_the_best_run_comes_from_the_best_arm_and_not_from_one_lucky_cell(make_arm: MakeArm) -> None:
    scores = {(REFERENCE, 0): 0.9, (REFERENCE, 1): 0.1, ("real", 0): 0.6, ("real", 1): 0.7}
    arms = [replace(make_arm(n, "light", c, {"a": 0.5}), validation_score=v) for (n, c), v in scores.items()]
    best = Trial(PLAN, tuple(arms)).best_run()
    assert (best.arm.training_set, best.arm.cell) == ("real", 1)


def test_second_scans_with_the_same_scores_change_no_table(make_arm: MakeArm) -> None:
    dice = {f"c{number}": number / 10 for number in range(9)}
    single = make_arm(REFERENCE, "light", 0, dice)
    again = [replace(score, patient=f"{score.patient}_2", person=score.patient) for score in single.patients]
    owned = [replace(score, person=score.patient) for score in single.patients]
    double = Trial(PLAN, (replace(single, patients=(*owned, *again)),))
    assert double.patients == tuple(dice)
    kind = (REFERENCE, "light", 1.0, [0])
    assert double.table(*kind).tolist() == Trial(PLAN, (single,)).table(*kind).tolist()


def test_no_arms_are_refused() -> None:
    with pytest.raises(TrialError, match="no arms"):
        Trial(PLAN, ())


def test_other_test_patients_are_named(make_arm: MakeArm) -> None:
    arms = (make_arm(REFERENCE, "light", 0, {"a": 0.5, "b": 0.5}), make_arm("real", "light", 0, {"a": 0.5, "c": 0.5}))
    with pytest.raises(TrialError, match=r"real/light/1.0/0: .*test patients \['b', 'c'\]"):
        Trial(PLAN, arms)


def test_a_patient_scored_twice_is_named(make_arm: MakeArm) -> None:
    arm = make_arm(REFERENCE, "light", 0, {"a": 0.5})
    with pytest.raises(TrialError, match=r"scores test patients \['a'\] twice"):
        Trial(PLAN, (replace(arm, patients=arm.patients * 2),))


def test_an_arm_given_twice_is_named(make_arm: MakeArm) -> None:
    arm = make_arm(REFERENCE, "light", 0, {"a": 0.5})
    with pytest.raises(TrialError, match=r"real\+geometric/light/1.0/0: is scored twice"):
        Trial(PLAN, (arm, arm))


def test_a_segmenter_without_the_reference_is_named(make_arm: MakeArm) -> None:
    arms = (make_arm(REFERENCE, "light", 0, {"a": 0.5}), make_arm("real", "fpn", 0, {"a": 0.5}))
    with pytest.raises(TrialError, match=r"segmenter fpn at label fraction 1.0: has no arm 'real\+geometric'"):
        Trial(PLAN, arms)


def test_a_region_that_was_not_scored_is_refused(make_arm: MakeArm) -> None:
    with pytest.raises(TrialError, match="Dice of cyst was not scored"):
        Trial(replace(PLAN, region="cyst"), (make_arm(REFERENCE, "light", 0, {"a": 0.5}),))


def test_the_question_is_the_reference_with_and_without_synthetic_data() -> None:
    pairs = {"real+synthetic": "real", "real+synthetic+geometric": REFERENCE}
    assert synthetic_question(pairs, REFERENCE) == ("real+synthetic+geometric", REFERENCE)
    assert synthetic_question(pairs, "real") == ("real+synthetic", "real")
    assert synthetic_question({}, REFERENCE) is None


def test_fractions_come_smallest_first_and_each_needs_the_reference(wide_trial: Trial) -> None:
    assert wide_trial.fractions == (0.1, 0.25, 1.0)
    kept = [a for a in wide_trial.arms if (a.arm.training_set, a.arm.fraction) != (REFERENCE, 0.25)]
    with pytest.raises(TrialError, match=r"label fraction 0.25: has no arm 'real\+geometric'"):
        replace(wide_trial, arms=tuple(kept))


def test_a_sets_validation_score_is_its_mean_over_cells_and_segmenters(make_arm: MakeArm) -> None:
    scores = {("light", 0): 0.2, ("light", 1): 0.4, ("fpn", 0): 0.9}
    arms = [replace(make_arm(REFERENCE, n, c, {"a": 0.5}), validation_score=v) for (n, c), v in scores.items()]
    assert Trial(PLAN, tuple(arms)).validation_score(REFERENCE, 1.0) == pytest.approx((0.3 + 0.9) / 2)
