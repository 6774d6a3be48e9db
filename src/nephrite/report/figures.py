"""Figures of the report, drawn without a display and without pyplot's global state.

Colors are those of Okabe and Ito (2008), which people with any common color vision can tell apart; markers differ too.
"""

from __future__ import annotations

import itertools
import textwrap
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Literal

import numpy as np
from jaxtyping import Float, UInt8
from matplotlib.axes import Axes
from matplotlib.colors import ListedColormap
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Patch

from nephrite.config import Arm
from nephrite.files import whole_file
from nephrite.report.trial_record import TrialRecord
from nephrite.report.web.alternatives import EXAMPLES
from nephrite.report.wording import group_name, in_percent, patients_text
from nephrite.words import counted

COLORS = ("#0072B2", "#E69F00", "#009E73", "#CC79A7", "#D55E00", "#56B4E9", "#F0E442")
LINES: tuple[Literal["-", "--", ":"], ...] = ("-", "--", ":")
MARKERS = ("o", "s", "^", "D", "v", "P", "X")
MOST_LINES = 3  # most cells whose curves are drawn one by one
GRAY = "#6b6b6b"
BAND = "#d6e4f0"
Curve = Sequence[tuple[int, float]]
Triplet = tuple[UInt8[np.ndarray, "height width"], Float[np.ndarray, "height width"], Float[np.ndarray, "height width"]]


def score_plot(trial: TrialRecord, target: Path) -> None:
    """Draw the Dice of every test patient in every arm, one panel for each segmenter and label fraction.

    Args:
        trial: the record.
        target: the PNG file to write.
    """
    # a panel per segmenter and label fraction
    groups = list(dict.fromkeys(group_name(trial, arm) for arm in trial.arms))
    sets = list(dict.fromkeys(arm.training_set for arm in trial.arms))
    columns = min(3, len(groups))
    lines = -(-len(groups) // columns)
    size = (3.2 + 3.0 * columns, 1.2 + lines * (1.0 + 0.42 * len(sets)))
    figure = Figure(figsize=size, layout="constrained")
    panels = figure.subplots(lines, columns, sharex=True, sharey=True, squeeze=False).flat
    for axes, group in itertools.zip_longest(panels, groups):
        if group is None:
            axes.set_visible(False)
            continue
        # a row per training set
        arms = {arm.training_set: arm for arm in trial.arms if group_name(trial, arm) == group}
        dice = {name: trial.dice_by_patient(arm) for name, arm in arms.items()}
        _patient_lines(axes, [(sets.index(name), dice[name]) for name in sets if name in arms])
        for name, scores in dice.items():
            _strip(axes, sets.index(name), list(scores.values()))
        axes.set_yticks(range(len(sets)), sets, fontsize=8)
        axes.set_ylim(len(sets) - 0.4, -0.6)
        axes.set_xlim(-0.03, 1.16)
        axes.set_title(group, fontsize=10)
    # titles
    figure.supxlabel(f"3-D Dice of {trial.plan.region}", fontsize=10)
    title = f"Dice of {trial.plan.region} of each {patients_text(trial.plan)}, by arm"
    dots = "Dot: one patient, mean over cells; gray lines join a patient. Bar and number: mean."
    put_title(figure, f"{title}\n{sample_caption(trial)}. {dots}")
    save_figure(figure, target)


def learning_curves(losses: Mapping[Arm, Curve], validation: Mapping[Arm, Curve], target: Path) -> None:
    """Draw training loss and validation Dice against the optimizer step, a column for each segmenter.

    Args:
        losses: arm to (step, training loss).
        validation: arm to (step, validation Dice).
        target: the PNG file to write.
    """
    # a column per segmenter and label fraction
    arms = list(dict.fromkeys([*losses, *validation]))
    several = len({arm.fraction for arm in arms}) > 1
    names = {arm: f"{arm.segmenter}, {in_percent(arm.fraction)}" if several else arm.segmenter for arm in arms}
    groups = list(dict.fromkeys(names.values()))
    sets = list(dict.fromkeys(arm.training_set for arm in arms))
    figure = Figure(figsize=(1.5 + 3.4 * len(groups), 6), layout="constrained")
    panels = figure.subplots(2, len(groups), sharex="col", sharey="row", squeeze=False)
    # losses above, validation scores below
    cells = len({arm.cell for arm in arms})
    drawn = [_over_cells(curves) if cells > MOST_LINES else curves for curves in (losses, validation)]
    for row, curves in enumerate(drawn):
        for arm, curve in curves.items():
            _curve(panels[row][groups.index(names[arm])], curve, sets.index(arm.training_set))
    for column, group in enumerate(groups):
        panels[0][column].set_title(group)
        panels[1][column].set_xlabel("optimizer step")
    panels[0][0].set_ylabel("training loss")
    panels[1][0].set_ylabel("validation Dice")
    # one legend for all panels
    handles = [
        Line2D(
            [], [], color=_color(number), linestyle=LINES[number // len(COLORS) % len(LINES)], linewidth=3, label=name
        )
        for number, name in enumerate(sets)
    ]
    columns = max(1, int(figure.get_figwidth() / (0.6 + 0.08 * max(map(len, sets)))))
    figure.legend(handles=handles, loc="outside lower center", ncols=min(len(sets), columns), frameon=False, fontsize=9)
    # title and what is shown
    put_title(figure, "How the arms learn")
    shown = "mean over them" if cells > MOST_LINES else "one line each"
    put_caption(figure, f"{counted(len(arms), 'run')}; {counted(cells, 'cell')}, {shown}.", above=True)
    save_figure(figure, target)


def example_sheet(triplets: Sequence[Triplet], classes: Mapping[int, str], target: Path) -> None:
    """Draw label map, synthetic slice and real slice below each other, one column for each example.

    Args:
        triplets: label map, the slice painted from it, and the real slice that it was marked on, both in [0, 1].
        classes: label value to class name, without background.
        target: the PNG file to write.
    """
    figure = Figure(figsize=(1.2 + 2.0 * len(triplets), 6.9), layout="constrained")
    panels = figure.subplots(3, len(triplets), squeeze=False)
    # label values become consecutive colors
    colors = ListedColormap(["black", *(_color(number + 1) for number in range(len(classes)))])
    order = np.zeros(256, dtype=np.uint8)
    order[list(classes)] = range(1, len(classes) + 1)
    # one column per example
    for column, (label_map, synthetic, real) in enumerate(triplets):
        panels[0][column].imshow(order[label_map], cmap=colors, vmin=0, vmax=len(classes), interpolation="nearest")
        for row, image in ((1, synthetic), (2, real)):
            panels[row][column].imshow(image, cmap="gray", vmin=0, vmax=1, interpolation="nearest")
    for axes in panels.flat:
        axes.set(xticks=[], yticks=[])
    for row, name in enumerate(("label map", "synthetic slice", "real slice")):
        panels[row][0].set_ylabel(name)
    # legend of the classes
    handles = [Patch(color=_color(number + 1), label=name) for number, name in enumerate(classes.values())]
    figure.legend(handles=handles, loc="outside lower center", ncols=max(1, len(handles)), frameon=False)
    put_title(figure, EXAMPLES)
    save_figure(figure, target)


def _patient_lines(axes: Axes, scores: Sequence[tuple[int, Mapping[str, float]]]) -> None:
    for patient in scores[0][1]:
        places, values = zip(*((place, arm[patient]) for place, arm in scores), strict=True)
        axes.plot(values, places, color="#c9c9c9", linewidth=0.5, alpha=0.7, zorder=0)


def _strip(axes: Axes, place: int, scores: Sequence[float]) -> None:
    marker = MARKERS[place % len(MARKERS)]
    axes.scatter(scores, [place] * len(scores), s=18, color=_color(place), marker=marker, alpha=0.7, linewidths=0)
    mean = float(np.mean(scores))
    axes.plot([mean, mean], [place - 0.32, place + 0.32], color="black", linewidth=2.5)
    axes.text(1.14, place, f"{mean:.3f}", fontsize=8, ha="right", va="center")


def _over_cells(curves: Mapping[Arm, Curve]) -> dict[Arm, Curve]:
    """The mean curve of each arm over its cells, under the name of its first cell."""
    runs: dict[tuple[str, str, float], tuple[Arm, dict[int, list[float]]]] = {}
    for arm, curve in curves.items():
        _, values = runs.setdefault((arm.training_set, arm.segmenter, arm.fraction), (arm, {}))
        for step, value in curve:
            values.setdefault(step, []).append(value)
    return {arm: [(step, float(np.mean(found))) for step, found in sorted(v.items())] for arm, v in runs.values()}


def _curve(axes: Axes, curve: Curve, number: int) -> None:
    steps, values = [step for step, _ in curve], [value for _, value in curve]
    style = LINES[number // len(COLORS) % len(LINES)]
    axes.plot(steps, values, color=_color(number), linestyle=style, linewidth=1.2, alpha=0.8)
    axes.grid(visible=True, color="#eeeeee")


def sample_caption(trial: TrialRecord) -> str:
    """'n = 14 test patients, 3 cells'."""
    sample = counted(len(trial.headline_patients), patients_text(trial.plan))
    return f"n = {sample}, {counted(len(trial.cells), 'cell')}"


def _color(number: int) -> str:
    return COLORS[number % len(COLORS)]


def put_title(figure: Figure, text: str) -> None:
    """Write the title at the left, in lines as long as the figure is wide."""
    wide = int(10.5 * figure.get_figwidth())  # letters of 11 points in an inch
    wrapped = "\n".join(textwrap.fill(line, wide) for line in text.split("\n"))
    figure.suptitle(wrapped, x=0.01, ha="left", fontsize=11)


def put_caption(figure: Figure, text: str, *, above: bool = False) -> None:
    """Write what the marks mean below the panels, or a few words in the upper right corner."""
    if above:
        figure.text(0.99, 0.99, text, ha="right", va="top", fontsize=9, color=GRAY)
    else:
        wrapped = textwrap.fill(text, int(14 * figure.get_figwidth()))  # letters of 9 points in an inch
        figure.supxlabel(wrapped, x=0.01, ha="left", fontsize=9, color=GRAY)


def save_figure(figure: Figure, target: Path) -> None:
    """Write the PNG whole; the same figure makes the same file."""
    for axes in figure.axes:
        axes.spines[["top", "right"]].set_visible(False)
    with whole_file(target) as partial:
        figure.savefig(partial, format="png", dpi=130, metadata={"Software": None})
