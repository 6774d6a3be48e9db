from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from nephrite.config import Arm, Metric
from nephrite.errors import TrialError
from nephrite.metrics.calibration import calibrate
from nephrite.metrics.lesions import Candidate, LesionFindings
from nephrite.metrics.scores import ArmScores, PatientScore, RegionScore, SliceScores
from nephrite.verdict.froc import competition_metric
from nephrite.verdict.measures import Measure, columns_of, parts_of_set, table_of

SLICES = SliceScores(6, 60.0, 58.0, {"tumor": None}, {"tumor": 0})


def findings(rng: np.random.Generator) -> LesionFindings:
    """Up to three lesions, most of them hit, and some candidates that hit nothing."""
    lesions = int(rng.integers(1, 4))
    hits = [Candidate(float(rng.uniform(0.3, 1)), 0.1, place) for place in range(lesions) if rng.random() < 0.7]
    wrong = [Candidate(float(rng.uniform(0, 0.8)), 0.1, None) for _ in range(rng.poisson(1.5))]
    return LesionFindings((0.2,) * lesions, (*hits, *wrong), 3)


def run_of(seed: int, patients: int = 12) -> ArmScores:
    """An arm whose patients stand in another order than that of their ids."""
    rng = np.random.default_rng(seed)
    scores = [
        PatientScore(
            f"c{number:02}",
            {"tumor": RegionScore(number / 20, number / 40, None, 1.0, 1.0)},
            SLICES,
            {"tumor": findings(rng)},
            {"tumor": calibrate(rng.random(200), rng.random(200) < 0.3)},
            native={"tumor": RegionScore(number / 30, number / 60, None, 1.0, 1.0)},
        )
        for number in range(patients)
    ]
    arm = Arm(training_set="real", segmenter="light", fraction=1.0, cell=seed)
    return ArmScores(arm, tuple(reversed(scores)), 0.5, 3, 1.0, 3)


RUNS = [run_of(0), run_of(1)]


@pytest.mark.parametrize(
    ("metric", "step"),
    [("dice", 1 / 20), ("surface_dice", 1 / 40), ("native_dice", 1 / 30), ("native_surface_dice", 1 / 60)],
)
def test_scores_of_patients_stand_as_they_are_in_the_order_of_the_ids(metric: Metric, step: float) -> None:
    assert table_of(RUNS, Measure(metric, "tumor")) == pytest.approx(np.tile(np.arange(12) * step, (2, 1)))


@pytest.mark.parametrize("metric", ["cpm", "sensitivity", "calibration"])
def test_the_mean_of_a_row_is_the_measure_of_the_set(metric: Metric) -> None:
    table = table_of(RUNS, Measure(metric, "tumor"))
    assert table.shape == (2, 12)
    assert table.std(axis=1).min() > 0.01
    assert (table.mean(axis=1) <= 1).all()
    if metric == "cpm":
        found = [competition_metric([each.lesions["tumor"] for each in run.patients])[0] for run in RUNS]
        assert table.mean(axis=1) == pytest.approx(found)


def test_brier_score_and_calibration_error_are_taken_from_one() -> None:
    sure = calibrate(np.array([1.0, 0.0]), np.array([True, False]))
    scores = tuple(replace(each, calibration={"tumor": sure}) for each in RUNS[0].patients)
    for metric in ("brier", "calibration"):
        assert table_of([replace(RUNS[0], patients=scores)], Measure(metric, "tumor")) == pytest.approx(1.0)


def test_the_parts_of_a_mean_are_its_values() -> None:
    values = np.random.default_rng(3).normal(size=25)
    found = parts_of_set(lambda weights: weights @ values / weights.sum(axis=1), 25, seed=0)
    assert found == pytest.approx(values)


def test_the_spread_of_the_parts_is_that_of_the_resampled_curve() -> None:
    rng = np.random.default_rng(5)
    patients = [findings(rng) for _ in range(40)]
    parts = parts_of_set(lambda weights: competition_metric(patients, weights), 40, seed=0)
    draws = rng.multinomial(40, np.full(40, 1 / 40), size=4000).astype(float)
    spread = competition_metric(patients, draws).std()
    assert parts.std() / np.sqrt(40) == pytest.approx(spread, rel=0.1)


def test_one_patient_is_the_whole_set() -> None:
    assert parts_of_set(lambda weights: weights[:, 0] * 0.4, 1, seed=0).tolist() == [0.4]


@pytest.mark.parametrize(("metric", "key"), [("cpm", "evaluate.lesions"), ("brier", "evaluate.regions")])
def test_what_was_not_scored_is_named_with_the_setting_that_scores_it(metric: Metric, key: str) -> None:
    with pytest.raises(TrialError, match=rf"of kidney was not scored; it is known of \['tumor'\]; add it to '{key}'"):
        table_of(RUNS, Measure(metric, "kidney"))


def test_scores_on_own_voxels_need_the_raw_data() -> None:
    on_grid = [replace(run, patients=tuple(replace(one, native={}) for one in run.patients)) for run in RUNS]
    with pytest.raises(TrialError, match=r"Dice on own voxels of tumor was not scored; .* again with --raw"):
        table_of(on_grid, Measure("native_dice", "tumor"))


def test_a_set_without_lesions_has_no_sensitivity() -> None:
    empty = LesionFindings((), (), 3)
    scores = tuple(replace(each, lesions={"tumor": empty}) for each in RUNS[0].patients)
    with pytest.raises(TrialError, match="none of its patients has a lesion"):
        table_of([replace(RUNS[0], patients=scores)], Measure("cpm", "tumor"))


def with_recall(run: ArmScores, *shares: float | None) -> ArmScores:
    """The run with the recall of the first patients by their ids; of all others it is not defined."""
    known = dict(zip(sorted(each.patient for each in run.patients), shares, strict=False))
    scores = tuple(replace(each, recall={"tumor": known.get(each.patient)}) for each in run.patients)
    return replace(run, patients=scores)


def test_recall_leaves_out_whoever_has_nothing_to_find() -> None:
    run, recall = with_recall(RUNS[0], 0.25, None, 0.5, 1.0), Measure("recall", "tumor")
    assert table_of([run], recall).tolist() == [[0.25, 0.5, 1.0]]
    assert columns_of(run, recall) == ("c00", "c02", "c03")
    assert len(columns_of(run, Measure("dice", "tumor"))) == 12


def test_recall_of_too_few_patients_is_refused() -> None:
    run = with_recall(RUNS[0], 0.25, None, 0.5)
    with pytest.raises(
        TrialError, match=r"has no recall of tumor: 2 of 12 patients have any, and 3 are needed; ask of"
    ):
        table_of([run], Measure("recall", "tumor"))
    with pytest.raises(TrialError, match=r"recall of kidney was not scored; .* add it to 'evaluate.parts'"):
        table_of([run], Measure("recall", "kidney"))


def test_patients_of_another_hospital_have_a_table_of_their_own() -> None:
    run = replace(RUNS[0], external=tuple(replace(each, patient=f"e{each.patient}") for each in RUNS[1].patients))
    there = Measure("dice", "tumor", "external")
    assert str(there) == "Dice of tumor on the external test set"
    assert table_of([run], there).tolist() == table_of([RUNS[1]], Measure("dice", "tumor")).tolist()
    assert columns_of(run, there)[0] == "ec00"
    with pytest.raises(
        TrialError, match=r"known of \['tumor'\]; name its classes in 'acquire.external.classes', or add"
    ):
        table_of([run], there._replace(region="kidney"))
    with pytest.raises(
        TrialError, match="has no Dice of tumor on the external test set: no patient of another hospital"
    ):
        table_of(RUNS, there)
