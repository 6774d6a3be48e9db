"""The plan and a judged comparison, as trial.json has them."""

from __future__ import annotations

from dataclasses import asdict

from nephrite.report.comparison_record import ComparisonRecord, MeasureRecord, NullRecord
from nephrite.report.trial_record import PlanRecord, QuestionRecord
from nephrite.verdict.comparisons import Comparison
from nephrite.verdict.measures import Measure
from nephrite.verdict.trial import TrialPlan


def plan_record(plan: TrialPlan) -> PlanRecord:
    """What was declared, as the record has it."""
    questions = tuple(
        QuestionRecord(**question._asdict() | {"measure": _measure(question.measure)}) for question in plan.questions
    )
    return PlanRecord(**asdict(plan) | {"questions": questions})


def _measure(measure: Measure | None) -> MeasureRecord | None:
    return MeasureRecord(**measure._asdict()) if measure else None


def comparison_record(comparison: Comparison) -> ComparisonRecord:
    """A judged comparison, as the record has it."""
    return ComparisonRecord(
        **comparison.pair._asdict() | {"measure": _measure(comparison.pair.measure)},
        cells=comparison.cells,
        patients=comparison.patients,
        better=comparison.better,
        worse=comparison.worse,
        **asdict(comparison.interval),
        sampled=("cells", "patients") if comparison.over_cells else ("patients",),
        p=comparison.p,
        family=comparison.family,
        p_adjusted=comparison.p_adjusted,
        adjusted_low=comparison.adjusted.low,
        adjusted_high=comparison.adjusted.high,
        null=NullRecord(**asdict(comparison.null)) if comparison.null else None,
        verdict=comparison.verdict.word,
        reason=comparison.verdict.reason,
    )
