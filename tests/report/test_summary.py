from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace

import jsonschema
import numpy as np
import pytest

from nephrite.metrics.scores import ArmScores, PatientScore
from nephrite.report.summary import equivalence_record, summarize
from nephrite.report.trial_file import trial_schema
from nephrite.report.trial_record import TrialRecord
from nephrite.verdict.equivalence import data_equivalence
from nephrite.verdict.trial import Trial, TrialPlan

MakeTrial = Callable[..., Trial]


def _validate(trial: TrialRecord) -> None:
    content = json.loads(json.dumps(trial.model_dump(mode="json"), allow_nan=False))
    jsonschema.Draft202012Validator(trial_schema()).validate(content)


@pytest.mark.parametrize("size", [(3, 10), (1, 10), (2, 2), (1, 1)])
def test_trial_json_follows_its_schema(make_trial: MakeTrial, size: tuple[int, int]) -> None:
    _validate(summarize(make_trial(cells=size[0], patients=size[1])))


def test_a_trial_of_several_fractions_and_rivals_follows_the_schema(wide_trial: Trial) -> None:
    content = summarize(wide_trial)
    _validate(content)
    assert [row.fraction for row in content.answers] == [0.1, 0.25, 1.0]
    assert content.answer == content.answers[0]
    assert len(content.rivals) == 12
    assert [best.training_set for best in content.best_synthetic] == ["real+synthetic+geometric"] * 3
    assert "at 10% of the training patients" in content.headline


def test_the_equivalence_is_read_for_each_segmenter_at_the_fewest_patients(wide_trial: Trial) -> None:
    found = summarize(wide_trial).equivalence
    assert found is not None
    assert [(entry.segmenter, entry.start, entry.largest) for entry in found] == [("light", 4, 40), ("fpn", 4, 40)]
    assert [point.patients for point in found[0].reference] == [4, 10, 40]
    assert found[0].more == pytest.approx(4 * 10 ** (0.05 / 0.2) - 4, abs=1)
    assert found[0].sentence.startswith("At 4 real patients, synthetic data is worth ")


def test_one_label_fraction_makes_no_learning_curve(make_trial: MakeTrial) -> None:
    assert summarize(make_trial()).equivalence is None


def test_a_trial_without_synthetic_sets_asks_nothing(make_arms: Callable[..., list[ArmScores]]) -> None:
    arms = tuple(arm for arm in make_arms() if "synthetic" not in arm.arm.training_set)
    content = summarize(Trial(TrialPlan("tumor", "real+geometric", None, resamples=100), arms))
    _validate(content)
    assert content.answer is None
    assert content.answer_by_segmenter == ()
    assert "does not ask" in content.headline


def test_the_headline_says_the_verdict_with_interval_patients_cells_and_null(make_trial: MakeTrial) -> None:
    content = summarize(make_trial())
    answer = content.answer
    assert answer is not None
    assert answer.sampled == ("cells", "patients")
    assert content.headline.startswith("Synthetic data helps: real+synthetic+geometric minus real+geometric is +0.0")
    assert f"[{answer.low:+.3f}, {answer.high:+.3f}]" in content.headline
    assert "10 test patients, 3 cells and 2 segmenters" in content.headline
    null = answer.null
    assert null is not None
    assert f"by up to {null.largest:.3f} (null {null.mean:+.3f} [{null.low:+.3f}, " in content.headline


def test_the_headline_says_what_a_null_arm_found(null_trial: Trial) -> None:
    content = summarize(null_trial)
    _validate(content)
    assert "another initialization alone moves real+geometric by up to 0.010 (null +0.010 [" in content.headline


def test_one_cell_says_how_to_ask_for_more_and_what_was_no_sample(make_trial: MakeTrial) -> None:
    content = summarize(make_trial(cells=1))
    assert content.answer is not None
    assert content.answer.sampled == ("patients",)
    assert content.answer.null is None
    assert "trial.cells: [0, 1, 2]" in content.notes[0]
    assert "null difference is not available" in content.notes[1]


def test_one_cell_with_a_null_arm_says_for_which_sets_the_null_is_known(null_trial: Trial) -> None:
    first = null_trial.arms[0].arm.cell
    arms = tuple(scores for scores in null_trial.arms if scores.arm.cell == first)
    content = summarize(replace(null_trial, arms=arms))
    assert "(null +0.010 [" in content.headline
    assert "the null difference is known only for sets with an A/A arm" in content.notes[1]


def test_few_patients_are_noted(make_trial: MakeTrial) -> None:
    notes = summarize(make_trial(patients=5)).notes
    assert any("5 test patients: fewer than the 8" in note for note in notes)


def test_test_patients_without_the_region_are_noted(make_trial: MakeTrial) -> None:
    trial = make_trial(patients=9)
    arms = tuple(replace(arm, patients=(_without(arm.patients[0]), *arm.patients[1:])) for arm in trial.arms)
    region = trial.plan.region
    expected = (
        f"1 of 9 test patients without {region}: such a patient scores 1 where none is found, and 0 where any is."
    )
    assert summarize(replace(trial, arms=arms)).notes == (expected,)


def _without(score: PatientScore) -> PatientScore:
    regions = {name: replace(found, truth_volume=0.0) for name, found in score.regions.items()}
    return replace(score, regions=regions)


def test_trainings_that_found_nothing_are_noted(make_trial: MakeTrial) -> None:
    trial = make_trial()
    arms = (replace(trial.arms[0], validation_score=0.0), *trial.arms[1:])
    (note,) = summarize(replace(trial, arms=arms)).notes
    assert note.startswith(f"1 of {len(arms)} trainings found nothing of {trial.plan.region} that is there")
    assert str(arms[0].arm) in note


def test_a_missing_cell_is_noted(make_trial: MakeTrial) -> None:
    trial = make_trial()
    assert not summarize(trial).notes
    assert "lack a cell" in summarize(replace(trial, arms=trial.arms[:-1])).notes[0]


def test_hd95_is_averaged_where_it_is_defined(make_arm: Callable[..., ArmScores]) -> None:
    arm = make_arm("real", "light", 0, {"a": 0.0, "b": 0.5})
    region = summarize(Trial(TrialPlan("tumor", "real", None), (arm,))).arms[0].regions["tumor"]
    assert (region.hd95, region.hd95_defined, region.scored) == (8.0, 1, 2)
    nowhere = make_arm("real", "light", 0, {"a": 0.0, "b": 0.0})
    assert summarize(Trial(TrialPlan("tumor", "real", None), (nowhere,))).arms[0].regions["tumor"].hd95 is None


def test_notes_of_others_stand_below_those_of_the_scores(make_trial: MakeTrial) -> None:
    notes = summarize(make_trial(patients=5), ["said by others"]).notes
    assert notes[0].startswith("5 test patients: fewer than")
    assert notes[1:] == ("said by others",)


def test_every_arm_holds_its_dice_by_cell_and_patient_for_every_region(make_trial: MakeTrial) -> None:
    trial = make_trial()
    record = summarize(trial)
    for arm in record.arms:
        assert arm.dice_by_cell is not None
        assert list(arm.dice_by_cell) == list(arm.regions) == ["kidney_and_tumor", "tumor"]
        expected = trial.table(arm.training_set, arm.segmenter, arm.fraction, arm.cells)
        assert [list(row) for row in arm.dice_by_cell["tumor"]] == expected.tolist()
        assert arm.dice_by_cell["kidney_and_tumor"] == ((0.9,) * 10,) * 3


@pytest.mark.parametrize(("score", "beyond"), [(0.5, ()), (0.575, ("high",)), (0.9, ("more", "low", "high"))])
def test_a_number_of_patients_beyond_the_curve_is_null_and_named(score: float, beyond: tuple[str, ...]) -> None:
    generator = np.random.default_rng(0)
    means = {5: 0.4, 10: 0.5, 40: 0.58}
    reference = {n: mean + 0.05 * generator.standard_normal((4, 20)) for n, mean in means.items()}
    synthetic = {5: score + 0.05 * generator.standard_normal((4, 20))}
    found = equivalence_record("light", ("with", "without"), data_equivalence(reference, synthetic))
    assert found.beyond == beyond
    assert tuple(name for name in ("more", "low", "high") if getattr(found, name) is None) == beyond
    assert (found.training_set, found.against, found.start, found.largest) == ("with", "without", 5, 40)


@pytest.mark.parametrize(("overlap", "said"), [(0.4, False), (1.0, True)])
def test_the_headline_says_where_it_speaks_for_these_training_patients_only(
    make_trial: MakeTrial, overlap: float, said: bool
) -> None:
    trial = make_trial()
    content = summarize(replace(trial, plan=replace(trial.plan, overlap={1.0: overlap})))
    _validate(content)
    assert content.headline.startswith("Synthetic data helps, for these training patients: real+") == said
    assert content.plan.overlap == {1.0: overlap}


def test_doubts_about_synthetic_data_stand_in_the_headline(make_trial: MakeTrial) -> None:
    found = summarize(make_trial(), unverifiable=["real+synthetic+geometric"])
    _validate(found)
    assert "Provenance unverifiable of real+synthetic+geometric" in found.headline
    assert "never promoted" in found.headline
    assert found.unverifiable == ("real+synthetic+geometric",)
    assert "unverifiable" not in summarize(make_trial()).headline
