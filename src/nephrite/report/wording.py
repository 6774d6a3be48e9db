"""How a record's names and numbers are put into words, alike in text, tables and figures."""

from __future__ import annotations

from typing import Protocol

from nephrite.report.arm_record import ArmRecord
from nephrite.report.comparison_record import ComparisonRecord, MeasureRecord
from nephrite.report.trial_record import PlanRecord, TrialRecord
from nephrite.verdict.measures import ELSEWHERE, NAMES
from nephrite.verdict.statistics import MINIMUM_CELLS, MINIMUM_PATIENTS


class HasInterval(Protocol):
    """Whatever has a mean difference and its interval."""

    @property
    def mean(self) -> float:
        """The mean."""

    @property
    def low(self) -> float | None:
        """Lower end; None with a single test patient."""

    @property
    def high(self) -> float | None:
        """Upper end; None with a single test patient."""


def group_name(trial: TrialRecord, row: ArmRecord | ComparisonRecord) -> str:
    """The group of an arm or comparison: its segmenter, and its label fraction if the trial has several."""
    name = row.segmenters[0] if len(row.segmenters) == 1 else "all segmenters"
    return f"{name}, {in_percent(row.fraction)}" if trial.several_fractions else name


def measure_text(plan: PlanRecord, measure: MeasureRecord | None = None) -> str:
    """'Dice of tumor': what decides, or another measure; of whose patients, where any are of another hospital."""
    asked = measure or plan
    place = f" {ELSEWHERE}" if asked.where == "external" else " at home" if plan.where == "external" else ""
    return f"{NAMES[asked.metric]} of {asked.region}{place}"


def patients_text(plan: PlanRecord) -> str:
    """'test patient', 'external test patient' or 'validation patient': of whom the headline is."""
    return f"{'external ' if plan.where == 'external' else ''}{plan.judged_on} patient"


def in_percent(share: float) -> str:
    """'10%', '12.5%', '99.17%'."""
    return f"{100 * share:.{3 if share <= 0.99 else 4}g}%"


def interval_text(row: HasInterval) -> str:
    """'+0.012 [-0.003, +0.027]', of what a comparison is judged by, or of its null."""
    interval = "no interval" if row.low is None else f"[{row.low:+.3f}, {row.high:+.3f}]"
    return f"{row.mean:+.3f} {interval}"


def p_text(row: ComparisonRecord) -> str:
    """'0.012', or '< 0.001': the adjusted p, which the verdict follows; none where the sample is too small."""
    if len(row.cells) < MINIMUM_CELLS or row.patients < MINIMUM_PATIENTS:
        return "not judged"
    return f"{row.p_adjusted:.3f}" if row.p_adjusted >= 0.0005 else "< 0.001"
