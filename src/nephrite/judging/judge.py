"""`nephrite judge`: arms that were trained elsewhere, by the statistics and the report of a trial."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field, replace
from pathlib import Path

from nephrite import __version__
from nephrite.config import Metric
from nephrite.errors import ConfigError, TrialError
from nephrite.evidence import write_evidence
from nephrite.files import digest, sha256, whole_folder
from nephrite.judging.given import GivenScores
from nephrite.judging.persons import hidden, of_persons
from nephrite.judging.record import judged_record
from nephrite.judging.score_file import read_score_file
from nephrite.judging.scoring import Regions, holds_dicom, score_folders
from nephrite.judging.shown import GivenScans
from nephrite.judging.tables import WHOLE, GivenTables
from nephrite.look_ledger import LENGTH, Taken, Wanted, take_look
from nephrite.ownership import check_apart, check_replaceable
from nephrite.recording import Run, SilentRun
from nephrite.report.figures import score_plot
from nephrite.report.forest_figure import forest_plot
from nephrite.report.pages import MARKDOWN, PAGE, Sections, write_pages
from nephrite.report.trial_record import LookRecord, TrialRecord
from nephrite.report.web.alternatives import FOREST, SCORES
from nephrite.report.web.patients import patient_rows, patients_markdown, shown_pair
from nephrite.report.web.provenance import provenance_markdown
from nephrite.report.wording import patients_text
from nephrite.tracking import open_apart
from nephrite.verdict.trial import TrialPlan
from nephrite.words import counted

KIND, COMMAND = "judgment", "judge"
DIGITS = 12  # of a digest that is shown
FIGURES = "figures"
NOT_COUNTED = (
    "Looks at these patients are not counted: no ledger was named (--ledger). Who compares recipe after recipe on the "
    "same patients finds a gain in the end, and these intervals do not know of it."
)


@dataclass(frozen=True)
class Source:
    """Where scores come from: a file, or label maps that are scored here.

    Attributes:
        scores: the file.
        predictions, references: folders of label maps; see `nephrite.judging.folders`.
        regions: region to its label values, none for scores; the first one decides.
        tolerance: of the surface Dice, in millimeters.
        processes: that score label maps.
        patients: table of scans and whose they are, where a patient has several: see `nephrite.judging.persons`.
        scans: folder of the scans, beside label maps: the page then shows slices.
    """

    scores: Path | None = None
    predictions: Path | None = None
    references: Path | None = None
    regions: Mapping[str, tuple[int, ...]] = field(default_factory=dict)
    tolerance: float = 2.0
    processes: int = 1
    patients: Path | None = None
    scans: Path | None = None

    @property
    def inputs(self) -> dict[str, Path]:
        """Name and place of everything that is read."""
        named = {"--scores": self.scores, "--predictions": self.predictions, "--references": self.references}
        named |= {"--patients": self.patients, "--scans": self.scans}
        return {name: path for name, path in named.items() if path is not None}

    def check(self) -> None:
        """Refuse options that do not go together.

        Raises:
            ConfigError: neither or both of file and folders, or regions that do not fit.
        """
        if (self.scores is None) == (self.predictions is None):
            finding = "is given beside --predictions" if self.scores else "is missing, and --predictions too"
            raise ConfigError("--scores", finding, "give a file of scores, or folders of label maps")
        if (self.predictions is None) != (self.references is None):
            lacks = "--references" if self.predictions else "--predictions"
            raise ConfigError(lacks, "is missing", "give both folders: predicted label maps, and the reader's")
        without = [name for name, labels in self.regions.items() if not labels]
        if self.predictions and (without or not self.regions):
            finding = f"'{without[0]}' has no label values" if without else "is missing"
            raise ConfigError("--region", finding, "give label values: --region tumor=2 --region kidney=1,2")
        if self.scans and not self.predictions:
            raise ConfigError("--scans", "is given without label maps", "give --predictions and --references too")
        if self.scores and len(without) < len(self.regions):
            raise ConfigError("--region", "has label values, and scores have none", "give the name alone")

    def read(self) -> GivenScores:
        """The scores of all arms, complete and checked; of patients, and under pseudonyms where any file is DICOM.

        Raises:
            NephriteError: see `read_score_file`, `score_folders` and `of_persons`.
        """
        if shown := self.shown:
            shown.check()
        given = self._read()
        if self.patients:
            given = of_persons(given, self.patients)
        dicom = self.predictions and self.references and holds_dicom(self.predictions, self.references)
        return hidden(given) if dicom else given

    @property
    def shown(self) -> GivenScans | None:
        """The scans that the page shows slices of."""
        if not (self.scans and self.predictions and self.references):
            return None
        labels = next(iter(self.regions.values()))
        return GivenScans(self.scans, self.predictions, self.references, labels, self.patients)

    def _read(self) -> GivenScores:
        if self.scores is not None:
            return read_score_file(self.scores)
        assert self.predictions, "checked before"
        assert self.references, "checked before"
        regions = Regions(self.regions, self.tolerance)
        return score_folders(self.predictions, self.references, regions, processes=self.processes)


@dataclass(frozen=True)
class Asked:
    """What is asked of the scores.

    Attributes:
        question: the arm that is judged, and the one that is subtracted, the reference of all.
        metric: that decides.
        copies: A/A arms, and the arm that each repeats from another initialization.
        overlap: share of its training patients that a replicate has in common with another.
        confidence: of intervals.
        ledger: file in which the look is counted; None: it is not.
    """

    question: tuple[str, str]
    metric: Metric = "dice"
    copies: Mapping[str, str] = field(default_factory=dict)
    overlap: float = 1.0
    confidence: float = 0.95
    ledger: Path | None = None


def judge(source: Source, asked: Asked, out: Path, *, experiment: str | None = None) -> TrialRecord:
    """Judge arms that were trained elsewhere: trial.json, report.md, report.html, summary.txt, figures/, evidence.json.

    Args:
        source: of the scores.
        asked: the question.
        out: folder to write; one that an earlier judgment wrote is replaced.
        experiment: of MLflow; None records nothing.

    Raises:
        NephriteError: options, files or scores that cannot be judged; nothing is written then.
    """
    # everything is checked before anything is written or recorded
    source.check()
    check_apart(out, source.inputs | ({"--ledger": asked.ledger} if asked.ledger else {}))
    check_replaceable(out.resolve(), KIND)
    given = source.read()
    tables = GivenTables(_plan(source, asked, given), given)
    # pay for the look, then judge
    with _recorded(tables, out, experiment) as run:
        taken = _take_look(asked, tables, run)
        if taken:
            tables = replace(tables, plan=replace(tables.plan, confidence=1 - taken.level))
        record = judged_record(tables, taken.notes if taken else (NOT_COUNTED,), look=_look(asked, taken))
        with whole_folder(out, KIND) as folder:
            pictures = {FOREST: f"{FIGURES}/differences.png", SCORES: f"{FIGURES}/patients.png"}
            forest_plot(record, folder / pictures[FOREST])
            score_plot(record, folder / pictures[SCORES])
            title = " against ".join(asked.question)
            sections = _sections(source, given, record)
            write_pages(record, folder, pictures, sections, title=f"Judged: {title}", place=out)
            write_evidence(folder, kind="report", inputs={"given": given.digest}, version=__version__)
        _keep(run, record, out)
    return record


def _plan(source: Source, asked: Asked, given: GivenScores) -> TrialPlan:
    """The question as a plan; the region is the first one named, or the only one that there is.

    Raises:
        TrialError: an arm against itself, a question about an A/A arm, or several regions of which none is named.
    """
    first, second = asked.question
    if first == second:
        raise TrialError("--question", f"asks '{first}' against itself", "name two arms: --question fakes,real")
    if named := {*asked.question} & {*asked.copies}:
        finding = f"names '{min(named)}' of the question, and an A/A arm is compared with its own arm alone"
        raise TrialError("--null", finding, "name the copy first: --null real_again=real")
    known = given.regions("dice")
    if not source.regions and len(known) != 1:
        finding = f"is missing, and there {'are several' if known else 'is none with Dice'}: {', '.join(known)}"
        raise TrialError("--region", finding, "name the one that decides")
    return TrialPlan(
        region=next(iter(source.regions), known[0] if known else ""),
        metric=asked.metric,
        reference=second,
        question=asked.question,
        copies=asked.copies,
        overlap={WHOLE: asked.overlap},
        confidence=asked.confidence,
        digest=digest([given.digest, asked.question, asked.metric, [*source.regions], dict(asked.copies)]),
    )


def _sections(source: Source, given: GivenScores, record: TrialRecord) -> Sections:
    """Where the scores come from, and the patients, with slices where scans are given."""
    what = "scores in a file" if source.scores else "label maps, scored here"
    facts = {
        "data": f"{what}; digest of the scores {given.digest[:DIGITS]}",
        "patients": counted(len(record.patients), patients_text(record.plan)),
    }
    parts, elements, pair = [provenance_markdown(record, facts)], list[str](), shown_pair(record)
    if pair:
        # MLflow gets this page, and no id of a patient: these may be names
        places = {patient: str(place) for place, patient in enumerate(record.patients, start=1)}
        rows = [row._replace(patient=places[row.patient]) for row in patient_rows(pair)]
        told = "No slices are shown: scans were not given (--scans)."
        if shown := source.shown:
            elements, most = shown.elements(pair.renamed(places), rows, places, given.replicates)
            told = (
                f"Select a patient to see up to {counted(most, 'slice')}." if elements else "No slices fit in the page."
            )
        parts.append(patients_markdown(record, pair, rows, {}, f"Patients are numbered as in trial.json. {told}"))
    return Sections(parts, [], elements)


def _take_look(asked: Asked, tables: GivenTables, run: Run) -> Taken | None:
    if asked.ledger is None:
        return None
    cells = tuple(range(len(tables.scores.replicates)))
    wanted = Wanted("report", COMMAND, tables.plan.digest, marks_of(tables.scores), cells)
    return take_look(run, None, wanted, alpha=1 - asked.confidence, ledger=asked.ledger)


def marks_of(given: GivenScores) -> tuple[str, ...]:
    """What the ledger of looks knows the patients by: their reference label maps, else their ids."""
    if given.references:
        return tuple(sorted(sha256(path)[:LENGTH] for path in given.references))
    return tuple(sorted(digest(patient)[:LENGTH] for patient in given.patients))


def _look(asked: Asked, taken: Taken | None) -> LookRecord | None:
    if taken is None:
        return None
    look = taken.look
    return LookRecord(
        number=look.number, share=look.share, confidence=asked.confidence, patients=look.patients, external=()
    )


def _recorded(tables: GivenTables, out: Path, experiment: str | None) -> AbstractContextManager[Run]:
    """The run in MLflow, which gets no id of a patient."""
    if experiment is None:
        return nullcontext(SilentRun())
    plan = tables.plan
    shown = {
        "question": " minus ".join(plan.question or ()),
        "measure": str(plan.measure),
        "arms": ", ".join(tables.training_sets),
        "replicates": len(tables.scores.replicates),
        "patients": len(tables.scores.patients),
        "confidence": plan.confidence,
        "overlap": plan.overlap_at(WHOLE),
        "digest": plan.digest,
    }
    return open_apart(COMMAND, {COMMAND: shown}, out, experiment)


def _keep(run: Run, record: TrialRecord, out: Path) -> None:
    """What MLflow gets: trial.json names the patients and summary.txt a place, so both stay here."""
    for name in (MARKDOWN, PAGE, FIGURES):
        run.artifact(out / name)
    answer = record.answer
    assert answer is not None, "a judgment answers its question"
    run.tags({"provenance": record.provenance, "verdict": answer.verdict, "judged_on": record.plan.judged_on})
    found = {"difference": answer.mean, "difference_p": answer.p}
    ends = {"difference_low": answer.low, "difference_high": answer.high}
    found |= {name: end for name, end in ends.items() if end is not None}
    found |= {
        f"dice_{record.plan.region}_{arm.training_set}": arm.regions[record.plan.region].dice for arm in record.arms
    }
    run.metrics(found, step=0)
