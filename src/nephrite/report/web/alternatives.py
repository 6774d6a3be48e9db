"""What each figure shows, in words: for who cannot see it, and where a picture is not loaded."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from nephrite.report.comparison_record import ComparisonRecord
from nephrite.report.trial_record import TrialRecord
from nephrite.report.wording import group_name, interval_text, measure_text

FOREST, RIVALS = "Differences to the reference, with intervals", "Differences to the rivals, with intervals"
CURVE = "Score against number of real patients, with and without synthetic data"
SCORES, LEARNING = "Each patient's score, by arm", "How the arms learn"
EXAMPLES = "Label map, the slice painted from it, and the real slice that the map was made from"
MOST = 12  # comparisons that a text names; the tables hold all


def figure_markdown(trial: TrialRecord, name: str, path: str) -> str:
    """A figure with its caption and the same in words.

    Args:
        trial: the record.
        name: one of the above.
        path: relative to the report.
    """
    texts = {
        FOREST: lambda: _differences(trial, _headline_first(trial)),
        RIVALS: lambda: _differences(trial, trial.rivals),
        CURVE: lambda: _worth(trial),
        SCORES: lambda: _scores(trial),
        LEARNING: lambda: _learning(trial),
    }
    words = texts[name]() if name in texts else f"{name}."
    return f'![{words}]({path} "{name}")'


def _headline_first(trial: TrialRecord) -> list[ComparisonRecord]:
    """What the figure of differences shows; the headline of a single segmenter is one of the others: it stands once."""
    first = [trial.answer] if trial.answer else []
    return [*first, *(row for row in trial.comparisons if row not in first)]


def _differences(trial: TrialRecord, rows: Sequence[ComparisonRecord]) -> str:
    """Each difference with its interval and verdict."""
    told = [
        f"{group_name(trial, row)}, {row.training_set} minus {row.against}: {interval_text(row.judged)}, {row.verdict}"
        for row in rows[:MOST]
    ]
    more = f"; and {len(rows) - MOST} more in the tables" if len(rows) > MOST else ""
    return f"Differences of {measure_text(trial.plan)} with intervals. {'; '.join(told)}{more}."


def _scores(trial: TrialRecord) -> str:
    """The mean Dice of each arm, and its range over patients."""
    told = []
    for arm in trial.arms:
        dice = [*trial.dice_by_patient(arm).values()]
        ends = f"patients from {min(dice):.3f} to {max(dice):.3f}"
        told.append(f"{group_name(trial, arm)}, {arm.training_set}: mean {np.mean(dice):.3f}, {ends}")
    more = f"; and {len(told) - MOST} more in the tables" if len(told) > MOST else ""
    return f"Dice of {trial.plan.region} of each patient, by arm. {'; '.join(told[:MOST])}{more}."


def _learning(trial: TrialRecord) -> str:
    """How far validation came in each arm."""
    told = [
        f"{group_name(trial, arm)}, {arm.training_set}: {arm.validation_score:.3f}"
        for arm in trial.arms
        if arm.validation_score is not None
    ]
    more = f"; and {len(told) - MOST} more" if len(told) > MOST else ""
    return f"Training loss and validation Dice against steps. Best validation score: {'; '.join(told[:MOST])}{more}."


def _worth(trial: TrialRecord) -> str:
    """What synthetic data is worth in real patients."""
    told = "; ".join(f"{found.segmenter}: {found.sentence}" for found in trial.equivalence or ())
    return f"Score against number of real patients, with and without synthetic data. {told}"
