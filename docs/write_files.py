"""Write docs/files.md, what each output is, who writes it and who reads it, from the table of stages: `make docs`."""

from __future__ import annotations

from pathlib import Path

from nephrite.signatures import PATHS, STAGES

ROOT = Path(__file__).resolve().parent.parent
PAGE = ROOT / "docs" / "files.md"
HEAD = """# Files

Written by `make docs` from the table of stages; do not edit by hand. Places are below the trial's folder
(`results/NAME` for `nephrite trial`), or below the project for `dvc repro`. `PAINTER` stands for
`SYNTHESIZER/FRACTION/CELL`, `ARM` for `SET/SEGMENTER/FRACTION/CELL`: [words](words.md).

Every folder of ours carries a mark, `.written-by-nephrite`. Nothing without it is replaced
([Reliability](reliability.md)).
A name that ends in `.partial` is an output that is being written, or was when the power went.

"""
PLACES = {  # path of a stage to where `nephrite trial` and `dvc repro` put it; see nephrite.layout
    "raw": "data/raw",
    "pairs": "data/prepared",
    "synthesizer": "models/synthesizers/PAINTER",
    "painted": "data/painted/PAINTER",
    "synthetic": "data/synthetic/PAINTER",
    "segmenter": "models/segmenters/ARM",
    "scores": "scores/ARM.json",
    "predictions": "predictions/ARM",
    "report": "reports",
    "promotion": "promotion/decision.json",
}
SAME = {
    "segmenters": "segmenter",
    "teacher": "segmenter",
}  # paths that name outputs of one kind together, or one of them
INSIDE = {
    "data/raw": {
        "CASE/imaging.nii.gz, CASE/segmentation.nii.gz": "a scan and its label map, as `acquire` brought them",
        "unlabeled/, lesion_free/, external/, synthetic/": "the other groups of scans, where the settings name them",
        "patients.csv": "whose each scan is, where patients have several",
    },
    "data/prepared": {
        "patients/PATIENT/image.npy, label.npy": "slices in the trial's grid: stored intensities, label values",
        "patients/PATIENT/meta.json": "spacing, intensity window, SHA-256 of the raw files",
        "index.csv": "a line for each slice: split, pixels of each class",
        "split.json": "which split each patient is in, and by which rule",
        "store.json": "the record: digests of all files, classes, channels",
    },
    "models/synthesizers/PAINTER": {
        "synthesizer.json": "the card: method, patients that it learned from, digests",
        "generator.safetensors, history.json, samples/": "weights, losses by epoch, and what it painted meanwhile",
    },
    "data/synthetic/PAINTER": {
        "patients/, index.csv, split.json, store.json": "the accepted slices, with the patients that each derives from",
        "screening.csv, screening.json, screening.html": "each slice and why it was rejected; sums; both as a page",
    },
    "models/segmenters/ARM": {
        "segmenter.json": "the card: settings, patients, validation score, steps, digests",
        "weights.safetensors": "weights of the chosen epoch",
        "history.json": "losses and validation Dice by epoch",
    },
    "predictions/ARM": {"PATIENT/segmentation.nii.gz": "the label map that the arm found, on the scan's own voxels"},
    "reports": {
        "report.html, report.md, summary.txt": "the verdict as a page, as text, as a few lines",
        "trial.json": "the report as data ([trial.json](trial-json.md))",
        "metrics.json": "what `dvc metrics show` prints",
        "figures/": "the report's figures",
        "evidence.json": "digests of all of these, and of what they rest on ([Evidence](evidence.md))",
    },
}
BESIDE = """
## Beside the trial

| place | content |
|---|---|
| `params.yaml`, or the file of `--params` | the settings: all that decides what is done |
| `.done/` | which jobs are finished, and what they depended on; by it `nephrite trial` goes on |
| `mlflow.db`, `mlruns/` | runs and models ([Runs and models in MLflow](tracking.md)); of the working folder |
| `data/looks.json` | how often the test patients were looked at ([looks](trial.md#looks)); keep it in version control |
| `.nephrite/patients.json` | pseudonyms and their salt ([Privacy](privacy.md)); never passed on |
| `resolved/`, `code.lock` | what each job depends on, and digests of the code, for DVC |
| `OUTPUT.record` | what MLflow did not take while it was away; `nephrite upload` sends it |
"""


def files_page() -> str:
    """The whole page as Markdown."""
    rows = "".join(_row(name, place) for name, place in PLACES.items())
    parts = [HEAD, f"| place | what it is | written by | read by |\n|---|---|---|---|\n{rows}"]
    for place, files in INSIDE.items():
        lines = "".join(f"| `{file}` | {text} |\n" for file, text in files.items())
        parts.append(f"\n## {place}\n\n| file | content |\n|---|---|\n{lines}")
    return "".join([*parts, BESIDE])


def _row(name: str, place: str) -> str:
    known = {name, *(other for other, same in SAME.items() if same == name)}
    writers = [stage for stage, signature in STAGES.items() if name in (signature.output, signature.beside)]
    readers = [stage for stage, signature in STAGES.items() if known & set(signature.inputs)]
    return f"| `{place}` | {PATHS[name]} | {_listed(writers)} | {_listed(readers)} |\n"


def _listed(stages: list[str]) -> str:
    return ", ".join(f"`{stage.replace('_', '-')}`" for stage in stages) or "whoever looks"


if __name__ == "__main__":
    PAGE.write_text(files_page(), encoding="utf-8")
