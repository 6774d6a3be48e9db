"""Forest plots: every difference with its interval, and that of the null behind it."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from pathlib import Path

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from nephrite.report.comparison_record import ComparisonRecord
from nephrite.report.figures import BAND, COLORS, GRAY, put_caption, put_title, sample_caption, save_figure
from nephrite.report.trial_record import TrialRecord
from nephrite.report.wording import group_name, in_percent, interval_text, measure_text, p_text
from nephrite.words import counted

PLACES = (0.0, 0.33, 0.485, 0.8)  # positions of the columns of text beside the plot, as shares of their panel
LEAST_SPAN = 0.01  # of the axis, where all differences are zero
Row = tuple[str, ComparisonRecord | None]  # label and comparison; a heading has none


def forest_plot(trial: TrialRecord, target: Path) -> None:
    """Draw every difference to the reference with its interval, and that of the null as a shaded band behind it.

    Args:
        trial: the record.
        target: the PNG file to write.
    """
    _forest(
        trial,
        forest_rows(trial),
        f"Differences to {trial.plan.reference}",
        f"minus that of {trial.plan.reference}",
        target,
    )


def rival_plot(trial: TrialRecord, target: Path) -> None:
    """Draw every difference of a synthetic training set to a rival; see `forest_plot`."""
    title = "Synthetic training sets against the rivals, which cost no generator"
    _forest(trial, _grouped(trial, trial.rivals, against=True), title, "minus that of the rival", target)


def forest_rows(trial: TrialRecord) -> list[Row]:
    """Label and comparison of each row of the forest plot, from top to bottom; the headline first."""
    answer, reference = trial.answer, trial.plan.reference
    rows: list[Row] = []
    if answer:
        against = "" if answer.against == reference else f"\nminus {answer.against}"
        rows.append((f"{group_name(trial, answer)}: {answer.training_set}{against}", answer))
    asked = _kind(answer) if answer else None
    return rows + _grouped(trial, [row for row in trial.comparisons if _kind(row) != asked])


def _kind(row: ComparisonRecord) -> tuple[tuple[str, ...], str, str, float]:
    return row.segmenters, row.training_set, row.against, row.fraction


def _grouped(trial: TrialRecord, comparisons: Sequence[ComparisonRecord], *, against: bool = False) -> list[Row]:
    """The rows of each segmenter and label fraction, and maybe of each rival, below a heading."""

    def heading(row: ComparisonRecord) -> str:
        return f"{group_name(trial, row)}, minus {row.against}" if against else group_name(trial, row)

    rows: list[Row] = []
    for name, group in itertools.groupby(comparisons, key=heading):
        rows += [(name, None), *((row.training_set, row) for row in group)]
    return rows


def _forest(trial: TrialRecord, rows: Sequence[Row], title: str, minus: str, target: Path) -> None:
    plan = trial.plan
    # marks at the left, the same in words at the right
    figure = Figure(figsize=(12.5, 2.1 + 0.3 * len(rows)), layout="constrained")
    axes, words = figure.subplots(1, 2, sharey=True, width_ratios=[1, 1.15])
    for place, (_, row) in enumerate(rows):
        if row:
            headline = row is trial.answer
            _difference(axes, place, row, headline)
            _in_words(words, place, row, headline)
    # axes: a line at no difference, one label per row; a null of two pairs of cells may be wider than any difference
    axes.set_xlim(*shown_range([row for _, row in rows if row]))
    axes.axvline(0, color="black", linewidth=1)
    axes.set_yticks(range(len(rows)), [label for label, _ in rows], fontsize=9)
    for label, (_, row) in zip(axes.get_yticklabels(), rows, strict=True):
        label.set_weight("normal" if row else "bold")
    axes.set_ylim(len(rows) - 0.4, -1.6)
    axes.locator_params(axis="x", nbins=6)  # so that labels of three decimals stay apart
    axes.tick_params(top=True, labeltop=True)  # a long list is read from its top
    axes.set_xlabel(f"{measure_text(plan)} {minus} (right: better)")
    # titles and legend
    _titles(words)
    put_title(figure, title)
    confidence = in_percent(plan.confidence)
    put_caption(
        figure,
        f"{sample_caption(trial)}. Mark and line: mean and {confidence} interval, adjusted but for the headline. "
        f"{null_legend(rows)}",
    )
    save_figure(figure, target)


def shown_range(rows: Sequence[ComparisonRecord]) -> tuple[float, float]:
    """What the axis shows: zero and all intervals whole, and of nulls at most as much again on either side."""
    ends = [0.0]
    for row in rows:
        ends += [end for end in (row.judged.low, row.judged.high, row.mean) if end is not None]
    low, high = min(ends), max(ends)
    span = max(high - low, LEAST_SPAN)
    nulls = [end for row in rows if row.null for end in (row.null.low, row.null.high) if end is not None]
    margin = span / 10
    return max(min([low, *nulls]), low - span) - margin, min(max([high, *nulls]), high + span) + margin


def _difference(axes: Axes, place: int, row: ComparisonRecord, headline: bool) -> None:
    null = row.null
    if null and null.low is not None and null.high is not None:
        axes.barh(place, null.high - null.low, left=null.low, height=1, color=BAND, zorder=0)
        axes.plot([null.mean, null.mean], [place - 0.5, place + 0.5], color="white", linewidth=1.5, zorder=1)
    color, width, marker = (COLORS[4], 3, "D") if headline else (COLORS[0], 2, "o")
    judged = row.judged
    if judged.low is not None and judged.high is not None:
        axes.plot([judged.low, judged.high], [place, place], color=color, linewidth=width)
    axes.plot(row.mean, place, marker=marker, color=color, markersize=2 * width + 2)


def _in_words(axes: Axes, place: int, row: ComparisonRecord, headline: bool) -> None:
    null = interval_text(row.null) if row.null else "not known"
    cells = (interval_text(row.judged), p_text(row), null, row.verdict)
    for number, (left, text) in enumerate(zip(PLACES, cells, strict=True)):
        color = GRAY if number == 2 else "black"
        axes.text(left, place, text, va="center", fontsize=8.5, color=color, weight="bold" if headline else "normal")


def _titles(axes: Axes) -> None:
    for left, text in zip(PLACES, ("difference", "p (adjusted)", "null", "verdict"), strict=True):
        axes.text(left, -1.15, text, va="center", fontsize=8.5, color=GRAY)
    axes.set_xlim(0, 1)
    axes.axis("off")


def null_legend(rows: Sequence[Row]) -> str:
    """What the shaded bands of these rows are."""
    pairs = {row.null.trial_pairs for _, row in rows if row and row.null}
    if not pairs:
        return "The null, what another cell alone would change, needs at least 2 cells."
    if all(row.null.arm for _, row in rows if row and row.null):
        cells = counted(max(pairs), "cell")
        return f"Shaded: interval of the null, the compared arm from another initialization, {cells} (white: its mean)."
    few = " With one pair it knows patients only, and may lie off zero." if 1 in pairs else ""
    return (
        "Shaded: interval of the null, the compared arm against itself in other cells "
        f"({counted(max(pairs), 'pair')} of cells; white: its mean).{few}"
    )
