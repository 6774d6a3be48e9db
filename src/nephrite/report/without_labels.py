"""What is said of arms that were trained without any label: their scores, beside those of the reference.

They have no counterpart at their own label fraction, so they are compared by no interval.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from nephrite.config import Where
from nephrite.metrics.persons import scores_of_persons
from nephrite.metrics.scores import ArmScores
from nephrite.verdict.measures import ELSEWHERE


def unlabeled_notes(arms: Sequence[ArmScores], region: str, reference: str, where: Where = "home") -> list[str]:
    """A line for each set and segmenter without labels.

    Args:
        arms: all arms of the trial.
        region: whose per-patient Dice decides.
        reference: training set that others are compared with.
        where: of whose patients the scores are: those that the headline is about.
    """
    notes, place = [], f" {ELSEWHERE}" if where == "external" else ""
    for name, segmenter in dict.fromkeys((s.arm.training_set, s.arm.segmenter) for s in arms if not s.arm.fraction):
        others = [s for s in arms if (s.arm.training_set, s.arm.segmenter) == (reference, segmenter)]
        known = [
            f"{_mean([s for s in others if s.arm.fraction == share], region, where):.3f} with {100 * share:.3g} %"
            for share in sorted({s.arm.fraction for s in others})
        ]
        own = [s for s in arms if (s.arm.training_set, s.arm.segmenter, s.arm.fraction) == (name, segmenter, 0)]
        score = f"{_mean(own, region, where):.3f}{place}"
        notes.append(
            f"Trained without any label, {name} ({segmenter}) has a mean Dice of {score}; "
            f"{reference} has {', '.join(known)} of the training patients' labels. No interval is given for this."
        )
    return notes


def _mean(runs: Sequence[ArmScores], region: str, where: Where) -> float:
    """Mean Dice of a region over the test patients, then over cells."""
    scored = [scores_of_persons(run.external if where == "external" else run.patients) for run in runs]
    return float(np.mean([np.mean([patient.regions[region].dice for patient in patients]) for patients in scored]))
