"""`nephrite verify`: whether finished outputs are whole and unchanged. Every byte that their records name is read.

Also compared is whether the outputs of a trial belong together: each record names the records of what it was made from.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from nephrite.errors import NephriteError, StoreError
from nephrite.evidence import EVIDENCE, Evidence, changed_files, digest_files, read_sealed, sealed
from nephrite.files import PARTIAL, as_record, read_json
from nephrite.generation.synthesizers import AGAIN as PAINT_AGAIN
from nephrite.generation.synthesizers import CARD as SYNTHESIZER
from nephrite.generation.synthesizers import read_synthesizer_card
from nephrite.layout import Layout
from nephrite.metrics.scores import read_scores
from nephrite.report.trial_file import AGAIN as REPORT_AGAIN
from nephrite.report.trial_file import read_trial
from nephrite.segmentation.artifacts import CARD as SEGMENTER
from nephrite.segmentation.artifacts import REMEDY as TRAIN_AGAIN
from nephrite.segmentation.artifacts import read_card
from nephrite.store.records import BROUGHT
from nephrite.store.slices import MANIFEST, PairStore, read_manifest
from nephrite.verdict.promotion import PastDecision

TRIAL, DECISION = "trial.json", "decision.json"
SCORE_AGAIN, PROMOTE_AGAIN = "run 'evaluate' again", "run 'promote' again"
OLDER = "an older version wrote it: it holds no digests, so that changes of its bytes are not seen"


@dataclass(frozen=True)
class Output:
    """A finished output, and what is wrong with it.

    Attributes:
        place: its folder or file.
        kind: 'pairs', 'synthetic', 'synthesizer', 'segmenter', 'scores', 'report' or 'decision'.
        name: by which other records name it.
        inputs: what it was made from: name to digest.
        files: how many files its record answers for.
        remedy: which stage makes it again.
        problems: one line each; none of an output that is whole and unchanged.
        note: what else a reader must know.
    """

    place: Path
    kind: str
    name: str
    inputs: Mapping[str, str]
    files: int
    remedy: str
    problems: tuple[str, ...] = ()
    note: str = ""

    @property
    def line(self) -> str:
        """The output in one line."""
        if self.problems:
            first, more = self.problems[0], len(self.problems) - 1
            return " ".join(f"CHANGED {first}{f' (and {more} more)' if more else ''}".split())
        counted = f"{self.kind}, {self.files} file{'' if self.files == 1 else 's'}"
        return f"ok      {self.place} ({counted}){f': {self.note}' if self.note else ''}"


def verify(folder: Path) -> list[Output]:
    """Every finished output below a folder: a trial's, or that of a single stage.

    Raises:
        StoreError: the folder is missing or holds no output.
    """
    # a trial's folder has known places; any other is looked through
    layout, outputs = Layout(folder), list[Output]()
    if not folder.exists():
        raise StoreError(folder, "is missing", "name the folder of a trial, or of a stage's output")
    if places := [] if _record_in(folder) else _places(layout):
        outputs = [output for place in places for output in _outputs(place)]
        outputs = [_chained(output, outputs) for output in outputs]
        outputs += _missing(layout, outputs) + _raw(layout)
    else:
        outputs = [*_outputs(folder)]
    if not outputs:
        raise StoreError(folder, "holds no finished output", "name the folder of a trial, or of a stage's output")
    return outputs


def _places(layout: Layout) -> list[Path]:
    data, models = layout.root / "data", layout.root / "models"
    places = [
        layout.pairs,
        layout.pairs / BROUGHT,
        models / "synthesizers",
        data / "painted",
        layout.synthetic_sets,
        layout.segmenters,
    ]
    return [place for place in (*places, layout.scores, layout.report, layout.promotion) if place.exists()]


def _record_in(folder: Path) -> Path | None:
    """The record of an output's own folder."""
    return next((folder / name for name in READERS if (folder / name).is_file()), None)


def _outputs(place: Path) -> Iterator[Output]:
    """The outputs in a folder, or that of a record: files beside no other record are scores."""
    if place.is_file():
        yield _read(place)
        return
    if record := _record_in(place):
        yield _read(record)
        return
    for path in sorted(place.iterdir()):
        if path.is_dir() and not path.name.endswith(PARTIAL):
            yield from _outputs(path)
        elif path.suffix == ".json":
            yield _read(path)


def _read(record: Path) -> Output:
    """One output; what cannot be read is a problem of it."""
    reader, kind, remedy = READERS.get(record.name, (_scores, "scores", SCORE_AGAIN))
    try:
        return reader(record)
    except NephriteError as error:
        place = record if kind in ("scores", "decision") else record.parent
        return Output(place, kind, "", {}, 0, remedy, (str(error),))


def _checked(output: Output, root: Path, files: Mapping[str, str]) -> Output:
    """The output with the problems of its files."""
    if not files:
        return replace(output, note=OLDER)
    found = tuple(f"{path}: {finding}; {output.remedy}" for path, finding in changed_files(root, files))
    return replace(output, files=len(files), problems=found)


def _store(record: Path) -> Output:
    root, manifest = record.parent, read_manifest(record.parent)
    kind = "pairs" if manifest.kind == "real" else "synthetic"
    output = Output(root, kind, manifest.digest, manifest.inputs, 0, manifest.remedy)
    output = _checked(output, root, manifest.files)
    if output.problems:
        return output
    # what the bytes say, by the same reader as the stages'
    store = PairStore(root)
    for patient in store.patients():
        for read in (store.patient, store.image, store.label):
            read(patient)
    slices = len(store.index)  # reads the table
    return replace(output, note=output.note or f"{len(store.splits)} patients, {slices} slices")


def _segmenter(record: Path) -> Output:
    card = read_card(record.parent)
    output = Output(record.parent, "segmenter", card.digest, card.inputs, 1, TRAIN_AGAIN)
    return _checked(output, record.parent, card.files)


def _synthesizer(record: Path) -> Output:
    card = read_synthesizer_card(record.parent)
    output = Output(record.parent, "synthesizer", card.origin, card.inputs, 1, PAINT_AGAIN)
    return _checked(output, record.parent, card.files)


def _scores(record: Path) -> Output:
    scores = read_scores(record)
    note = "" if scores.inputs else OLDER
    return Output(record, "scores", scores.digest, scores.inputs, 1, SCORE_AGAIN, note=note)


def _report(record: Path) -> Output:
    root = record.parent
    read_trial(root / TRIAL)
    if not (root / EVIDENCE).is_file():
        return Output(root, "report", "", {}, 1, REPORT_AGAIN, note=OLDER)
    evidence = read_sealed(root / EVIDENCE, Evidence, REPORT_AGAIN)
    output = Output(root, "report", evidence.digest, evidence.inputs, 1, REPORT_AGAIN)
    return _checked(output, root, evidence.files)


def _decision(record: Path) -> Output:
    content = read_json(record, PROMOTE_AGAIN)
    as_record(content, PastDecision, record, PROMOTE_AGAIN)
    if "digest" not in content and "inputs" not in content:
        return Output(record, "decision", "", {}, 1, PROMOTE_AGAIN, note=OLDER)
    if sealed(content)["digest"] != content.get("digest"):
        raise StoreError(record, "was changed after it was written", PROMOTE_AGAIN)
    return Output(record, "decision", content["digest"], content["inputs"], 1, PROMOTE_AGAIN)


READERS: Mapping[str, tuple[Callable[[Path], Output], str, str]] = {
    MANIFEST: (_store, "store", "run the stage that writes it again"),
    SEGMENTER: (_segmenter, "segmenter", TRAIN_AGAIN),
    SYNTHESIZER: (_synthesizer, "synthesizer", PAINT_AGAIN),
    TRIAL: (_report, "report", REPORT_AGAIN),
    EVIDENCE: (_report, "report", REPORT_AGAIN),
    DECISION: (_decision, "decision", PROMOTE_AGAIN),
}
KINDS = {  # what an input is called, and the kind of output that it is
    "pairs": "pairs",
    "synthetic": "synthetic",
    "painted": "synthetic",
    "brought": "synthetic",
    "synthesizer": "synthesizer",
    "segmenter": "segmenter",
    "segmenters": "segmenter",
    "scores": "scores",
    "report": "report",
}


def _chained(output: Output, others: list[Output]) -> Output:
    """The output with a problem for each input that is there, but not as it was."""
    problems = []
    for name, digest in output.inputs.items():
        known = {other.name for other in others if other.kind == KINDS.get(name.partition("/")[0])}
        if known and digest not in known:
            finding = f"was made from '{name}' of digest {digest[:12]}..., which lies here no more"
            problems.append(f"{output.place}: {finding}; {output.remedy}")
    return replace(output, problems=(*output.problems, *problems))


def _missing(layout: Layout, outputs: list[Output]) -> list[Output]:
    """What a finished trial lacks: all that its report rests on, and the report itself."""
    reports = [output for output in outputs if output.kind == "report"]
    if not reports:
        problem = f"{layout.report}: is missing; run 'report'"
        return [Output(layout.report, "report", "", {}, 0, REPORT_AGAIN, (problem,))]
    places = {
        "pairs": (layout.pairs, "prepare"),
        "scores": (layout.scores, "evaluate"),
        "segmenters": (layout.segmenters, "train_segmenter"),
        "synthetic": (layout.synthetic_sets, "screen"),
    }
    found = []
    for name in reports[0].inputs:
        kind, _, part = name.partition("/")
        root, stage = places.get(kind, (layout.root, "report"))
        place = root / (f"{part}.json" if kind == "scores" else part)
        if not place.exists():
            problem = f"{place}: is missing; run '{stage}' again"
            found.append(Output(place, KINDS.get(kind, kind), "", {}, 0, "", (problem,)))
    return found


def _raw(layout: Layout) -> list[Output]:
    """Whether the raw volumes, where they are kept, are those that 'prepare' read."""
    if not layout.raw.is_dir() or not (layout.pairs / MANIFEST).is_file():
        return []
    try:
        store = PairStore(layout.pairs)
        wanted = {patient: {*store.patient(patient).sources.values()} for patient in store.patients()}
    except NephriteError:
        return []  # told of the store itself
    names = [path.relative_to(layout.raw).as_posix() for path in layout.raw.rglob("*") if path.is_file()]
    held = {*digest_files(layout.raw, names).values()}
    lacking = [patient for patient, digests in wanted.items() if digests - held]
    output = Output(layout.raw, "raw volumes", "", {}, len(names), "run 'acquire' and 'prepare' again")
    finding = "are not those that 'prepare' read"
    problems = (f"{layout.raw}: files of '{patient}' {finding}; {output.remedy}" for patient in lacking)
    return [replace(output, problems=tuple(problems))]
