"""The end of a reader study: result.json, report.html and figures, recorded in MLflow without any pseudonym."""

from __future__ import annotations

from contextlib import AbstractContextManager, nullcontext
from dataclasses import asdict
from pathlib import Path

from nephrite.errors import StoreError
from nephrite.files import whole_folder, write_json
from nephrite.reader_study.answers import AnswerBook
from nephrite.reader_study.result import StudyResult, score_study
from nephrite.reader_study.result_page import (
    FOOLED,
    FOUND,
    draw_slices,
    found_by_all,
    most_fooling,
    result_markdown,
    summary_text,
)
from nephrite.reader_study.study import Study, read_study
from nephrite.recording import Run, SilentRun
from nephrite.report.page import html_page
from nephrite.tracking import open_apart

COMMAND, KIND = "reader_study", "reader-report"
REPORT, PAGE, RESULT, FIGURES = "report", "report.html", "result.json", "figures"


def evaluate_study(root: Path, *, experiment: str | None = None) -> str:
    """Score a study and write its report; an earlier one is replaced.

    Args:
        root: the study's folder.
        experiment: of MLflow; None records nothing.

    Returns:
        the result for the terminal.

    Raises:
        StoreError: there is no study, nobody has answered, or a file is broken.
    """
    study = read_study(root)
    answers = [each for each in AnswerBook(root, study).read_all() if each.answers]
    if not answers:
        raise StoreError(root, "holds no answers", f"open the page: nephrite reader-study --out {root}")
    result = score_study(study, answers)
    with _recorded(study, root, experiment) as run:
        with whole_folder(root / REPORT, KIND) as folder:
            _write(study, result, root, folder)
        _keep(run, result, root / REPORT)
    return summary_text(study, result, [each.reader for each in answers])


def _write(study: Study, result: StudyResult, root: Path, folder: Path) -> None:
    shown = {FOOLED: most_fooling(result), FOUND: found_by_all(result)}
    pictures = [file for file, slices in shown.items() if slices]
    for file in pictures:
        draw_slices(root, shown[file], result.finished, folder / file)
    text = result_markdown(study, result, pictures)
    (folder / PAGE).write_text(html_page(text, folder, title="Reader study"), encoding="utf-8")
    write_json(folder / RESULT, {"format": 1, "study": study.digest, **asdict(result)})


def _recorded(study: Study, root: Path, experiment: str | None) -> AbstractContextManager[Run]:
    if experiment is None:
        return nullcontext(SilentRun())
    facts = {
        "painter": study.painter,
        "slices_of_each_kind": study.asked.count,
        "per_patient": study.asked.per_patient,
        "seed": study.asked.seed,
        **study.inputs,
        "study": study.digest,
    }
    return open_apart(COMMAND, {COMMAND: facts}, root / REPORT, experiment)


def _keep(run: Run, result: StudyResult, report: Path) -> None:
    """What MLflow gets: readers have numbers in all of it."""
    for path in (PAGE, RESULT, FIGURES):
        if (report / path).exists():
            run.artifact(report / path)
    run.tags({"verdict": result.verdict})
    metrics: dict[str, float] = {"readers_finished": result.finished}
    for name, found in (("accuracy", result.accuracy), ("area", result.area)):
        if found:
            metrics |= {name: found.value, f"{name}_low": found.low, f"{name}_high": found.high}
    further = {
        "sensitivity": result.sensitivity,
        "specificity": result.specificity,
        "kappa": result.agreement.kappa if result.agreement else None,
    }
    metrics |= {name: value for name, value in further.items() if value is not None}
    metrics |= {f"accuracy_reader_{each.reader}": each.accuracy.value for each in result.readers}
    run.metrics(metrics, step=0)
