"""Write docs/gallery.md from the published trials' own records: `make docs`."""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

from nephrite.report.trial_file import read_trial
from nephrite.report.trial_record import TrialRecord

ROOT = Path(__file__).resolve().parent.parent
PAGE, RESULTS = ROOT / "docs" / "gallery.md", ROOT / "docs" / "results"
HEAD = """# A gallery of verdicts

Every trial on real scans that was run, whatever it said. Written by `make docs` from the trials' records; do not edit
by hand. The interval decides the word: above zero *helps*, below *hurts*, else *no evidence*. How each was run, and
what else it says, is in [results on real scans](results/README.md). Two controls whose answers are known stand in
[the demo](demo.md).

| trial | comparison | difference [interval] | verdict |
|---|---|---|---|
"""
WITHDRAWN = (
    "What it says of lesions in new places is "
    "[withdrawn](results/README.md#withdrawn-what-the-nodule-trials-said-of-lesions-in-new-places)."
)


class Entry(NamedTuple):
    """What a reader should know before the figure."""

    title: str
    sentence: str
    withdrawn: bool = False


ENTRIES = {
    "elsewhere": Entry(
        "Kidneys at another hospital",
        "Tumors are drawn at kidneys that have none. 7 patients are labeled; those of another hospital are judged.",
    ),
    "lidc-fractions": Entry(
        "Lung nodules, few labels",
        "Nodules are painted onto lesion-free scans, for 0, 3, 7 and 21 labeled patients. The headline is at 3.",
    ),
    "lidc-learned": Entry(
        "Lung nodules, a painter that learns",
        "A network that was trained on the three labeled patients paints new nodules into their slices.",
    ),
    "lidc-nnunet": Entry(
        "Lung nodules, nnU-Net",
        "The same painted nodules, and a set that TorchIO made, with nnU-Net as the segmenter.",
    ),
    "lidc-new-patients": Entry(
        "Lung nodules, new patients",
        "The first look at patients whom no earlier trial had seen, with 3 labeled ones.",
    ),
    "curvas": Entry("Kidneys, deformed masks", "Slices are painted from deformed masks of the same five patients."),
    "lidc-longer": Entry(
        "Nodule patches, trained longer",
        "Slices are painted on scans without labels, as a labeler reads them, and screened.",
        withdrawn=True,
    ),
    "lidc-all-accepted": Entry(
        "Nodule patches, all slices accepted", "The same recipe with screening that rejects nothing.", withdrawn=True
    ),
    "lidc": Entry("Nodule patches", "The same recipe, trained for fewer steps, and screened.", withdrawn=True),
    "lidc-new-lesions": Entry(
        "Nodule patches, lesions in new places", "New nodules are painted wherever they fit.", withdrawn=True
    ),
}


def gallery_page() -> str:
    """The whole page as Markdown."""
    trials = {name: read_trial(RESULTS / name / "trial.json") for name in ENTRIES}
    rows = "".join(_row(ENTRIES[name], trial) for name, trial in trials.items())
    return HEAD + rows + "".join(_shown(name, ENTRIES[name], trial) for name, trial in trials.items())


def _row(entry: Entry, trial: TrialRecord) -> str:
    answer = trial.answer
    assert answer is not None
    link = f"[{entry.title}](#{entry.title.lower().replace(',', '').replace(' ', '-')})"
    mark = " (withdrawn in part)" if entry.withdrawn else ""
    versus = f"{answer.training_set} minus {answer.against}"
    return f"| {link} | {versus} | {_difference(trial)} | **{answer.verdict}**{mark} |\n"


def _difference(trial: TrialRecord) -> str:
    answer = trial.answer
    assert answer is not None
    assert answer.low is not None
    assert answer.high is not None
    interval = f"[{answer.low:+.3f}, {answer.high:+.3f}]"
    return f"{answer.mean:+.3f} {interval}, {100 * trial.plan.confidence:.4g} %"


def _shown(name: str, entry: Entry, trial: TrialRecord) -> str:
    folder = f"results/{name}"
    headline = trial.headline.replace("initialisation", "initialization")  # earlier versions spelled it so
    words = " ".join([entry.sentence, headline, *([WITHDRAWN] if entry.withdrawn else [])])
    figure = f"![Differences to the reference, with intervals]({folder}/figures/differences.png)"
    links = f"[The whole report]({folder}/report.md), [trial.json]({folder}/trial.json)."
    return f"\n## {entry.title}\n\n{words} {links}\n\n{figure}\n"


if __name__ == "__main__":
    PAGE.write_text(gallery_page(), encoding="utf-8")
