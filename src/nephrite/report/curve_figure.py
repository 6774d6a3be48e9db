"""The chart of data equivalence: score against number of real patients, with and without synthetic data."""

from __future__ import annotations

import textwrap
from collections.abc import Sequence
from functools import partial
from pathlib import Path

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FixedFormatter, FixedLocator, NullLocator

from nephrite.files import whole_file
from nephrite.report.comparison_record import CurvePointRecord, EquivalenceRecord
from nephrite.report.figures import BAND, COLORS, GRAY
from nephrite.report.trial_record import PlanRecord
from nephrite.report.wording import in_percent, measure_text
from nephrite.verdict.power_law import straightened
from nephrite.verdict.statistics import MINIMUM_CELLS, MINIMUM_PATIENTS

REFERENCE, SYNTHETIC = COLORS[0], COLORS[4]
SMOOTH = 100  # places at which the curve is drawn
APART = 1.02  # factor by which the two arms' marks are moved apart, so that no interval hides the other


def equivalence_plot(plan: PlanRecord, entries: Sequence[EquivalenceRecord], target: Path) -> None:
    """Draw both arms with their intervals, the curve, and the equivalence read off it; a panel for each segmenter.

    Args:
        plan: the trial's.
        entries: the trial's equivalence, one for each segmenter.
        target: the PNG file to write.
    """
    figure = Figure(figsize=(8.5, 1.2 + 4.4 * len(entries)), layout="constrained")
    for axes, found in zip(figure.subplots(len(entries), 1, squeeze=False)[:, 0], entries, strict=True):
        _panel(axes, found)
        axes.set_ylabel(measure_text(plan))
        segmenter = f"{found.segmenter}: " if len(entries) > 1 else ""
        axes.set_title(textwrap.fill(segmenter + found.sentence, 105), loc="left", fontsize=10)
    legend = textwrap.fill(_legend(entries, in_percent(plan.confidence)), 135)
    figure.supxlabel(legend, x=0.01, ha="left", fontsize=9, color=GRAY)
    with whole_file(target) as partial:
        figure.savefig(partial, format="png", dpi=130, metadata={"Software": None})


def _panel(axes: Axes, found: EquivalenceRecord) -> None:
    # equivalence behind curve and points
    counts = [point.patients for point in found.reference]
    _equivalence(axes, found)
    grid = np.unique(np.concatenate([counts, np.geomspace(counts[0], counts[-1], SMOOTH)]))
    axis = partial(straightened, exponent=found.exponent or 0.0)
    curve = np.interp(axis(grid), axis(np.array(counts, dtype=float)), found.curve)
    axes.plot(grid, curve, color=REFERENCE, linewidth=1.5, zorder=2)
    _points(axes, found.reference, moved=1 / APART, color=REFERENCE, marker="o", name=found.against)
    _points(axes, found.synthetic, moved=APART, color=SYNTHETIC, marker="D", name=found.training_set)
    # axes: one tick per number of patients
    axes.set_xscale("log")
    axes.xaxis.set_major_locator(FixedLocator(counts))
    axes.xaxis.set_major_formatter(FixedFormatter([str(count) for count in counts]))
    axes.xaxis.set_minor_locator(NullLocator())
    axes.set_xlim(counts[0] / 1.15, counts[-1] * 1.15)
    axes.set_xlabel("real training patients (logarithmic)")
    axes.spines[["top", "right"]].set_visible(False)
    axes.legend(loc="best", frameon=False)


def _points(
    axes: Axes, points: Sequence[CurvePointRecord], *, moved: float, color: str, marker: str, name: str
) -> None:
    places, means = [moved * point.patients for point in points], [point.mean for point in points]
    axes.plot(places, means, linestyle="none", marker=marker, color=color, markersize=8, label=name, zorder=4)
    for place, point in zip(places, points, strict=True):
        if point.low is not None and point.high is not None:
            axes.plot([place, place], [point.low, point.high], color=color, linewidth=2, zorder=3)


def _equivalence(axes: Axes, found: EquivalenceRecord) -> None:
    """A band over the interval, and an arrow from the synthetic arm to the curve or beyond; nothing if not judged.

    Of what is judged, a number of patients that is None lies beyond the curve.
    """
    if not _is_judged(found):
        return
    # band: the interval, open towards more patients than the curve has
    start, largest = found.start, found.largest
    low = largest if found.low is None else start + found.low
    high = largest if found.high is None else start + found.high
    axes.axvspan(low, high * 1.15 if found.high is None else high, color=BAND, linewidth=0, zorder=0)
    # arrow: from the real patients to their equivalent
    if found.more == 0:
        return
    level = next(point.mean for point in found.synthetic if point.patients == start)
    reach = largest * 1.12 if found.more is None else start + found.more
    arrow = {"arrowstyle": "->", "color": SYNTHETIC, "linewidth": 1.5, "shrinkA": 0, "shrinkB": 0}
    axes.annotate("", xy=(reach, level), xytext=(start, level), arrowprops=arrow, zorder=3)
    if found.more is not None:
        axes.axvline(reach, color=SYNTHETIC, linewidth=1, linestyle=":", zorder=1)


def _is_judged(found: EquivalenceRecord) -> bool:
    return found.cells >= MINIMUM_CELLS and found.test_patients >= MINIMUM_PATIENTS


def _legend(entries: Sequence[EquivalenceRecord], confidence: str) -> str:
    words = [f"Mark and line: mean and {confidence} interval over cells and patients."]
    if any(_is_judged(found) for found in entries):
        words.append(f"Shaded: {confidence} interval of the equivalence, from differences paired by cell and patient;")
        words.append("so it is narrower than the lines suggest.")
    law = ", and between them an inverse power law" if any(found.exponent for found in entries) else ""
    words.append(f"Blue curve: the reference's means, made never to fall{law}.")
    return " ".join(words)
