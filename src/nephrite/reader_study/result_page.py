"""The result of a reader study as Markdown, for the page, and the pictures in it."""

from __future__ import annotations

import io
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from matplotlib.figure import Figure
from PIL import Image

from nephrite.reader_study.answers import RATINGS
from nephrite.reader_study.result import ReaderResult, SliceResult, StudyResult
from nephrite.reader_study.scoring import Estimate
from nephrite.reader_study.study import Study, picture_file
from nephrite.report.figures import save_figure
from nephrite.words import counted, markdown_table

MOST, ACROSS = 8, 4  # slices of a figure, and in a row of it
FOOLED, FOUND = "figures/fooled.png", "figures/found.png"
DIGITS = 12  # of a digest


def most_fooling(result: StudyResult) -> list[SliceResult]:
    """Synthetic slices that most readers called real, those of most readers first."""
    slices = [each for each in result.slices if each.synthetic and each.called_synthetic < result.finished]
    return sorted(slices, key=lambda each: (each.called_synthetic, each.number))[:MOST]


def found_by_all(result: StudyResult) -> list[SliceResult]:
    """Synthetic slices that every reader called synthetic."""
    slices = [each for each in result.slices if each.synthetic and each.called_synthetic == result.finished]
    return slices[:MOST] if result.finished else []


def draw_slices(root: Path, slices: Sequence[SliceResult], finished: int, target: Path) -> None:
    """Draw some slices, each with how many readers called it real.

    Args:
        root: folder of the study.
        slices: at least one.
        finished: how many readers there are.
        target: the PNG file to write.
    """
    rows = -(-len(slices) // ACROSS)
    figure = Figure(figsize=(2.1 * ACROSS, 2.4 * rows), layout="constrained")
    panels = figure.subplots(rows, ACROSS, squeeze=False)
    for axes, each in zip(panels.flat, slices, strict=False):
        content = (root / picture_file(each.number)).read_bytes()
        axes.imshow(np.asarray(Image.open(io.BytesIO(content))), cmap="gray", vmin=0, vmax=255, interpolation="nearest")
        axes.set_title(f"{each.number}: {finished - each.called_synthetic} of {finished} said real", fontsize=9)
    for axes in panels.flat:
        axes.set_axis_off()
    save_figure(figure, target)


def result_markdown(study: Study, result: StudyResult, pictures: Sequence[str]) -> str:
    """The page's text.

    Args:
        study: what was shown.
        result: what came out.
        pictures: those of `FOOLED` and `FOUND` that were drawn.
    """
    notes = "\n".join(f"* {note}" for note in result.notes)
    parts = ["# Reader study: real or synthetic?", result.sentence, *([notes] if notes else [])]
    parts += ["## Readers", _readers(result), *_together(result)]
    if result.finished:
        parts += ["## Synthetic slices that fooled most", _sheet(most_fooling(result), FOOLED, result, pictures)]
        parts += ["## Synthetic slices that all readers found", _sheet(found_by_all(result), FOUND, result, pictures)]
    return "\n\n".join([*parts, "## What was shown, and how it is judged", _facts(study), _method()]) + "\n"


def summary_text(study: Study, result: StudyResult, names: Sequence[str]) -> str:
    """The result for the terminal, which alone tells the readers' pseudonyms."""
    rows = [
        f"  reader {each.reader} ({name}): {each.answered} of {len(study.slices)} judged, right in "
        f"{_shown(each.accuracy, percent=True)}"
        for name, each in zip(names, result.readers, strict=True)
    ]
    kappa = [f"  agreement: {_agreement(result)}"] if result.agreement else []
    return "\n".join([result.sentence, *rows, *kappa, *(f"  {note}" for note in result.notes)])


def _readers(result: StudyResult) -> str:
    named = ["accuracy", "synthetic called synthetic", "real called real", "area under ROC"]
    rows = [_row(each) for each in result.readers]
    if result.finished > 1:
        shares = ["" if share is None else f"{share:.2f}" for share in (result.sensitivity, result.specificity)]
        rows.append(["together", "", _shown(result.accuracy), *shares, _shown(result.area), ""])
    head = ["reader", "slices", *named, "seconds a slice"]
    return markdown_table(head, rows)


def _row(each: ReaderResult) -> list[str]:
    figures = (each.accuracy, each.sensitivity, each.specificity, each.area)
    return [str(each.reader), str(each.answered), *map(_shown, figures), f"{each.seconds:.1f}"]


def _shown(found: Estimate | None, *, percent: bool = False) -> str:
    if found is None:
        return ""
    if percent:
        return f"{found.value:.1%} [{found.low:.1%}, {found.high:.1%}]"
    return f"{found.value:.2f} [{found.low:.2f}, {found.high:.2f}]"


def _together(result: StudyResult) -> list[str]:
    return [f"Agreement of readers who finished: {_agreement(result)}."] if result.agreement else []


def _agreement(result: StudyResult) -> str:
    found = result.agreement
    assert found
    kappa = "kappa is not defined, since a reader gave one answer alone"
    if found.kappa is not None:
        kappa = f"Cohen's kappa {found.kappa:.2f}{f', mean of {found.pairs} pairs' if found.pairs > 1 else ''}"
    return f"{kappa}; {found.share:.0%} of answers the same"


def _sheet(slices: Sequence[SliceResult], file: str, result: StudyResult, pictures: Sequence[str]) -> str:
    if file not in pictures:
        return "None."
    of = result.finished
    told = ", ".join(f"{each.number} ({of - each.called_synthetic} of {of})" for each in slices)
    text = f"Synthetic slices; by number, how many readers called each real: {told}"
    return f'![{text}]({file} "Above each slice: its number, and how many readers called it real")'


def _facts(study: Study) -> str:
    count, digests = study.asked.count, study.inputs
    rows = [
        ["painter", f"`{study.painter}`"],
        ["real slices", f"{count} of {counted(study.real_patients, 'patient')}"],
        ["synthetic slices", f"{count} of {counted(study.synthetic_patients, 'patient')}"],
        ["seed", str(study.asked.seed)],
        *([f"digest of {name}", f"`{digest[:DIGITS]}`"] for name, digest in digests.items()),
        ["digest of the study", f"`{study.digest[:DIGITS]}`"],
    ]
    return markdown_table(["fact", "value"], rows)


def _method() -> str:
    return (
        f"Each reader saw all slices in an order of their own and rated each: {', '.join(RATINGS.values()).lower()}. "
        "Intervals are of 95 %. Those of one reader's shares are exact (Clopper and Pearson 1934). Those of an area "
        "under the ROC curve, and of readers together, take readers and slices as a sample, since all saw the same "
        "slices: jackknife pseudovalues (Dorfman, Berbaum, Metz 1992) in a crossed model (Hillis 2007). Kappa of more "
        "than two readers is the mean over pairs (Light 1971). A study of this kind is known as a visual Turing test "
        "(Chuquicusma et al. 2018); it says whether slices look real, and not whether they help a segmenter."
    )
