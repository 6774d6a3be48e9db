"""The chart of data equivalence: score against number of real patients, with and without synthetic data."""

from __future__ import annotations

import math
import textwrap
from collections.abc import Sequence
from pathlib import Path

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FixedFormatter, FixedLocator, NullLocator

from nephrite.evaluation.equivalence import CurvePoint, Equivalence
from nephrite.evaluation.figures import BAND, COLORS, GRAY
from nephrite.files import whole_file

REFERENCE, SYNTHETIC = COLORS[0], COLORS[4]
APART = 1.02  # factor by which the two arms' marks are moved apart, so that no interval hides the other


def equivalence_plot(
    found: Equivalence, target: Path, *, score: str, reference: str, synthetic: str, confidence: float = 0.95
) -> None:
    """Draw both arms with their intervals, the curve, and the equivalence that is read off it.

    Args:
        found: see `equivalence.data_equivalence`.
        target: the PNG file to write.
        score: what is scored, e.g. '3-D Dice of tumor'.
        reference: name of the arm without synthetic data.
        synthetic: name of the arm with it.
        confidence: of the intervals.
    """
    figure = Figure(figsize=(8.5, 5.6), layout="constrained")
    axes = figure.subplots()
    counts = [point.patients for point in found.reference]
    _equivalence(axes, found)
    axes.plot(counts, found.curve, color=REFERENCE, linewidth=1.5, zorder=2)
    _points(axes, found.reference, moved=1 / APART, color=REFERENCE, marker="o", name=reference)
    _points(axes, found.synthetic, moved=APART, color=SYNTHETIC, marker="D", name=synthetic)
    axes.set_xscale("log")
    axes.xaxis.set_major_locator(FixedLocator(counts))
    axes.xaxis.set_major_formatter(FixedFormatter([str(count) for count in counts]))
    axes.xaxis.set_minor_locator(NullLocator())
    axes.set_xlim(counts[0] / 1.15, counts[-1] * 1.15)
    axes.set_xlabel("real training patients (logarithmic)")
    axes.set_ylabel(score)
    axes.spines[["top", "right"]].set_visible(False)
    axes.legend(loc="best", frameon=False)
    figure.suptitle(textwrap.fill(found.sentence, 110), x=0.01, ha="left", fontsize=11)
    figure.supxlabel(textwrap.fill(_legend(found, confidence), 135), x=0.01, ha="left", fontsize=9, color=GRAY)
    with whole_file(target) as partial:
        figure.savefig(partial, format="png", dpi=130, metadata={"Software": None})


def _points(axes: Axes, points: Sequence[CurvePoint], *, moved: float, color: str, marker: str, name: str) -> None:
    places, means = [moved * point.patients for point in points], [point.score.mean for point in points]
    axes.plot(places, means, linestyle="none", marker=marker, color=color, markersize=8, label=name, zorder=4)
    for place, point in zip(places, points, strict=True):
        if point.score.low is not None and point.score.high is not None:
            axes.plot([place, place], [point.score.low, point.score.high], color=color, linewidth=2, zorder=3)


def _equivalence(axes: Axes, found: Equivalence) -> None:
    """A band over the interval, and an arrow from the synthetic arm to the curve, or to its end and on."""
    if found.low is not None and found.high is not None:
        ends = [found.start + min(more, found.largest - found.start) for more in (found.low, found.high)]
        ends = [ends[0], ends[1] * 1.15] if math.isinf(found.high) else ends
        axes.axvspan(*ends, color=BAND, linewidth=0, zorder=0)
    level = next(point.score.mean for point in found.synthetic if point.patients == found.start)
    if not found.more:
        return
    reach = found.largest * 1.12 if math.isinf(found.more) else found.start + found.more
    arrow = {"arrowstyle": "->", "color": SYNTHETIC, "linewidth": 1.5, "shrinkA": 0, "shrinkB": 0}
    axes.annotate("", xy=(reach, level), xytext=(found.start, level), arrowprops=arrow, zorder=3)
    if math.isfinite(found.more):
        axes.axvline(reach, color=SYNTHETIC, linewidth=1, linestyle=":", zorder=1)


def _legend(found: Equivalence, confidence: float) -> str:
    words = [f"Mark and line: mean and {confidence:.0%} interval over cells and test patients."]
    if found.low is not None:
        words.append(
            f"Shaded: {confidence:.0%} interval of the equivalence, from differences paired by cell and patient;"
        )
        words.append("so it is narrower than the lines suggest.")
    words.append("Blue curve: the reference's means, made never to fall.")
    return " ".join(words)
