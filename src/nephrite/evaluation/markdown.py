"""The report in Markdown, and its short form for a terminal; both read nothing but the content of trial.json."""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from typing import Any

from rich.markup import escape
from rich.table import Table

from nephrite.evaluation.statistics import MINIMUM_CELLS, counted


def report_markdown(trial: Mapping[str, Any], pictures: Mapping[str, str]) -> str:
    """Write report.md: verdict, comparisons, scores, pictures, and how to read and to extend it.

    Args:
        trial: the content of trial.json.
        pictures: what a picture shows to its path relative to the report.
    """
    sections = [
        f"# {trial['headline'].partition(':')[0]}",
        trial["headline"],
        _verdict(trial),
        *[f"![{shows}]({path})" for shows, path in list(pictures.items())[:1]],
        "## Differences to the reference",
        _comparisons(trial),
        "## Scores of the arms",
        _scores(trial),
        _capstone(trial),
        *[f"![{shows}]({path})" for shows, path in list(pictures.items())[1:]],
        "## How to read this",
        _reading(trial),
        "## More cells",
        _more_cells(trial),
    ]
    return "\n\n".join(section for section in sections if section) + "\n"


def summary_table(trial: Mapping[str, Any]) -> Table:
    """The result table for a terminal of 80 columns: one row for each arm, below the name of its segmenter."""
    table = Table(title=f"3-D Dice, {_sample(trial)}", title_justify="left", box=None, padding=(0, 1, 0, 0))
    table.add_column("training set", no_wrap=True)
    for region in trial["arms"][0]["regions"]:
        table.add_column(region.replace("_", "\n"), justify="right")
    table.add_column(f"{trial['plan']['region']} against reference", no_wrap=True)
    table.add_column("verdict", no_wrap=True)
    for segmenter, arms in itertools.groupby(trial["arms"], key=lambda arm: str(arm["segmenter"])):
        table.add_row(f"[bold]{escape(segmenter)}[/bold]")
        for arm in arms:
            table.add_row(*_summary_row(trial, arm))
    return table


def summary_lines(trial: Mapping[str, Any]) -> list[str]:
    """What a terminal shows below the table: the verdict in words, the best run, the notes."""
    best = trial["best_run"]
    name = f"{best['training_set']}/{best['segmenter']}/{best['cell']}"
    chosen = f"Best run by validation: {name}, validation score {best['validation_score']:.3f}."
    return [trial["headline"], chosen, *trial["notes"]]


def _summary_row(trial: Mapping[str, Any], arm: Mapping[str, Any]) -> list[str]:
    row = _comparison_of(trial, arm)
    dice = [_number(region["dice"]) for region in arm["regions"].values()]
    judged = [escape(_difference(row)), row["verdict"]] if row else ["is the reference", ""]
    return [" " + escape(arm["training_set"]), *dice, *judged]


def _verdict(trial: Mapping[str, Any]) -> str:
    answer, facts = trial["answer"], summary_lines(trial)[1:]
    if answer:
        split = f"better in {answer['better']} and worse in {answer['worse']} of {answer['patients']} test patients"
        facts = [f"Verdict: **{answer['verdict']}**. {answer['reason']}; {split}.", *facts]
    return "\n".join(f"- {fact}" for fact in facts)


def _comparisons(trial: Mapping[str, Any]) -> str:
    region, confidence = trial["plan"]["region"], f"{trial['plan']['confidence']:.0%}"
    head = ["segmenter", "training set", "against", "patients", "cells", f"Dice of {region}: difference [{confidence}]"]
    answer = trial["answer"]
    first = [_comparison_row(answer, "**all**" if len(answer["segmenters"]) > 1 else "**headline**")] if answer else []
    rows = first + [_comparison_row(row, row["segmenters"][0]) for row in trial["comparisons"]]
    return _table([*head, "p (Holm)", "another cell alone", "verdict"], rows)


def _comparison_row(row: Mapping[str, Any], name: str) -> list[str]:
    null = f"up to {row['null']['largest']:.3f}" if row["null"] else "not known"
    sample = [str(row["patients"]), str(len(row["cells"]))]
    judged = [_difference(row), _number(row["p_holm"]), null, row["verdict"]]
    return [name, row["training_set"], row["against"], *sample, *judged]


def _scores(trial: Mapping[str, Any]) -> str:
    head = ["segmenter", "training set", "cells"]
    for region in trial["arms"][0]["regions"]:
        head += [f"{region}: Dice", "surface Dice", "HD95 in mm (defined in)"]
    rows = []
    for arm in trial["arms"]:
        row = [arm["segmenter"], arm["training_set"], str(len(arm["cells"]))]
        for score in arm["regions"].values():
            distance = f"{_number(score['hd95'], 1)} ({score['hd95_defined']} of {score['scored']})"
            row += [_number(score["dice"]), _number(score["surface_dice"]), distance]
        rows.append(row)
    return f"Means over {_sample(trial)}.\n\n{_table(head, rows)}"


def _capstone(trial: Mapping[str, Any]) -> str:
    channels = list(trial["arms"][0]["foreground_iou"])
    head = ["segmenter", "training set", "capstone IoU in %", "predicting nothing", *(f"IoU of {c}" for c in channels)]
    rows = [
        [arm["segmenter"], arm["training_set"], _number(arm["capstone_iou"], 2), _number(arm["predict_nothing"], 2)]
        + [_number(arm["foreground_iou"][channel]) for channel in channels]
        for arm in trial["arms"]
    ]
    text = (
        "For comparison with the 2021 student project only, never to choose a model: its score per slice, beside what "
        "a model that predicts nothing scores on the same slices, and the IoU per class over the slices that hold it."
    )
    return f"{text}\n\n{_table(head, rows)}"


def _reading(trial: Mapping[str, Any]) -> str:
    plan = trial["plan"]
    resampled = "cells and patients" if len(_cells(trial)) > 1 else "patients only, since there is one cell"
    return "\n".join(
        [
            f"- Declared before any run: Dice of *{plan['region']}*, reference *{plan['reference']}*.",
            "- A cell is one subset of training patients and one initialisation, shared by all arms. A difference is "
            "paired by test patient within a cell.",
            f"- Intervals: {plan['confidence']:.0%}, {plan['resamples']:,} bootstrap resamples of {resampled}, "
            "widened for small numbers (expanded percentile interval).",
            "- p: Wilcoxon signed-rank over patients, Holm's correction over the rows below the headline. It does not "
            "know about cells; the verdict follows the interval.",
            "- Another cell alone: the largest difference between two cells of the compared arm, when nothing else "
            "changed. One run's gain of that size means nothing.",
            "- Surface Dice and HD95: both regions empty score 1 and 0 mm; with one of them empty the surface Dice is "
            "0 and HD95 is not defined, so an arm that misses a region altogether is not punished by HD95.",
            f"- Settings digest: `{plan['digest']}`.",
        ]
    )


def _more_cells(trial: Mapping[str, Any]) -> str:
    cells = _cells(trial)
    wanted = list(range(max(MINIMUM_CELLS, 2 * len(cells))))
    return (
        f"This trial has {counted(len(cells), 'cell')}; a verdict needs at least {MINIMUM_CELLS}, and a gain of 0.02 "
        f"about 8. Set this in params.yaml and run `dvc repro` again; finished arms are kept:\n\n"
        f"```yaml\ntrial:\n  cells: {wanted}\n```"
    )


def _comparison_of(trial: Mapping[str, Any], arm: Mapping[str, Any]) -> Mapping[str, Any] | None:
    wanted = ([arm["segmenter"]], arm["training_set"])
    return next((row for row in trial["comparisons"] if (row["segmenters"], row["training_set"]) == wanted), None)


def _difference(row: Mapping[str, Any]) -> str:
    interval = "no interval" if row["low"] is None else f"[{row['low']:+.3f}, {row['high']:+.3f}]"
    return f"{row['mean']:+.3f} {interval}"


def _number(value: float | None, digits: int = 3) -> str:
    return "not defined" if value is None else f"{value:.{digits}f}"


def _cells(trial: Mapping[str, Any]) -> list[int]:
    return sorted({cell for arm in trial["arms"] for cell in arm["cells"]})


def _sample(trial: Mapping[str, Any]) -> str:
    return f"{counted(len(trial['patients']), 'patient')} and {counted(len(_cells(trial)), 'cell')}"


def _table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join(f"| {' | '.join(cells)} |" for cells in lines)
