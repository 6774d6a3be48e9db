"""Measures by which arms are compared, each as a table of cells and patients whose mean is the measure.

Dice, surface Dice and the Brier score are means over patients as they stand. Sensitivity, the competition metric and
the calibration error belong to a set of patients: one patient has no curve. For these the set is resampled many times,
the measure is computed anew in each draw, and the table is the linear part of what the draws show: how much each
patient, counted once more, would add (the projection of Hajek 1968; of the bootstrap, Efron 1992, "Jackknife-after-
bootstrap standard errors and influence functions", section 4). Cells and patients then vary in it as they do in the
measure, and comparisons, families and looks treat all measures alike.

All measures are so that more is better: the Brier score and the calibration error are taken from 1. Recall is not
defined for a patient who has nothing of the region: such patients have no column.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple

import numpy as np
from jaxtyping import Float

from nephrite.config import NATIVE, Metric, Where
from nephrite.errors import TrialError
from nephrite.metrics.calibration import expected_calibration_errors
from nephrite.metrics.lesions import LesionFindings
from nephrite.metrics.scores import ArmScores, PatientScore
from nephrite.verdict.froc import competition_metric, sensitivities

DRAWS_PER_PATIENT, FEWEST_DRAWS = 20, 1000  # of the least squares that finds each patient's part
NAMES: Mapping[Metric, str] = {
    "dice": "Dice",
    "surface_dice": "surface Dice",
    "native_dice": "Dice on own voxels",
    "native_surface_dice": "surface Dice on own voxels",
    "recall": "recall",
    "cpm": "CPM",
    "sensitivity": "sensitivity per lesion at 1 false positive per image",
    "brier": "1 - Brier score",
    "calibration": "1 - calibration error",
}
OF_PATIENTS: Mapping[Metric, Callable[[PatientScore, str], float | None]] = {  # the others belong to a set of patients
    "dice": lambda score, region: score.regions[region].dice,
    "surface_dice": lambda score, region: score.regions[region].surface_dice,
    "native_dice": lambda score, region: score.native[region].dice,
    "native_surface_dice": lambda score, region: score.native[region].surface_dice,
    "recall": lambda score, region: score.recall[region],
    "brier": lambda score, region: 1 - score.calibration[region].brier,
}
FEWEST_WITH = 3  # patients who have a region, for its recall to be compared
ELSEWHERE = "on the external test set"
Weights = Float[np.ndarray, "draw patient"]


class Measure(NamedTuple):
    """What is measured, of which region, and of whose patients."""

    metric: Metric
    region: str
    where: Where = "home"

    def __str__(self) -> str:
        return f"{NAMES[self.metric]} of {self.region}{f' {ELSEWHERE}' if self.where == 'external' else ''}"


def table_of(runs: Sequence[ArmScores], measure: Measure, *, seed: int = 0) -> Float[np.ndarray, "cell patient"]:
    """The measure of some runs: a row for each, a column for each patient as `columns_of` names them.

    Args:
        runs: cells of one arm, scored on the same patients.
        measure: see `Measure`.
        seed: of the draws of patients; the same seed gives all arms the same draws.

    Raises:
        TrialError: the region was not scored, or not for this metric; no patient has a lesion; or too few have the
            region.
    """
    return np.array([_row(run, measure, seed) for run in runs])


def columns_of(run: ArmScores, measure: Measure) -> tuple[str, ...]:
    """The patients of whom a measure is defined, in the order of their ids."""
    return tuple(score.patient for score in _patients(run, measure))


def _patients(run: ArmScores, measure: Measure) -> list[PatientScore]:
    asked = sorted(run.external if measure.where == "external" else run.patients, key=lambda score: score.patient)
    if measure.metric != "recall":
        return asked
    return [score for score in asked if score.recall.get(measure.region) is not None]


def _row(run: ArmScores, measure: Measure, seed: int) -> Float[np.ndarray, " patient"]:
    demand(run, measure)
    patients, region = _patients(run, measure), measure.region
    if of_patient := OF_PATIENTS.get(measure.metric):
        return np.array([of_patient(each, region) for each in patients], dtype=np.float64)
    if measure.metric == "calibration":
        bins = [each.calibration[region] for each in patients]
        return parts_of_set(lambda weights: 1 - expected_calibration_errors(bins, weights), len(patients), seed)
    found = [each.lesions[region] for each in patients]
    score = competition_metric if measure.metric == "cpm" else _sensitivity
    return parts_of_set(lambda weights: score(found, weights), len(patients), seed)


def parts_of_set(
    measure: Callable[[Weights], Float[np.ndarray, " draw"]], patients: int, seed: int
) -> Float[np.ndarray, " patient"]:
    """What each patient adds to a measure of the whole set; the mean is the measure.

    Args:
        measure: of the set, for weights of its patients.
        patients: how many there are.
        seed: of the draws.
    """
    whole = float(measure(np.ones((1, patients)))[0])
    if patients < 2:
        return np.array([whole])
    # draws of patients with replacement; those without any lesion have no measure
    generator = np.random.default_rng(seed)
    draws = max(FEWEST_DRAWS, DRAWS_PER_PATIENT * patients)
    weights = generator.multinomial(patients, np.full(patients, 1 / patients), size=draws).astype(float)
    found = measure(weights)
    known = ~np.isnan(found)
    # least squares on the weights, which sum to the same in every draw; the first column takes the curve's bend
    columns = np.column_stack([np.ones(np.count_nonzero(known)), weights[known] - 1])
    slopes = np.linalg.lstsq(columns, found[known], rcond=None)[0][1:]
    parts: Float[np.ndarray, " patient"] = whole + patients * (slopes - slopes.mean())
    return parts


def _sensitivity(found: Sequence[LesionFindings], weights: Weights) -> Float[np.ndarray, " draw"]:
    share: Float[np.ndarray, " draw"] = sensitivities(found, (1.0,), weights)[:, 0]
    return share


def demand(run: ArmScores, measure: Measure) -> None:
    """Refuse a measure that a run was not scored by.

    Raises:
        TrialError: names the setting that is missing.
    """
    patients = run.external if measure.where == "external" else run.patients
    if not patients:
        finding = f"has no {measure}: no patient of another hospital was scored"
        raise TrialError(str(run.arm), finding, "name 'acquire.external.path', and run the trial again")
    known: list[set[str]]
    if measure.metric in ("cpm", "sensitivity"):
        known, key = [set(each.lesions) for each in patients], "evaluate.lesions"
    elif measure.metric == "recall":
        known, key = [set(each.recall) for each in patients], "evaluate.parts"
    elif measure.metric in NATIVE:
        known, key = [set(each.native) for each in patients], "evaluate.regions"
    elif measure.metric in ("brier", "calibration"):
        known, key = [set(each.calibration) for each in patients], "evaluate.regions"
    else:
        known, key = [set(each.regions) for each in patients], "evaluate.regions"
    if not all(measure.region in regions for regions in known):
        finding = f"{measure} was not scored; it is known of {sorted(set.intersection(*known)) or 'no region'}"
        remedy = f"add it to '{key}' and run 'evaluate' again{' with --raw' if measure.metric in NATIVE else ''}"
        if measure.where == "external":
            remedy = f"name its classes in 'acquire.external.classes', or {remedy}"
        raise TrialError(str(run.arm), finding, remedy)
    if measure.metric == "recall" and (having := len(_patients(run, measure))) < FEWEST_WITH:
        finding = f"has no {measure}: {having} of {len(patients)} patients have any, and {FEWEST_WITH} are needed"
        raise TrialError(str(run.arm), finding, "ask of patients who have it: 'where', 'region'")
    if measure.metric in ("cpm", "sensitivity") and not any(each.lesions[measure.region].lesions for each in patients):
        finding = f"has no {measure}: none of its patients has a lesion"
        raise TrialError(str(run.arm), finding, "raise 'prepare.split.test', or lower 'evaluate.lesions.smallest'")
