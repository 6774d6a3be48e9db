"""The trial as plain JSON values: the content of reports/trial.json, described in docs/trial-json.md."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from importlib import resources
from typing import Any

import numpy as np

from nephrite.metrics.scores import ArmScores, dice_by_patient, mean_over_slices
from nephrite.verdict.comparisons import (
    BestSynthetic,
    Comparison,
    answers,
    answers_by_segmenter,
    best_synthetic,
    with_reference,
    with_rivals,
)
from nephrite.verdict.equivalence import equivalences
from nephrite.verdict.statistics import MINIMUM_CELLS, MINIMUM_PATIENTS
from nephrite.verdict.trial import Trial, TrialPlan
from nephrite.words import counted

VERSION = 2
NO_NULL = "what another cell alone would change is not known from one cell"
OPENINGS = {
    "helps": "Synthetic data helps",
    "hurts": "Synthetic data hurts",
    "no evidence": "No evidence that synthetic data helps or hurts",
    "not enough runs": "Not enough runs to say whether synthetic data helps",
}


def trial_json(trial: Trial) -> dict[str, Any]:
    """Everything that the report says, as finite numbers, text and null; valid under `trial_schema`.

    Raises:
        TrialError: two arms that are compared share no cell.
    """
    asked = answers(trial)
    found = next((row for row in asked if row.fraction == trial.plan.fraction), None)
    return {
        "version": VERSION,
        "headline": _headline(found, trial.plan.region),
        "plan": _plan(trial.plan),
        "patients": list(trial.patients),
        "answer": _comparison(found) if found else None,
        "answers": [_comparison(row) for row in asked],
        "answer_by_segmenter": [_comparison(row) for row in answers_by_segmenter(trial)],
        "comparisons": [_comparison(row) for row in with_reference(trial)],
        "rivals": [_comparison(row) for row in with_rivals(trial)],
        "best_synthetic": [_best_synthetic(best) for best in best_synthetic(trial)],
        "equivalence": _equivalence(trial),
        "arms": [_arm(runs, trial) for runs in trial.grouped_runs()],
        "best_run": _best_run(trial.best_run(), trial.plan.region),
        "notes": _notes(trial),
    }


def group_name(trial: Mapping[str, Any], row: Mapping[str, Any]) -> str:
    """What an arm or comparison is listed under: its segmenter, and its label fraction where the trial has several.

    Args:
        trial: the content of trial.json.
        row: an entry of its arms or comparisons.
    """
    segmenters = row.get("segmenters", [row.get("segmenter")])
    name = segmenters[0] if len(segmenters) == 1 else "all segmenters"
    several = len({arm["fraction"] for arm in trial["arms"]}) > 1
    return f"{name}, {in_percent(row['fraction'])}" if several else str(name)


def in_percent(share: float) -> str:
    """'10%', '12.5%'."""
    return f"{100 * share:.3g}%"


def interval_text(row: Mapping[str, Any]) -> str:
    """'+0.012 [-0.003, +0.027]', of a comparison or of its null."""
    interval = "no interval" if row["low"] is None else f"[{row['low']:+.3f}, {row['high']:+.3f}]"
    return f"{row['mean']:+.3f} {interval}"


def p_text(row: Mapping[str, Any]) -> str:
    """'0.012', or '< 0.001'."""
    return f"{row['p_holm']:.3f}" if row["p_holm"] >= 0.0005 else "< 0.001"


def trial_schema() -> dict[str, Any]:
    """JSON schema (draft 2020-12) of trial.json."""
    text = resources.files("nephrite.report").joinpath("schema", "trial.schema.json").read_text(encoding="utf-8")
    schema: dict[str, Any] = json.loads(text)
    return schema


def _headline(answer: Comparison | None, region: str) -> str:
    """The verdict as one sentence."""
    if answer is None:
        return "This trial does not ask whether synthetic data helps: no two training sets differ by it alone."
    found = answer.interval
    interval = "" if found.low is None else f" [{found.low:+.3f}, {found.high:+.3f}]"
    over = f"{counted(answer.patients, 'test patient')}, {counted(len(answer.cells), 'cell')} and "
    few = f" at {in_percent(answer.fraction)} of the training patients" if answer.fraction < 1 else ""
    return (
        f"{OPENINGS[answer.verdict.word]}: {answer.training_set} minus {answer.against} is {found.mean:+.3f} "
        f"Dice of {region}{interval}{few} over {over}{counted(len(answer.segmenters), 'segmenter')}; {_moved(answer)}."
    )


def _moved(answer: Comparison) -> str:
    if answer.null is None:
        return NO_NULL
    null, what = interval_text(asdict(answer.null)), "initialisation" if answer.null.arm else "cell"
    return f"another {what} alone moves {answer.against} by up to {answer.null.largest:.3f} (null {null})"


def _plan(plan: TrialPlan) -> dict[str, Any]:
    return {name: list(value) if isinstance(value, tuple) else value for name, value in asdict(plan).items()}


def _best_synthetic(best: BestSynthetic) -> dict[str, Any]:
    return {
        "fraction": best.fraction,
        "training_set": best.training_set,
        "validation_score": best.validation_score,
        "comparisons": [_comparison(row) for row in best.comparisons],
    }


def _equivalence(trial: Trial) -> list[dict[str, Any]] | None:
    """Of the question's pair for each segmenter; None where the trial has no learning curve."""
    found = equivalences(trial)
    if not found or trial.plan.question is None:
        return None
    training_set, against = trial.plan.question
    names = {"training_set": training_set, "against": against}
    return [{"segmenter": name, **names, **worth.to_json()} for name, worth in found.items()]


def _comparison(comparison: Comparison) -> dict[str, Any]:
    return {
        "training_set": comparison.training_set,
        "against": comparison.against,
        "segmenters": list(comparison.segmenters),
        "fraction": comparison.fraction,
        "cells": list(comparison.cells),
        "patients": comparison.patients,
        "better": comparison.better,
        "worse": comparison.worse,
        **asdict(comparison.interval),
        "resampled": ["cells", "patients"] if len(comparison.cells) > 1 else ["patients"],
        "p": comparison.p,
        "p_holm": comparison.p_holm,
        "null": asdict(comparison.null) if comparison.null else None,
        "verdict": comparison.verdict.word,
        "reason": comparison.verdict.reason,
    }


def _arm(runs: Sequence[ArmScores], trial: Trial) -> dict[str, Any]:
    """One training set and segmenter, averaged over its cells."""
    slices = mean_over_slices([score.slices for run in runs for score in run.patients])
    dice = np.mean([dice_by_patient(run, trial.plan.region) for run in runs], axis=0)
    return {
        "training_set": runs[0].arm.training_set,
        "segmenter": runs[0].arm.segmenter,
        "fraction": runs[0].arm.fraction,
        "cells": [run.arm.cell for run in runs],
        "training_patients": [run.training_patients for run in runs],
        "steps": [run.steps for run in runs],
        "seconds": [run.seconds for run in runs],
        "validation_score": _mean([run.validation_score for run in runs]),
        "regions": {region: _region(runs, region) for region in runs[0].patients[0].regions},
        "dice_by_patient": dict(zip(trial.patients, dice.tolist(), strict=True)),
        "capstone_iou": slices.capstone_iou,
        "predict_nothing": slices.predict_nothing,
        "foreground_iou": dict(slices.foreground_iou),
    }


def _region(runs: Sequence[ArmScores], region: str) -> dict[str, Any]:
    scores = [score.regions[region] for run in runs for score in run.patients]
    distances = [score.hd95 for score in scores if score.hd95 is not None]
    return {
        "dice": _mean([score.dice for score in scores]),
        "surface_dice": _mean([score.surface_dice for score in scores]),
        "hd95": _mean(distances) if distances else None,
        "hd95_defined": len(distances),
        "scored": len(scores),
    }


def _best_run(run: ArmScores, region: str) -> dict[str, Any]:
    """With what `promote` needs to compare it with a run of another trial: scores, and which patients they are of."""
    scores = {score.patient: score.regions[region] for score in sorted(run.patients, key=lambda score: score.patient)}
    return {
        **run.arm.model_dump(),
        "validation_score": run.validation_score,
        "dice_by_patient": {patient: score.dice for patient, score in scores.items()},
        "truth_volume_by_patient": {patient: score.truth_volume for patient, score in scores.items()},
    }


def _notes(trial: Trial) -> list[str]:
    cells = sorted({scores.arm.cell for scores in trial.arms})
    notes = []
    if len(cells) < MINIMUM_CELLS:
        more = list(range(MINIMUM_CELLS))
        notes.append(
            f"With {len(cells)} of the {MINIMUM_CELLS} cells that a verdict needs, it is 'not enough runs' whatever "
            f"the numbers; ask for more with trial.cells: {more} in params.yaml and run again."
        )
    if len(cells) == 1:
        notes.append("With one cell the intervals resample patients only, and the null difference is not available.")
    if len(trial.patients) < MINIMUM_PATIENTS:
        notes.append(
            f"{counted(len(trial.patients), 'test patient')}: fewer than the {MINIMUM_PATIENTS} that an interval "
            "needs; the verdict is at most 'no evidence'."
        )
    notes += _absence_notes(trial)
    idle = [str(scores.arm) for scores in trial.arms if scores.validation_score == 0]
    if idle:
        notes.append(
            f"{len(idle)} of {counted(len(trial.arms), 'training')} found nothing of {trial.plan.region} that is there "
            f"in any validation patient, e.g. {idle[0]}: they did not learn, and say nothing about their training sets."
        )
    if not trial.plan.question:
        notes.append("No two training sets differ by synthetic data only, so the trial does not ask whether it helps.")
    kinds = len(trial.training_sets) * len(trial.segmenters) * len(trial.fractions)
    ragged = len(trial.arms) < kinds * len(cells)
    if ragged:
        notes.append("Some arms lack a cell; each comparison uses the cells that both of its arms share.")
    return notes


def _absence_notes(trial: Trial) -> list[str]:
    """Regions that test patients lack: there a score says only whether something was found."""
    notes, patients = [], trial.arms[0].patients
    for region in patients[0].regions:
        without = sum(score.regions[region].truth_volume == 0 for score in patients)
        if without and (region == trial.plan.region or without == len(patients)):
            notes.append(
                f"{without} of {counted(len(patients), 'test patient')} without {region}: such a patient scores 1 "
                "where none is found, and 0 where any is."
            )
    return notes


def _mean(values: Sequence[float]) -> float:
    return float(np.mean(values))
