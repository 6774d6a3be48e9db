"""What `dvc metrics show` and `dvc metrics diff` read: the difference with its interval, and each arm's scores."""

from __future__ import annotations

from typing import Any

from nephrite.report.terminal import headline_regions
from nephrite.report.trial_record import TrialRecord

METRICS = "metrics.json"  # dvc.yaml names it


def dvc_metrics(trial: TrialRecord) -> dict[str, Any]:
    """Numbers alone, by training set and segmenter; of the patients whom the headline is about.

    Where there are several label fractions, an arm's name ends with its own.
    """
    found: dict[str, Any] = {}
    if trial.answer:
        row = trial.answer
        ends = {"low": row.low, "high": row.high, "p": row.p}
        found["difference"] = {"mean": row.mean, **{name: end for name, end in ends.items() if end is not None}}
    for arm in trial.arms:
        fraction = f" {arm.fraction:g}" if trial.several_fractions else ""
        scores = {name: region.dice for name, region in headline_regions(trial, arm).items()}
        chosen = {} if arm.validation_score is None else {"validation": arm.validation_score}
        found.setdefault("dice", {})[f"{arm.training_set} {arm.segmenter}{fraction}"] = scores | chosen
    return found
