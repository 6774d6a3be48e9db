from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest

from nephrite.errors import TrialError
from nephrite.evaluation.scores import ArmScores
from nephrite.evaluation.trial import Trial, TrialPlan, compare_runs, synthetic_question

REFERENCE = "real+geometric"
PLAN = TrialPlan("tumor", REFERENCE, None, resamples=500)
MakeArm = Callable[..., ArmScores]
MakeTrial = Callable[..., Trial]


def test_a_real_gain_helps(make_trial: MakeTrial) -> None:
    answer = make_trial(gain=0.05).answer()
    assert answer is not None
    assert answer.verdict.word == "helps"
    assert answer.interval.mean == pytest.approx(0.05, abs=0.01)
    assert (answer.segmenters, answer.cells, answer.patients, answer.better) == (("light", "fpn"), (0, 1, 2), 10, 10)


def test_a_real_loss_hurts(make_trial: MakeTrial) -> None:
    answer = make_trial(gain=-0.05).answer()
    assert answer is not None
    assert answer.verdict.word == "hurts"


def test_no_gain_is_no_evidence_and_one_cell_is_not_enough(make_trial: MakeTrial) -> None:
    nothing, single = make_trial(gain=0.0).answer(), make_trial(cells=1).answer()
    assert nothing is not None
    assert nothing.verdict.word == "no evidence"
    assert single is not None
    assert single.verdict.word == "not enough runs"
    assert single.null is None


def test_differences_are_paired_by_patient_whatever_their_order(make_arm: MakeArm) -> None:
    without = make_arm(REFERENCE, "light", 0, {"a": 0.2, "b": 0.8})
    with_it = make_arm("real", "light", 0, {"b": 0.9, "a": 0.1})
    comparison = Trial(PLAN, (without, with_it)).comparisons()[0]
    assert comparison.interval.mean == pytest.approx(0)
    assert (comparison.better, comparison.worse) == (1, 1)


def test_differences_are_paired_within_a_cell(make_arm: MakeArm) -> None:
    dice = [{"a": 0.2, "b": 0.3}, {"a": 0.6, "b": 0.7}]
    arms = [make_arm(name, "light", cell, dice[cell]) for name in (REFERENCE, "real") for cell in (1, 0)]
    comparison = Trial(PLAN, tuple(arms)).comparisons()[0]
    assert (comparison.interval.low, comparison.interval.high) == (0, 0)
    assert comparison.null is not None
    assert comparison.null.largest == pytest.approx(0.4)


def test_segmenters_are_averaged_within_cell_and_patient(make_arm: MakeArm) -> None:
    gains = {"light": 0.1, "fpn": -0.3}
    arms = [make_arm(REFERENCE, name, 0, {"a": 0.5, "b": 0.5}) for name in gains]
    arms += [make_arm("real", name, 0, {"a": 0.5 + gain, "b": 0.5 + gain}) for name, gain in gains.items()]
    comparison = Trial(PLAN, tuple(arms)).compare("real", REFERENCE, ["light", "fpn"])
    assert comparison.interval.mean == pytest.approx(-0.1)
    assert comparison.patients == 2


def test_every_other_set_meets_the_reference_and_holm_counts_them_all(make_trial: MakeTrial) -> None:
    comparisons = make_trial().comparisons()
    pairs = [(row.segmenters[0], row.training_set) for row in comparisons]
    sets = ("real", "real+synthetic+geometric")
    assert pairs == [(segmenter, name) for segmenter in ("light", "fpn") for name in sets]
    assert all(row.p_holm == pytest.approx(4 * row.p) for row in comparisons if row.p == min(r.p for r in comparisons))


def test_only_shared_cells_are_compared(make_arms: Callable[..., list[ArmScores]]) -> None:
    arms = [a for a in make_arms(segmenters=("light",)) if (a.arm.training_set, a.arm.cell) != ("real", 1)]
    comparison = Trial(PLAN, tuple(arms)).comparisons()[0]
    assert comparison.cells == (0, 2)


def test_arms_without_a_shared_cell_are_refused(make_arm: MakeArm) -> None:
    arms = (make_arm(REFERENCE, "light", 0, {"a": 0.5}), make_arm("real", "light", 1, {"a": 0.5}))
    with pytest.raises(TrialError, match=r"real against real\+geometric \(light\): share no cell"):
        Trial(PLAN, arms).comparisons()


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


def test_no_arms_are_refused() -> None:
    with pytest.raises(TrialError, match="no arms"):
        Trial(PLAN, ())


def test_other_test_patients_are_named(make_arm: MakeArm) -> None:
    arms = (make_arm(REFERENCE, "light", 0, {"a": 0.5, "b": 0.5}), make_arm("real", "light", 0, {"a": 0.5, "c": 0.5}))
    with pytest.raises(TrialError, match=r"real/light/0: .*test patients \['b', 'c'\]"):
        Trial(PLAN, arms)


def test_a_patient_scored_twice_is_named(make_arm: MakeArm) -> None:
    arm = make_arm(REFERENCE, "light", 0, {"a": 0.5})
    with pytest.raises(TrialError, match=r"scores test patients \['a'\] twice"):
        Trial(PLAN, (replace(arm, patients=arm.patients * 2),))


def test_an_arm_given_twice_is_named(make_arm: MakeArm) -> None:
    arm = make_arm(REFERENCE, "light", 0, {"a": 0.5})
    with pytest.raises(TrialError, match=r"real\+geometric/light/0: is scored twice"):
        Trial(PLAN, (arm, arm))


def test_a_segmenter_without_the_reference_is_named(make_arm: MakeArm) -> None:
    arms = (make_arm(REFERENCE, "light", 0, {"a": 0.5}), make_arm("real", "fpn", 0, {"a": 0.5}))
    with pytest.raises(TrialError, match=r"segmenter fpn: has no arm 'real\+geometric'"):
        Trial(PLAN, arms)


def test_a_region_that_was_not_scored_is_refused(make_arm: MakeArm) -> None:
    with pytest.raises(TrialError, match="region 'cyst' was not scored"):
        Trial(replace(PLAN, region="cyst"), (make_arm(REFERENCE, "light", 0, {"a": 0.5}),))


def test_the_question_is_the_reference_with_and_without_synthetic_data() -> None:
    sets = ["real", REFERENCE, "real+synthetic", "real+synthetic+geometric"]
    assert synthetic_question(sets, REFERENCE) == ("real+synthetic+geometric", REFERENCE)
    assert synthetic_question(sets, "real") == ("real+synthetic", "real")
    assert synthetic_question(["real", REFERENCE], REFERENCE) is None


def test_two_runs_are_compared_on_the_same_patients(make_arm: MakeArm) -> None:
    base = np.linspace(0.2, 0.7, 10)
    champion = make_arm("real", "light", 0, {f"case_{n}": float(v) for n, v in enumerate(base)})
    better = make_arm("real", "fpn", 0, {f"case_{n}": float(v) + 0.1 for n, v in enumerate(base)})
    interval = compare_runs(better, champion, "tumor")
    assert interval.mean == pytest.approx(0.1)
    assert interval.low is not None
    assert interval.low > 0


def test_two_runs_on_other_patients_are_refused(make_arm: MakeArm) -> None:
    runs = (make_arm("real", "light", 0, {"a": 0.5}), make_arm("real", "fpn", 0, {"b": 0.5}))
    with pytest.raises(TrialError, match=r"\['a', 'b'\]"):
        compare_runs(*runs, "tumor")
