"""The trial for a terminal: one table and the notes below it; reads nothing but the record."""

from __future__ import annotations

import io
import itertools
import textwrap
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from nephrite.report.arm_record import ArmRecord, RegionRecord
from nephrite.report.comparison_record import ComparisonRecord
from nephrite.report.trial_record import TrialRecord
from nephrite.report.wording import group_name, in_percent, interval_text, measure_text, p_text
from nephrite.verdict.measures import ELSEWHERE
from nephrite.words import counted

WIDTH = 110  # width of summary.txt in characters


def summary_text(trial: TrialRecord, report: Path) -> str:
    """The table, the verdict and what to open next, as plain text.

    Args:
        trial: the record.
        report: folder of the report.
    """
    console = Console(file=io.StringIO(), width=WIDTH, record=True)
    console.print(summary_table(trial))
    console.print()
    for line in (*summary_lines(trial), opened_line(report)):
        wrapped = textwrap.fill(line, WIDTH, subsequent_indent="  ", break_long_words=False, break_on_hyphens=False)
        console.print(wrapped, markup=False, highlight=False, soft_wrap=True)
    return "\n".join(line.rstrip() for line in console.export_text().splitlines()) + "\n"


def opened_line(report: Path) -> str:
    """Where the report is, and what else there is to look at."""
    return f"Open next: {report / 'report.html'}; for programs: {report / 'trial.json'}; runs: make ui"


def verdict_facts(trial: TrialRecord, report: Path) -> dict[str, Any]:
    """The verdict and where the report is, as JSON would hold them; all else stands in trial.json.

    Args:
        trial: the record.
        report: folder of the report.
    """
    return {
        "headline": trial.headline,
        "answer": trial.answer.model_dump(mode="json") if trial.answer else None,
        "notes": [*trial.notes],
        "report": str(report / "report.html"),
        "record": str(report / "trial.json"),
    }


def summary_table(trial: TrialRecord) -> Table:
    """The result table: one row for each arm, below the name of its segmenter and label fraction.

    Fits 80 columns with short names of training sets, 110 with any. The row of the reference, or of its null arm, holds
    the null: what a trial of the reference against itself finds.
    """
    title = f"3-D Dice{_place(trial)}, {sample_text(trial)}"
    table = Table(title=title, title_justify="left", box=None, padding=(0, 1, 0, 0))
    # a column per region, then the answer
    table.add_column("training set", overflow="fold")
    for region in headline_regions(trial, trial.arms[0]):
        table.add_column(region.replace("_", "\n"), justify="right")
    table.add_column(f"{trial.plan.region} against reference", no_wrap=True)
    table.add_column("verdict", no_wrap=True)
    # a block per segmenter and label fraction
    for name, arms in itertools.groupby(trial.arms, key=lambda arm: group_name(trial, arm)):
        group = list(arms)
        table.add_row(f"[bold]{escape(name)}[/bold], {_patients(group)}")
        for arm in group:
            table.add_row(*_summary_row(trial, arm))
    return table


def summary_lines(trial: TrialRecord) -> list[str]:
    """What a terminal shows below the table: the verdict in words, then each fraction's, the best arms, the notes."""
    answers = [_answer(trial, row) for row in trial.answers] if len(trial.answers) > 1 else []
    questions = [
        f"Further question, {measure_text(trial.plan, row.measure)}: {row.training_set} minus {row.against} "
        f"{interval_text(row.judged)}, {row.verdict}, p {p_text(row)}."
        for row in trial.questions
    ]
    below = [*answers, *questions, *best_synthetic_lines(trial), *worth_lines(trial), *blind_lines(trial)]
    return [trial.headline, *look_lines(trial), *below, *best_run_lines(trial), *trial.notes]


def best_run_lines(trial: TrialRecord) -> list[str]:
    """The run to promote; nothing where the arms were trained elsewhere."""
    best = trial.best_run
    if best is None:
        return []
    name = f"{best.training_set}/{best.segmenter}/{best.fraction}/{best.cell}"
    return [f"Best run by validation: {name}, validation score {best.validation_score:.3f}."]


def worth_lines(trial: TrialRecord) -> list[str]:
    """What synthetic data is worth in real patients, for each segmenter."""
    return [f"{found.segmenter}: {found.sentence}" for found in trial.equivalence or ()]


def blind_lines(trial: TrialRecord) -> list[str]:
    """What masks score that never look at the image, beside the reference."""
    if not trial.blind:
        return []
    parts = []
    for measure, group in itertools.groupby(trial.blind, key=lambda row: measure_text(trial.plan, row.measure)):
        rows = list(group)
        shown = ", ".join(f"{row.name} {row.score:.3f}" for row in rows)
        parts.append(f"{measure}: {shown}, {trial.plan.reference} {rows[0].score + rows[0].mean:.3f}")
    return [f"Without looking at the image, {'; '.join(parts)}."]


def look_lines(trial: TrialRecord) -> list[str]:
    """Which look at the test patients this is, and what confidence is left to it; nothing where none is counted."""
    look = trial.look
    if look is None:
        return []
    declared, left = in_percent(look.confidence), in_percent(trial.plan.confidence)
    planned = f", with {in_percent(look.share)} of the planned cells" if look.share < 1 else ""
    which = f"Look {look.number} at these {trial.plan.judged_on} patients{planned}"
    return [f"{which}: every interval is {left} instead of {declared}."]


def best_synthetic_lines(trial: TrialRecord) -> list[str]:
    """For each label fraction the synthetic set that is best on validation, against the reference and the rivals."""
    lines = []
    for best in trial.best_synthetic:
        rows = [
            f"{interval_text(row.judged)} against {row.against} ({row.verdict}, p {p_text(row)}, null {null_text(row)})"
            for row in best.comparisons
        ]
        at = f" at {in_percent(best.fraction)}" if len(trial.best_synthetic) > 1 else ""
        lines.append(f"Best synthetic set by validation{at}: {best.training_set}{_place(trial)}: {'; '.join(rows)}.")
    return lines


def sample_text(trial: TrialRecord) -> str:
    """'14 patients and 3 cells': of whom the headline is."""
    return f"{counted(len(trial.headline_patients), 'patient')} and {counted(len(trial.cells), 'cell')}"


def headline_regions(trial: TrialRecord, arm: ArmRecord) -> Mapping[str, RegionRecord]:
    """The scores of an arm on the patients that the headline is about."""
    return arm.external.regions if trial.plan.where == "external" and arm.external else arm.regions


def null_text(row: ComparisonRecord) -> str:
    """The null of a comparison: '+0.003 [-0.020, +0.026]'."""
    return interval_text(row.null) if row.null else "not known"


def _place(trial: TrialRecord) -> str:
    """' on the external test set', where the headline is about it."""
    return f" {ELSEWHERE}" if trial.plan.where == "external" else ""


def _answer(trial: TrialRecord, row: ComparisonRecord) -> str:
    shown = f"{interval_text(row.judged)}, {row.verdict}, p {p_text(row)}; null {null_text(row)}"
    return f"The question at {in_percent(row.fraction)}{_place(trial)}: {shown}."


def _patients(group: Sequence[ArmRecord]) -> str:
    counts = sorted({count for arm in group for count in arm.training_patients})
    if not counts:
        return "trained elsewhere"
    return f"{counts[0]} to {counts[-1]} training patients" if len(counts) > 1 else f"{counts[0]} training patients"


def _summary_row(trial: TrialRecord, arm: ArmRecord) -> list[str]:
    row = _comparison_of(trial, arm)
    dice = [f"{region.dice:.3f}" for region in headline_regions(trial, arm).values()]
    judged = [interval_text(row.judged), row.verdict] if row else _without_verdict(trial, arm)
    return [" " + escape(arm.training_set), *dice, *map(escape, judged)]


def _comparison_of(trial: TrialRecord, arm: ArmRecord) -> ComparisonRecord | None:
    wanted = (arm.segmenters, arm.training_set, arm.fraction)
    kinds = ((row, (row.segmenters, row.training_set, row.fraction)) for row in trial.comparisons)
    return next((row for row, kind in kinds if kind == wanted), None)


def _without_verdict(trial: TrialRecord, arm: ArmRecord) -> list[str]:
    """Last two columns of a row without a verdict: of the reference, or of an A/A arm (null arm)."""
    reference, kind = trial.plan.reference, (arm.segmenters, arm.fraction)
    rows = [row for row in trial.comparisons if (row.segmenters, row.fraction) == kind]
    null = null_text(max(rows, key=lambda row: len(row.cells))) if rows else "not known"
    if trial.plan.copies.get(arm.training_set) == reference:
        return [null, "null"]
    if arm.training_set != reference:
        return ["", "null of another set"]
    repeated = reference in {trial.plan.copies.get(name) for name in _training_sets(trial, kind)}
    return ["", "reference"] if repeated else [null, "reference, null"]


def _training_sets(trial: TrialRecord, kind: tuple[tuple[str, ...], float]) -> list[str]:
    return [arm.training_set for arm in trial.arms if (arm.segmenters, arm.fraction) == kind]
