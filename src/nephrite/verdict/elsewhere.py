"""The question that stands beside one about another hospital: whether the trial's own patients pay for it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from nephrite.errors import TrialError
from nephrite.metrics.scores import ArmScores
from nephrite.verdict.measures import demand
from nephrite.verdict.trial import Question, TrialPlan
from nephrite.words import counted


def not_worse_at_home(plan: TrialPlan, arms: Sequence[ArmScores]) -> tuple[TrialPlan, list[str]]:
    """The plan with the headline's question asked at home too, unless it is declared already.

    Args:
        plan: what was declared.
        arms: scores of all arms.

    Returns:
        The plan, and a note where the trial's own patients cannot be asked.
    """
    if plan.where == "home" or plan.question is None:
        return plan, []
    asked = Question(plan.measure._replace(where="home"), *plan.question)
    if asked in plan.questions:
        return plan, []
    try:
        for scores in arms:
            demand(scores, asked.measure)
    except TrialError as error:
        return plan, [f"Whether it is worse at home cannot be asked: {error.finding}."]
    return replace(plan, questions=(asked, *plan.questions)), []


def left_out(questions: int, *, headline: bool) -> list[str]:
    """Notes of a report for development on what was declared about another hospital, at which it does not look.

    Args:
        questions: how many further ones name its patients.
        headline: whether the headline is about them.
    """
    notes = []
    if headline:
        notes.append(
            "The headline is declared for the external test set. A report for development does not look at it, and "
            "asks the validation patients."
        )
    if questions:
        notes.append(
            f"{counted(questions, 'further question')} about the external test set left out: a report for development "
            "does not look at it."
        )
    return notes
