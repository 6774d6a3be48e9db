"""How a report is to be read, and how to get more of it: what was declared, what intervals and nulls mean."""

from __future__ import annotations

from nephrite.report.given import meanings
from nephrite.report.trial_record import TrialRecord
from nephrite.report.wording import in_percent, measure_text
from nephrite.verdict.statistics import MINIMUM_CELLS
from nephrite.words import counted


def reading(trial: TrialRecord) -> str:
    """Every statement on sample, intervals, families, nulls and measures, as a list."""
    plan = trial.plan
    few = "is one cell" if len(trial.cells) == 1 else f"are {len(trial.cells)} cells"
    over_cells = any("cells" in row.sampled for row in trial.comparisons)
    both = "cells and patients are both a sample"
    sampled = both if over_cells else f"patients are the sample, since there {few}"
    return "\n".join(
        [
            *_judged_on(trial),
            *(_declared(trial) if trial.best_run else meanings(trial)),
            f"- Intervals: {in_percent(plan.confidence)}, of the crossed model in which {sampled} (Student's t; "
            "docs/trial.md). p is of the same model: it is below "
            f"{1 - plan.confidence:.3g} exactly where the interval excludes zero.",
            f"- The headline is one row, {'declared before, and ' * bool(trial.best_run)}judged alone. All others are "
            "adjusted: the question at other label fractions and for single segmenters as one family, all other rows "
            "of this report as another "
            f"(max-T, {plan.resamples:,} draws). Their intervals hold the true differences of the whole family at "
            "once, and their words follow these intervals.",
            *(_sharing(trial) if trial.best_run else []),
            *_nulls(trial),
            "- Surface Dice and HD95: both regions empty score 1 and 0 mm; with one of them empty the surface Dice is "
            "0 and HD95 is not defined, so an arm that misses a region altogether is not punished by HD95.",
            f"- {'Settings digest' if trial.best_run else 'Digest of scores and question'}: `{plan.digest}`.",
        ]
    )


def more_cells(trial: TrialRecord) -> str:
    """How many cells there are, and the setting that asks for more."""
    cells = trial.cells
    cost = "Cells beyond 'trial.planned_cells' are a further look at the test patients. " if trial.look else ""
    wanted = list(range(max(MINIMUM_CELLS, 2 * len(cells))))
    return (
        f"This trial has {counted(len(cells), 'cell')}; a verdict needs at least {MINIMUM_CELLS}, and how many a gain "
        f"of 0.02 needs `nephrite plan` says. {cost}Set this in params.yaml and run again; finished arms are kept:\n\n"
        f"```yaml\ntrial:\n  cells: {wanted}\n```"
    )


def _declared(trial: TrialRecord) -> list[str]:
    return [
        f"- Declared before any run: {measure_text(trial.plan)}, reference *{trial.plan.reference}*.",
        "- A cell is one subset of training patients and one initialization, shared by all arms. A difference is "
        "paired by patient within a cell.",
        "- Best synthetic set: chosen by its mean validation score; test had no say in it.",
    ]


def _judged_on(trial: TrialRecord) -> list[str]:
    if trial.plan.judged_on == "test":
        return []
    if trial.plan.judged_on == "confirmation":
        return [
            "- Confirmation: judged on patients who were kept apart. None of them was trained on, chosen by or scored "
            "before; looks at them are counted apart from those at the test patients."
        ]
    return [
        "- Development: judged on validation patients, who also chose the weights of every arm. So these scores are "
        "optimistic, and a difference is a reason to test a recipe, no evidence for it. No look at test is counted, "
        "and nothing can be promoted."
    ]


def _sharing(trial: TrialRecord) -> list[str]:
    """Of which training patients the intervals speak, for each label fraction at which cells share some."""
    lines = []
    for fraction, share in trial.plan.overlap.items():
        at = f"At {in_percent(fraction)} of the training patients"
        if share == 1:
            lines.append(f"- {at} all cells have the same ones: the intervals speak for these training patients only.")
        elif share > 0:
            lines.append(
                f"- {at} two cells share {in_percent(share)} of theirs on average; the intervals are longer for it, so "
                "that they speak for other training patients too (docs/trial.md)."
            )
    return lines


def _nulls(trial: TrialRecord) -> list[str]:
    """How to read the nulls: those of arms, and those of cells."""
    nulls = [row.null for row in trial.comparisons + trial.rivals if row.null]
    arms = sorted({null.arm for null in nulls if null.arm})
    lines = []
    # nulls of A/A arms
    if arms:
        lines.append(
            f"- Null of an arm ({', '.join(arms)}): the same training set and patients, from another initialization "
            "and in another order, minus the first, paired by cell and patient as any comparison. Its interval "
            "should hold zero: it is what chance alone does. The arms of a cell share initialization and order, so "
            "differences between them can be steadier than it."
        )
    # nulls of cells
    if not all(null.arm for null in nulls):
        lines.append(
            f"- Null{' of the others' if arms else ''}: what a trial of the compared arm against itself finds, where "
            "only the cells differ (cell 0 minus cell 1, cell 2 minus cell 3 and so on, paired by patient). Its "
            "interval should hold zero. It rests on half as many pairs as there are cells; with fewer than 4 cells "
            "on a single pair, and so on patients alone: the luck of one run. At label fractions below 100% other "
            "cells know other patients too, which arms of one cell never do, so there the null is wider than what "
            "chance does to a difference ('trial.training_sets.real: [SET, SET+null]' asks for one that is not). How "
            "far two cells lie apart at most stands in trial.json."
        )
    return lines
