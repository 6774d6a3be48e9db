"""Figures of the report, drawn without a display and without pyplot's global state.

Colors are those of Okabe and Ito (2008), which people with any common color vision can tell apart; markers differ too.
"""

from __future__ import annotations

import itertools
import textwrap
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float, UInt8
from matplotlib.axes import Axes
from matplotlib.colors import ListedColormap
from matplotlib.figure import Figure
from matplotlib.patches import Patch

from nephrite.config import Arm
from nephrite.evaluation.statistics import counted
from nephrite.files import whole_file

COLORS = ("#0072B2", "#E69F00", "#009E73", "#CC79A7", "#D55E00", "#56B4E9", "#F0E442")
MARKERS = ("o", "s", "^", "D", "v", "P", "X")
GRAY = "#6b6b6b"
BAND = "#d6e4f0"
Curve = Sequence[tuple[int, float]]
Triplet = tuple[UInt8[np.ndarray, "height width"], Float[np.ndarray, "height width"], Float[np.ndarray, "height width"]]


def forest_plot(trial: Mapping[str, Any], target: Path) -> None:
    """Draw every difference with its interval, and what a change of the cell alone does, as a shaded band.

    Args:
        trial: the content of trial.json.
        target: the PNG file to write.
    """
    rows = forest_rows(trial)
    plan = trial["plan"]
    figure = Figure(figsize=(11, 2.1 + 0.36 * len(rows)), layout="constrained")
    axes, words = figure.subplots(1, 2, sharey=True, width_ratios=[1.15, 1])
    for place, (_, row) in enumerate(rows):
        headline = row is trial["answer"]
        _difference(axes, place, row, headline)
        _in_words(words, place, row, headline)
    axes.axvline(0, color="black", linewidth=1)
    axes.set_yticks(range(len(rows)), [label for label, _ in rows])
    axes.set_ylim(len(rows) - 0.4, -0.6)
    axes.set_xlabel(f"3-D Dice of {plan['region']} minus that of {plan['reference']} (right: better)")
    _title(figure, trial["headline"])
    confidence = f"{plan['confidence']:.0%}"
    _caption(figure, f"{_sample(trial)}. Mark and line: mean and {confidence} interval. {_null_legend(rows)}")
    _save(figure, target)


def forest_rows(trial: Mapping[str, Any]) -> list[tuple[str, Mapping[str, Any]]]:
    """Label and comparison of each row of the forest plot, from top to bottom; the headline first."""
    answer, reference = trial["answer"], trial["plan"]["reference"]
    rows: list[tuple[str, Mapping[str, Any]]] = []
    if answer:
        against = "" if answer["against"] == reference else f"\nminus {answer['against']}"
        several = "all segmenters" if len(answer["segmenters"]) > 1 else answer["segmenters"][0]
        rows.append((f"{several}: {answer['training_set']}{against}", answer))
    asked = (answer["segmenters"], answer["training_set"], answer["against"]) if answer else None
    others = [r for r in trial["comparisons"] if (r["segmenters"], r["training_set"], r["against"]) != asked]
    return rows + [(f"{row['segmenters'][0]}: {row['training_set']}", row) for row in others]


def score_plot(trial: Mapping[str, Any], target: Path) -> None:
    """Draw the Dice of every test patient in every arm, one panel for each segmenter, with the arm's mean.

    Args:
        trial: the content of trial.json.
        target: the PNG file to write.
    """
    segmenters = list(dict.fromkeys(arm["segmenter"] for arm in trial["arms"]))
    sets = list(dict.fromkeys(arm["training_set"] for arm in trial["arms"]))
    figure = Figure(figsize=(1.5 + 3.2 * len(segmenters), 4.6), layout="constrained")
    panels = figure.subplots(1, len(segmenters), sharey=True, squeeze=False)[0]
    for axes, segmenter in zip(panels, segmenters, strict=True):
        arms = {arm["training_set"]: arm for arm in trial["arms"] if arm["segmenter"] == segmenter}
        _patient_lines(axes, [arms[name]["dice_by_patient"] for name in sets if name in arms])
        for place, name in enumerate(name for name in sets if name in arms):
            _strip(axes, place, list(arms[name]["dice_by_patient"].values()), sets.index(name))
        axes.set_xticks(range(len(arms)), [name.replace("+", "\n+") for name in sets if name in arms], fontsize=8)
        axes.set_title(segmenter)
    panels[0].set_ylabel(f"3-D Dice of {trial['plan']['region']}")
    panels[0].set_ylim(-0.03, 1.1)
    _title(figure, f"Dice of {trial['plan']['region']} of each test patient, by arm")
    _caption(
        figure, f"{_sample(trial)}. Dot: one patient, mean over cells; gray lines join a patient. Bar and number: mean."
    )
    _save(figure, target)


def learning_curves(losses: Mapping[Arm, Curve], validation: Mapping[Arm, Curve], target: Path) -> None:
    """Draw training loss and validation Dice against the optimizer step, a column for each segmenter.

    Args:
        losses: arm to (step, training loss).
        validation: arm to (step, validation Dice).
        target: the PNG file to write.
    """
    arms = list(dict.fromkeys([*losses, *validation]))
    segmenters = list(dict.fromkeys(arm.segmenter for arm in arms))
    sets = list(dict.fromkeys(arm.training_set for arm in arms))
    figure = Figure(figsize=(1.5 + 3.4 * len(segmenters), 6), layout="constrained")
    panels = figure.subplots(2, len(segmenters), sharex="col", sharey="row", squeeze=False)
    for (row, curves), arm in itertools.product(enumerate((losses, validation)), arms):
        _curve(panels[row][segmenters.index(arm.segmenter)], curves.get(arm, ()), sets.index(arm.training_set))
    for column, segmenter in enumerate(segmenters):
        panels[0][column].set_title(segmenter)
        panels[1][column].set_xlabel("optimizer step")
    panels[0][0].set_ylabel("training loss")
    panels[1][0].set_ylabel("validation Dice")
    handles = [Patch(color=_color(number), label=name) for number, name in enumerate(sets)]
    figure.legend(handles=handles, loc="outside lower center", ncols=min(len(sets), 2 * len(segmenters)), frameon=False)
    cells = len({arm.cell for arm in arms})
    _title(figure, "How the arms learn")
    _caption(figure, f"{counted(len(arms), 'run')}; {counted(cells, 'cell')}, one line each.", above=True)
    _save(figure, target)


def example_sheet(triplets: Sequence[Triplet], classes: Mapping[int, str], target: Path) -> None:
    """Draw label map, synthetic slice and real slice below each other, one column for each example.

    Args:
        triplets: label map, the slice painted from it, and the real slice that it was marked on, both in [0, 1].
        classes: label value to class name, without background.
        target: the PNG file to write.
    """
    figure = Figure(figsize=(1.2 + 2.0 * len(triplets), 6.9), layout="constrained")
    panels = figure.subplots(3, len(triplets), squeeze=False)
    colors = ListedColormap(["black", *(_color(number + 1) for number in range(len(classes)))])
    order = np.zeros(256, dtype=np.uint8)
    order[list(classes)] = range(1, len(classes) + 1)
    for column, (label_map, synthetic, real) in enumerate(triplets):
        panels[0][column].imshow(order[label_map], cmap=colors, vmin=0, vmax=len(classes), interpolation="nearest")
        for row, image in ((1, synthetic), (2, real)):
            panels[row][column].imshow(image, cmap="gray", vmin=0, vmax=1, interpolation="nearest")
    for axes in panels.flat:
        axes.set(xticks=[], yticks=[])
    for row, name in enumerate(("label map", "synthetic slice", "real slice")):
        panels[row][0].set_ylabel(name)
    handles = [Patch(color=_color(number + 1), label=name) for number, name in enumerate(classes.values())]
    figure.legend(handles=handles, loc="outside lower center", ncols=max(1, len(handles)), frameon=False)
    _title(figure, "Label map, the slice painted from it, and the real slice")
    _save(figure, target)


def _difference(axes: Axes, place: int, row: Mapping[str, Any], headline: bool) -> None:
    if row["null"]:
        reach = row["null"]["largest"]
        axes.barh(place, 2 * reach, left=-reach, height=0.8, color=BAND, zorder=0)
    color, width, marker = (COLORS[4], 3, "D") if headline else (COLORS[0], 2, "o")
    if row["low"] is not None:
        axes.plot([row["low"], row["high"]], [place, place], color=color, linewidth=width)
    axes.plot(row["mean"], place, marker=marker, color=color, markersize=2 * width + 2)


def _in_words(axes: Axes, place: int, row: Mapping[str, Any], headline: bool) -> None:
    interval = "no interval" if row["low"] is None else f"[{row['low']:+.3f}, {row['high']:+.3f}]"
    cells = (f"{row['mean']:+.3f} {interval}", f"p {row['p_holm']:.3f}", row["verdict"])
    for left, text in zip((0.0, 0.54, 0.72), cells, strict=True):
        axes.text(left, place, text, va="center", fontsize=9, weight="bold" if headline else "normal")
    axes.set_xlim(0, 1)
    axes.axis("off")


def _null_legend(rows: Sequence[tuple[str, Mapping[str, Any]]]) -> str:
    if any(row["null"] for _, row in rows):
        return "Shaded: largest change of the reference when only the cell changes. p: Holm."
    return "p: Holm. What another cell alone would change needs at least 2 cells."


def _patient_lines(axes: Axes, scores: Sequence[Mapping[str, float]]) -> None:
    for patient in scores[0]:
        axes.plot([arm[patient] for arm in scores], color="#c9c9c9", linewidth=0.7, zorder=0)


def _strip(axes: Axes, place: int, scores: Sequence[float], number: int) -> None:
    marker = MARKERS[number % len(MARKERS)]
    axes.scatter([place] * len(scores), scores, s=26, color=_color(number), marker=marker, alpha=0.8, linewidths=0)
    mean = float(np.mean(scores))
    axes.plot([place - 0.3, place + 0.3], [mean, mean], color="black", linewidth=2.5)
    axes.text(place, 1.06, f"{mean:.3f}", fontsize=9, ha="center", va="center")


def _curve(axes: Axes, curve: Curve, number: int) -> None:
    steps, values = [step for step, _ in curve], [value for _, value in curve]
    axes.plot(steps, values, color=_color(number), linewidth=1.5, alpha=0.85)
    axes.grid(visible=True, color="#eeeeee")


def _sample(trial: Mapping[str, Any]) -> str:
    cells = sorted({cell for arm in trial["arms"] for cell in arm["cells"]})
    return f"n = {counted(len(trial['patients']), 'test patient')}, {counted(len(cells), 'cell')}"


def _color(number: int) -> str:
    return COLORS[number % len(COLORS)]


def _title(figure: Figure, text: str) -> None:
    wrapped = textwrap.fill(text, int(10.5 * figure.get_figwidth()))  # letters of 11 points in an inch
    figure.suptitle(wrapped, x=0.01, ha="left", fontsize=11)


def _caption(figure: Figure, text: str, *, above: bool = False) -> None:
    if above:
        figure.text(0.99, 0.99, text, ha="right", va="top", fontsize=9, color=GRAY)
    else:
        wrapped = textwrap.fill(text, int(14 * figure.get_figwidth()))  # letters of 9 points in an inch
        figure.supxlabel(wrapped, x=0.01, ha="left", fontsize=9, color=GRAY)


def _save(figure: Figure, target: Path) -> None:
    for axes in figure.axes:
        axes.spines[["top", "right"]].set_visible(False)
    with whole_file(target) as partial:
        figure.savefig(partial, format="png", dpi=130, metadata={"Software": None})
