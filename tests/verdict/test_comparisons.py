from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pytest

from nephrite.errors import TrialError
from nephrite.metrics.scores import ArmScores
from nephrite.verdict.comparisons import Comparison, Judged, Pair, compare, judge_trial
from nephrite.verdict.statistics import Interval
from nephrite.verdict.trial import Question, Trial, TrialPlan

REFERENCE, RIVAL = "real+geometric", "real+geometric+copy_paste"
WEAK, GOOD = "real+weak+geometric", "real+synthetic+geometric"
PLAN = TrialPlan("tumor", REFERENCE, None, resamples=500)
MakeArm = Callable[..., ArmScores]
MakeTrial = Callable[..., Trial]


def test_a_real_gain_helps(make_trial: MakeTrial) -> None:
    (found,) = judge_trial(make_trial(gain=0.05)).answers
    assert found.verdict.word == "helps"
    assert found.interval.mean == pytest.approx(0.05, abs=0.01)
    assert (found.pair.segmenters, found.cells, found.patients, found.better) == (("light", "fpn"), (0, 1, 2), 10, 10)


def test_a_real_loss_hurts(make_trial: MakeTrial) -> None:
    (found,) = judge_trial(make_trial(gain=-0.05)).answers
    assert found.verdict.word == "hurts"


def test_no_gain_is_no_evidence_and_one_cell_is_not_enough(make_trial: MakeTrial) -> None:
    (nothing,), (single,) = (judge_trial(make_trial(**kind)).answers for kind in ({"gain": 0.0}, {"cells": 1}))
    assert nothing.verdict.word == "no evidence"
    assert single.verdict.word == "not enough runs"
    assert single.null is None


def test_differences_are_paired_by_patient_whatever_their_order(make_arm: MakeArm) -> None:
    without = make_arm(REFERENCE, "light", 0, {"a": 0.2, "b": 0.8})
    with_it = make_arm("real", "light", 0, {"b": 0.9, "a": 0.1})
    comparison = judge_trial(Trial(PLAN, (without, with_it))).with_reference[0]
    assert comparison.interval.mean == pytest.approx(0)
    assert (comparison.better, comparison.worse) == (1, 1)


def test_rounding_noise_makes_no_patient_better_or_worse(make_arm: MakeArm) -> None:
    without = make_arm(REFERENCE, "light", 0, {"a": 0.3, "b": 0.1 + 0.2, "c": 0.5, "d": 0.5})
    with_it = make_arm("real", "light", 0, {"a": 0.1 + 0.2, "b": 0.3, "c": 0.5 + 1e-6, "d": 0.5 - 1e-6})
    assert 0.1 + 0.2 != 0.3
    (comparison,) = judge_trial(Trial(PLAN, (without, with_it))).with_reference
    assert (comparison.better, comparison.worse) == (1, 1)


def test_differences_are_paired_within_a_cell(make_arm: MakeArm) -> None:
    dice = [{"a": 0.2, "b": 0.3}, {"a": 0.6, "b": 0.7}]
    arms = [make_arm(name, "light", cell, dice[cell]) for name in (REFERENCE, "real") for cell in (1, 0)]
    comparison = judge_trial(Trial(PLAN, tuple(arms))).with_reference[0]
    assert (comparison.interval.low, comparison.interval.high) == (0, 0)
    assert comparison.null is not None
    assert comparison.null.largest == pytest.approx(0.4)


def test_segmenters_are_averaged_within_cell_and_patient(make_arm: MakeArm) -> None:
    gains = {"light": 0.1, "fpn": -0.3}
    arms = [make_arm(REFERENCE, name, 0, {"a": 0.5, "b": 0.5}) for name in gains]
    arms += [make_arm("real", name, 0, {"a": 0.5 + gain, "b": 0.5 + gain}) for name, gain in gains.items()]
    comparison = compare(Trial(PLAN, tuple(arms)), Pair("real", REFERENCE, ("light", "fpn"), 1.0))
    assert comparison.interval.mean == pytest.approx(-0.1)
    assert comparison.patients == 2


def test_every_other_set_meets_the_reference(make_trial: MakeTrial) -> None:
    comparisons = judge_trial(make_trial()).with_reference
    pairs = [(row.pair.segmenters[0], row.pair.training_set) for row in comparisons]
    sets = ("real", "real+synthetic+geometric")
    assert pairs == [(segmenter, name) for segmenter in ("light", "fpn") for name in sets]


def test_only_shared_cells_are_compared(make_arms: Callable[..., list[ArmScores]]) -> None:
    arms = [a for a in make_arms(segmenters=("light",)) if (a.arm.training_set, a.arm.cell) != ("real", 1)]
    comparison = judge_trial(Trial(PLAN, tuple(arms))).with_reference[0]
    assert comparison.cells == (0, 2)


def test_arms_without_a_shared_cell_are_refused(make_arm: MakeArm) -> None:
    arms = (make_arm(REFERENCE, "light", 0, {"a": 0.5}), make_arm("real", "light", 1, {"a": 0.5}))
    with pytest.raises(TrialError, match=r"real against real\+geometric \(light, label fraction 1.0\): share no cell"):
        judge_trial(Trial(PLAN, arms))


def test_the_question_is_asked_at_every_fraction_and_for_every_segmenter(wide_trial: Trial) -> None:
    by_fraction, by_segmenter = judge_trial(wide_trial).answers, judge_trial(wide_trial).by_segmenter
    assert [row.pair.fraction for row in by_fraction] == [0.1, 0.25, 1.0]
    assert [row.verdict.word for row in by_fraction[:2]] == ["helps", "helps"]
    assert [(row.pair.segmenters, row.pair.fraction) for row in by_segmenter] == [(("light",), 0.1), (("fpn",), 0.1)]


def test_differences_are_taken_within_a_fraction(wide_trial: Trial) -> None:
    row = compare(wide_trial, Pair(GOOD, REFERENCE, ("light",), 0.1))
    assert row.interval.mean == pytest.approx(0.05, abs=0.01)
    assert compare(wide_trial, Pair(GOOD, REFERENCE, ("light",), 1.0)).interval.mean == pytest.approx(0.005, abs=0.01)


def test_every_set_meets_the_reference_of_its_own_segmenter_and_fraction(wide_trial: Trial) -> None:
    rows = judge_trial(wide_trial).with_reference
    assert len(rows) == 3 * 2 * 3
    assert {row.pair.against for row in rows} == {REFERENCE}


def test_synthetic_sets_meet_every_rival(wide_trial: Trial) -> None:
    rows = judge_trial(wide_trial).with_rivals
    kinds = [(row.pair.fraction, row.pair.segmenters[0], row.pair.training_set) for row in rows]
    assert kinds == [(f, s, name) for f in (0.1, 0.25, 1.0) for s in ("light", "fpn") for name in (WEAK, GOOD)]
    assert {row.pair.against for row in rows} == {RIVAL}
    assert rows[1].interval.mean == pytest.approx(0.03, abs=0.01)


def test_a_rival_that_a_fraction_lacks_is_left_out(wide_trial: Trial) -> None:
    kept = [a for a in wide_trial.arms if (a.arm.training_set, a.arm.fraction) != (RIVAL, 1.0)]
    rows = judge_trial(replace(wide_trial, arms=tuple(kept))).with_rivals
    assert {row.pair.fraction for row in rows} == {0.1, 0.25}


def test_the_best_synthetic_set_is_chosen_on_validation_whatever_test_says(wide_trial: Trial) -> None:
    praised = [replace(a, validation_score=float(a.arm.training_set == WEAK)) for a in wide_trial.arms]
    found = judge_trial(replace(wide_trial, arms=tuple(praised))).best_synthetic
    assert [(best.fraction, best.training_set, best.validation_score) for best in found] == [
        (fraction, WEAK, 1.0) for fraction in (0.1, 0.25, 1.0)
    ]
    assert [row.pair.against for row in found[0].comparisons] == [REFERENCE, RIVAL]
    assert found[0].comparisons[0].verdict.word == "hurts"


def test_a_trial_without_synthetic_sets_has_no_best_one(make_trial: MakeTrial) -> None:
    assert judge_trial(make_trial()).best_synthetic == ()


def test_the_null_stands_beside_every_comparison(wide_trial: Trial) -> None:
    for row in judge_trial(wide_trial).with_reference + judge_trial(wide_trial).with_rivals:
        assert row.null is not None
        assert row.null.trial_pairs == 2
        assert abs(row.null.mean) < 0.02


def test_a_null_arm_takes_the_place_of_other_cells(null_trial: Trial) -> None:
    (found,) = judge_trial(null_trial).answers
    assert found.null is not None
    assert (found.null.arm, found.null.pairs, found.null.trial_pairs) == (f"{REFERENCE}+null", 3, 3)
    assert (found.null.mean, found.null.low, found.null.high, found.null.largest) == pytest.approx((0.01,) * 4)


def test_a_null_arm_is_neither_judged_nor_promoted(null_trial: Trial) -> None:
    assert {row.pair.training_set for row in judge_trial(null_trial).with_reference} == {"real", GOOD}
    best = max(null_trial.arms, key=lambda scores: scores.validation_score)
    assert best.arm.training_set == f"{REFERENCE}+null"
    assert null_trial.best_run().arm.training_set != f"{REFERENCE}+null"


def test_a_null_is_that_of_the_arm_that_is_compared_with(null_trial: Trial) -> None:
    other = compare(null_trial, Pair(GOOD, "real", ("light",), 1.0))
    assert other.null is not None
    assert (other.null.arm, other.null.trial_pairs) == (None, 1)


def test_intervals_follow_the_plan(make_arms: Callable[..., list[ArmScores]]) -> None:
    def interval(**changes: object) -> tuple[float | None, float | None]:
        arms = tuple(make_arms(gain=0.02))
        plan = replace(PLAN, question=(GOOD, REFERENCE), **changes)  # type: ignore[arg-type]  # one of its fields
        (found,) = judge_trial(Trial(plan, arms)).answers
        assert found.null is not None
        return found.interval.low, found.null.high

    first = interval()
    assert first == interval()
    for change in ({"confidence": 0.5}, {"overlap": {1.0: 0.5}}):
        changed = interval(**change)
        assert first[0] != changed[0], change
        assert (first[1] != changed[1]) == ("confidence" in change), change


def test_best_set_is_that_of_the_highest_score_and_not_the_last_name(wide_trial: Trial) -> None:
    assert GOOD < WEAK
    praised = [replace(a, validation_score=0.5 + 0.3 * (a.arm.training_set == GOOD)) for a in wide_trial.arms]
    assert {best.training_set for best in judge_trial(replace(wide_trial, arms=tuple(praised))).best_synthetic} == {
        GOOD
    }


def _rows(judged: Judged) -> list[Comparison]:
    best = [row for found in judged.best_synthetic for row in found.comparisons]
    return [*judged.answers, *judged.by_segmenter, *judged.with_reference, *judged.with_rivals, *best]


def test_the_headline_is_judged_alone_and_all_else_in_its_family(wide_trial: Trial) -> None:
    judged = judge_trial(wide_trial)
    assert judged.headline is judged.answers[0]
    assert (judged.headline.p, judged.headline.interval) == (judged.headline.p_adjusted, judged.headline.adjusted)
    assert {row.family for row in judged.answers[1:] + judged.by_segmenter} == {"question"}
    assert {row.family for row in judged.with_rivals} == {"exploration"}
    question = [row for row in _rows(judged) if row.family == "question"]
    assert all(row.p_adjusted >= row.p for row in question)
    assert max(row.p_adjusted / row.p for row in question) > 2
    assert all(_length(row.adjusted) > _length(row.interval) for row in question)


def _length(interval: Interval) -> float:
    assert interval.low is not None
    assert interval.high is not None
    return interval.high - interval.low


def test_a_comparison_is_the_same_wherever_it_is_shown(wide_trial: Trial) -> None:
    one = replace(wide_trial, arms=tuple(a for a in wide_trial.arms if a.arm.segmenter == "light"))
    rows = _rows(judge_trial(one))
    shown = [row.pair for row in rows]
    assert len(shown) > len({*shown})
    assert len({id(row) for row in rows}) == len({*shown})


def test_a_question_by_what_decides_is_the_comparison_that_other_tables_show(wide_trial: Trial) -> None:
    """Before, it was judged in two families, so a report showed two p of one difference."""
    plan, (rival,) = wide_trial.plan, wide_trial.plan.rivals
    asked = Question(plan.measure, "real+synthetic+geometric", rival)
    judged = judge_trial(replace(wide_trial, plan=replace(plan, questions=(asked,))))
    (question,) = judged.questions
    assert question.family == "question"
    (shown,) = [row for row in judged.best_synthetic[0].comparisons if row.pair.against == rival]
    assert shown == question


def test_word_p_and_interval_of_every_row_agree(make_arms: Callable[..., list[ArmScores]]) -> None:
    words = set[str]()
    for gain in (-0.05, 0.0, 0.004, 0.008, 0.012, 0.05):
        trial = Trial(replace(PLAN, question=(GOOD, REFERENCE)), tuple(make_arms(gain=gain)))
        for row in _rows(judge_trial(trial)):
            assert row.interval.low is not None
            assert row.interval.high is not None
            assert (row.p < 0.05) == (row.interval.low > 0 or row.interval.high < 0)
            assert row.adjusted.low is not None
            assert row.adjusted.high is not None
            assert (row.p_adjusted < 0.05) == (row.adjusted.low > 0 or row.adjusted.high < 0)
            expected = "helps" if row.interval.mean > 0 else "hurts"
            assert row.verdict.word == (expected if row.p_adjusted < 0.05 else "no evidence")
            words.add(row.verdict.word)
    assert words == {"helps", "hurts", "no evidence"}


def test_cells_that_share_training_patients_make_a_longer_interval(make_trial: MakeTrial) -> None:
    trial = make_trial(gain=0.05)
    apart, shared = (
        judge_trial(replace(trial, plan=replace(trial.plan, overlap=overlap))).headline for overlap in ({}, {1.0: 0.6})
    )
    assert apart is not None
    assert shared is not None
    assert _length(shared.interval) > _length(apart.interval)
    assert shared.p > apart.p
