from __future__ import annotations

import runpy
import shutil
import subprocess
import sys
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path

import pytest
from mlflow.tracking import MlflowClient

from nephrite.config import Config
from nephrite.errors import ConfigError, OutputError, StoreError, TrialError
from nephrite.files import write_json, write_table
from nephrite.judging.judge import Asked, Source, judge
from nephrite.judging.score_file import COLUMNS
from nephrite.recording import SilentRun
from nephrite.report.trial_file import read_trial
from nephrite.stages.promote import promote
from nephrite.verdict.looks import read_looks
from nephrite.verification import verify
from tests.judging.conftest import scores_of

EXAMPLE = Path("examples") / "judge"
ASKED = Asked(("fakes", "real"))


@pytest.fixture
def scores(tmp_path: Path) -> Path:
    write_json(tmp_path / "scores.json", [asdict(score) for score in scores_of()])
    return tmp_path / "scores.json"


def test_a_judgment_is_a_whole_report_that_answers_for_its_bytes(scores: Path, tmp_path: Path) -> None:
    record = judge(Source(scores), ASKED, tmp_path / "judged")
    names = {path.relative_to(tmp_path / "judged").as_posix() for path in (tmp_path / "judged").rglob("*.*")}
    pages = {"report.md", "report.html", "summary.txt", "trial.json", "evidence.json"}
    assert names >= pages | {"figures/differences.png", "figures/patients.png"}
    assert read_trial(tmp_path / "judged" / "trial.json") == record
    assert [output.problems for output in verify(tmp_path / "judged")] == [()]
    assert "Provenance unverifiable: 'fakes' helps" in (tmp_path / "judged" / "summary.txt").read_text()
    assert (tmp_path / "judged" / "report.html").read_text().count("data:image/png;base64") == 2


def test_it_replaces_its_own_and_nothing_else(scores: Path, tmp_path: Path) -> None:
    out = tmp_path / "judged"
    for _ in range(2):
        judge(Source(scores), ASKED, out)
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "thesis.tex").write_text("x")
    with pytest.raises(OutputError, match="Nephrite did not write it"):
        judge(Source(scores), ASKED, tmp_path / "mine")
    with pytest.raises(OutputError, match="holds an input"):
        judge(Source(scores), ASKED, tmp_path)
    within = Asked(("fakes", "real"), ledger=tmp_path / "new" / "looks.json")
    with pytest.raises(OutputError, match=r"holds an input \(--ledger"):
        judge(Source(scores), within, tmp_path / "new")
    assert not (tmp_path / "new").exists()


def test_folders_and_their_scores_are_judged_alike(folders: Path, tmp_path: Path) -> None:
    source = Source(predictions=folders / "predictions", references=folders / "references", regions={"tumor": (2,)})
    record = judge(source, ASKED, tmp_path / "judged")
    assert record.answer
    assert record.answer.mean == pytest.approx(2 / 9)
    rows = [
        (patient, arm.training_set, str(cell), "tumor", "dice", value)
        for arm in record.arms
        for cell, row in zip(arm.cells, (arm.dice_by_cell or {})["tumor"], strict=True)
        for patient, value in zip(record.patients, row, strict=True)
    ]
    write_table(tmp_path / "scores.csv", COLUMNS, rows)
    again = judge(Source(tmp_path / "scores.csv"), ASKED, tmp_path / "again").answer
    assert again
    assert (again.mean, again.low, again.high) == (record.answer.mean, record.answer.low, record.answer.high)


@pytest.mark.parametrize(
    ("source", "asked", "told"),
    [
        (Source(), ASKED, "--scores: is missing, and --predictions too"),
        (Source(Path("a"), Path("b"), Path("c")), ASKED, "--scores: is given beside --predictions"),
        (Source(predictions=Path("b")), ASKED, "--references: is missing"),
        (Source(Path("a"), references=Path("b")), ASKED, "--predictions: is missing"),
        (Source(predictions=Path("b"), references=Path("c")), ASKED, "--region: is missing"),
        (Source(predictions=Path("b"), references=Path("c"), regions={"t": ()}), ASKED, "'t' has no label values"),
        (Source(Path("a"), regions={"t": (1,)}), ASKED, "--region: has label values, and scores have none"),
    ],
)
def test_options_that_do_not_fit_are_one_line(source: Source, asked: Asked, told: str, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=told):
        judge(source, asked, tmp_path / "judged")


def test_questions_that_cannot_be_asked_leave_nothing(scores: Path, tmp_path: Path) -> None:
    copied = Asked(("fakes", "real"), copies={"fakes": "real"})
    for asked, regions in (
        (Asked(("real", "real")), {}),
        (Asked(("x", "real")), {}),
        (copied, {}),
        (ASKED, {"cyst": ()}),
    ):
        with pytest.raises(TrialError):
            judge(Source(scores, regions=regions), asked, tmp_path / "judged")
    two = [*(asdict(s) for s in scores_of()), *({**asdict(s), "region": "kidney"} for s in scores_of())]
    write_json(scores, two)
    with pytest.raises(TrialError, match="--region: is missing, and there are several: tumor, kidney"):
        judge(Source(scores), ASKED, tmp_path / "judged")
    assert judge(Source(scores, regions={"kidney": ()}), ASKED, tmp_path / "judged").plan.region == "kidney"
    assert [path.name for path in tmp_path.iterdir() if path.suffix == ".partial"] == []


def test_looks_are_counted_where_a_ledger_is_named_and_else_that_is_said(scores: Path, tmp_path: Path) -> None:
    first = judge(Source(scores), ASKED, tmp_path / "judged")
    assert first.look is None
    assert any(note.startswith("Looks at these patients are not counted") for note in first.notes)
    ledger = tmp_path / "ledger.json"
    counted = Asked(("fakes", "real"), ledger=ledger)
    once, again = (judge(Source(scores), counted, tmp_path / "judged") for _ in range(2))
    write_json(scores, [asdict(score) for score in scores_of(gains={"real": 0.0, "fakes": 0.05})])
    second = judge(Source(scores), counted, tmp_path / "judged")
    numbers = [record.look.number for record in (once, again, second) if record.look]
    assert numbers == [1, 1, 2]
    assert [record.plan.confidence for record in (first, once, second)] == pytest.approx([0.95, 0.975, 1 - 0.05 / 6])
    assert len(read_looks(ledger) or []) == 2


def test_label_maps_are_known_by_their_bytes_and_scores_by_their_ids(folders: Path, tmp_path: Path) -> None:
    source = Source(predictions=folders / "predictions", references=folders / "references", regions={"tumor": (2,)})
    asked = Asked(("fakes", "real"), ledger=tmp_path / "ledger.json")
    judge(source, asked, tmp_path / "judged")
    for patient in "abc":
        for path in folders.rglob(f"{patient}.nii.gz"):
            path.rename(path.with_name(f"renamed_{path.name}"))
    again = judge(source, asked, tmp_path / "judged")
    assert again.look
    assert again.look.number == 2  # other names, the same patients


def test_mlflow_gets_the_answer_and_no_id_of_a_patient(record: str, scores: Path, tmp_path: Path) -> None:
    write_json(scores, [{**asdict(score), "patient": f"Doe, {score.patient}"} for score in scores_of()])
    found = judge(Source(scores), ASKED, tmp_path / "secret_place", experiment="foreign")
    client = MlflowClient(record)
    experiment = client.get_experiment_by_name("foreign")
    assert experiment
    (run,) = client.search_runs([experiment.experiment_id])
    assert run.info.status == "FINISHED"
    assert run.data.tags["nephrite.stage"] == "judge"
    assert run.data.tags["nephrite.provenance"] == "unverifiable"
    assert found.answer
    assert run.data.metrics["difference"] == pytest.approx(found.answer.mean)
    assert run.data.params["judge.question"] == "fakes minus real"
    kept = [path for path in Path(run.info.artifact_uri.removeprefix("file://")).rglob("*") if path.is_file()]
    assert {path.name for path in kept} == {"report.md", "report.html", "differences.png", "patients.png"}
    texts = [path.read_text() for path in kept if path.suffix != ".png"] + [str(run.data.to_dictionary())]
    assert "Doe, p01" in (tmp_path / "secret_place" / "trial.json").read_text()
    assert not [text for text in texts if "Doe" in text or "secret_place" in text]
    assert "Patients are numbered as in trial.json." in texts[0]


def test_nothing_judged_so_is_promoted(load: Callable[..., Config], scores: Path, tmp_path: Path) -> None:
    judge(Source(scores), ASKED, tmp_path / "judged")
    with pytest.raises(StoreError, match=r"made elsewhere \(provenance: unverifiable\): no run is known; promote a"):
        promote(
            load(), SilentRun(), report=tmp_path / "judged", segmenters=tmp_path, promotion=tmp_path / "decision.json"
        )
    assert not (tmp_path / "decision.json").exists()


def test_the_example_is_what_its_script_writes_and_helps(root: Path, tmp_path: Path) -> None:
    made = runpy.run_path(str(root / EXAMPLE / "make_scores.py"))
    write_table(tmp_path / "scores.csv", made["HEAD"], made["simulated"]())
    committed = root / EXAMPLE / "scores.csv"
    assert (tmp_path / "scores.csv").read_bytes() == committed.read_bytes()
    asked = Asked(("fakes", "real"), copies={"real_again": "real"})
    answer = judge(Source(committed), asked, tmp_path / "judged").answer
    assert answer
    assert answer.verdict == "helps"
    assert (answer.low or 1) < made["GAINS"]["fakes"] < (answer.high or 0)


def test_make_runs_the_example(root: Path, tmp_path: Path) -> None:
    shutil.copy(root / "Makefile", tmp_path)
    shutil.copytree(root / EXAMPLE, tmp_path / EXAMPLE)
    command = ["make", "-o", "env", "judge-demo", f"BIN={Path(sys.executable).parent}"]
    shown = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=True).stdout
    assert "Provenance unverifiable: 'fakes' helps" in shown
    assert (tmp_path / "build" / "judge-demo" / "report.html").is_file()
