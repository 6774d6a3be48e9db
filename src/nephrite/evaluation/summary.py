"""The trial as plain JSON values: the content of reports/trial.json, described in docs/trial-json.md."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict
from importlib import resources
from typing import Any

import numpy as np

from nephrite.evaluation.scores import ArmScores, dice_by_patient, mean_over_slices
from nephrite.evaluation.statistics import MINIMUM_CELLS, MINIMUM_PATIENTS, counted
from nephrite.evaluation.trial import Comparison, Trial

VERSION = 1
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
    answer = trial.answer()
    plan = asdict(trial.plan)
    return {
        "version": VERSION,
        "headline": _headline(answer, trial.plan.region),
        "plan": plan | {"question": list(trial.plan.question) if trial.plan.question else None},
        "patients": list(trial.patients),
        "answer": _comparison(answer) if answer else None,
        "answer_by_segmenter": [_comparison(comparison) for comparison in trial.answers_by_segmenter()],
        "comparisons": [_comparison(comparison) for comparison in trial.comparisons()],
        "arms": [
            _arm(list(trial.runs(training_set, segmenter).values()), trial)
            for segmenter in trial.segmenters
            for training_set in trial.training_sets
            if trial.runs(training_set, segmenter)
        ],
        "best_run": _best_run(trial.best_run(), trial.plan.region),
        "notes": _notes(trial),
    }


def trial_schema() -> dict[str, Any]:
    """JSON schema (draft 2020-12) of trial.json."""
    text = resources.files("nephrite.evaluation").joinpath("schema", "trial.schema.json").read_text(encoding="utf-8")
    schema: dict[str, Any] = json.loads(text)
    return schema


def _headline(answer: Comparison | None, region: str) -> str:
    """The verdict as one sentence."""
    if answer is None:
        return "This trial does not ask whether synthetic data helps: no two training sets differ by it alone."
    found, null = answer.interval, answer.null
    interval = "" if found.low is None else f" [{found.low:+.3f}, {found.high:+.3f}]"
    over = f"{counted(answer.patients, 'test patient')}, {counted(len(answer.cells), 'cell')} and "
    moved = f"another cell alone moves {answer.against} by up to {null.largest:.3f}" if null else NO_NULL
    return (
        f"{OPENINGS[answer.verdict.word]}: {answer.training_set} minus {answer.against} is {found.mean:+.3f} "
        f"Dice of {region}{interval} over {over}{counted(len(answer.segmenters), 'segmenter')}; {moved}."
    )


def _comparison(comparison: Comparison) -> dict[str, Any]:
    return {
        "training_set": comparison.training_set,
        "against": comparison.against,
        "segmenters": list(comparison.segmenters),
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
            f"{len(trial.patients)} test patients are fewer than the {MINIMUM_PATIENTS} that an interval needs; "
            "the verdict is at most 'no evidence'."
        )
    if not trial.plan.question:
        notes.append("No two training sets differ by synthetic data only, so the trial does not ask whether it helps.")
    ragged = len(trial.arms) < len(trial.training_sets) * len(trial.segmenters) * len(cells)
    if ragged:
        notes.append("Some arms lack a cell; each comparison uses the cells that both of its arms share.")
    return notes


def _mean(values: Sequence[float]) -> float:
    return float(np.mean(values))
