"""What the report says of masks that never look at the image."""

from __future__ import annotations

from dataclasses import asdict

import numpy as np

from nephrite.report.comparison_record import BlindRecord, MeasureRecord
from nephrite.report.trial_record import TrialRecord
from nephrite.report.wording import interval_text, measure_text
from nephrite.verdict.blind import BlindBaseline
from nephrite.verdict.statistics import paired_interval
from nephrite.verdict.trial import Trial


def blind_record(trial: Trial, baseline: BlindBaseline) -> BlindRecord:
    """The reference over all segmenters, minus the baseline, patient by patient in each cell."""
    plan = trial.plan
    cells = trial.shared_cells(plan.reference, plan.reference, trial.segmenters, plan.fraction)
    tables = [trial.table(plan.reference, name, plan.fraction, cells, baseline.measure) for name in trial.segmenters]
    overlap = plan.overlap_at(plan.fraction)
    interval = paired_interval(np.mean(tables, axis=0) - baseline.scores, confidence=plan.confidence, overlap=overlap)
    return BlindRecord(
        name=baseline.name,
        score=float(np.mean(baseline.scores)),
        measure=MeasureRecord(**baseline.measure._asdict()),
        threshold=baseline.threshold,
        **asdict(interval),
    )


def blindness(record: TrialRecord) -> str:
    """What the headline adds where the reference is not clearly above a mask that never looks at the image."""
    if (level := record.blind_is_level) is None:
        return ""
    reference, measure = level.score + level.mean, measure_text(record.plan, level.measure)
    return (
        f" But {record.plan.reference} ({measure} {reference:.3f}) is not clearly above what never looks at the image "
        f"('{level.name}', {level.score:.3f}; difference {interval_text(level)}): these scores say little."
    )
