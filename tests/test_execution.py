from __future__ import annotations

import os
import platform
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from mlflow.tracking import MlflowClient

from nephrite.config import Config
from nephrite.errors import OutputError, TrackingError
from nephrite.execution import Notes, check_places, command_name, result_page, run_stage, stage_function

Load = Callable[..., Config]


@pytest.fixture
def stage(monkeypatch: pytest.MonkeyPatch) -> list[dict[str, object]]:
    """In place of every stage a function that remembers its paths."""
    calls: list[dict[str, object]] = []

    def fake(config: Config, run: object, **paths: Path) -> dict[str, float]:
        calls.append(dict(paths))
        return {"loss": 0.25}

    monkeypatch.setattr("nephrite.execution.stage_function", lambda name: fake)
    return calls


def test_a_command_is_named_with_dashes() -> None:
    assert command_name("train_segmenter") == "train-segmenter"


def test_the_function_of_a_stage_comes_from_its_module() -> None:
    assert stage_function("report").__module__ == "nephrite.stages.report"


@pytest.mark.usefixtures("record", "stage")
@pytest.mark.parametrize(
    ("override", "title"),
    [("arm=real/light/1.0/0", "evaluate real/light/1.0/0"), ("painter=pix2pix/1.0/0", "evaluate pix2pix/1.0/0")],
)
def test_metrics_are_shown_with_what_the_stage_worked_on(
    load: Load, capsys: pytest.CaptureFixture[str], override: str, title: str
) -> None:
    run_stage("evaluate", load(override), {}, Notes())
    assert capsys.readouterr().out == f"{title}: loss 0.25\n"


def test_metrics_facts_and_page_are_kept(
    record: str, stage: list[dict[str, object]], load: Load, tmp_path: Path
) -> None:
    notes = Notes('{"image": "nephrite@sha256:1"}', tmp_path / "page.html", tmp_path / "id")
    run_stage("evaluate", load("arm=real/light/1.0/0"), {"pairs": tmp_path}, notes)
    run = MlflowClient(record).get_run((tmp_path / "id").read_text())
    assert (run.data.metrics["loss"], run.data.tags["nephrite.image"]) == (0.25, "nephrite@sha256:1")
    assert run.info.run_id in (tmp_path / "page.html").read_text()
    assert stage == [{"pairs": tmp_path}]


@pytest.fixture
def finding_stage(monkeypatch: pytest.MonkeyPatch) -> None:
    """In place of every stage a function that writes a label map."""

    def fake(config: Config, run: object, *, predictions: Path) -> dict[str, float]:
        predictions.mkdir()
        (predictions / "a.nii.gz").write_bytes(b"map")
        return {"loss": 0.25}

    monkeypatch.setattr("nephrite.execution.stage_function", lambda name: fake)


@pytest.mark.usefixtures("finding_stage")
@pytest.mark.parametrize(
    ("arm", "in_pipeline", "kept"),
    [
        ("real+geometric/light/1.0/0", True, True),
        ("real+synthetic+geometric/light/1.0/0", True, True),
        ("real/light/1.0/0", True, False),  # not of the question
        ("real+geometric/light/1.0/0", False, False),  # the report reads the folder itself
    ],
)
def test_a_step_of_a_pipeline_keeps_the_label_maps_that_the_report_shows(
    record: str, load: Load, tmp_path: Path, *, arm: str, in_pipeline: bool, kept: bool
) -> None:
    notes = Notes(run_id=tmp_path / "id") if in_pipeline else Notes()
    run_stage("evaluate", load(f"arm={arm}"), {"predictions": tmp_path / "found"}, notes)
    client = MlflowClient(record)
    (experiment,) = [each.experiment_id for each in client.search_experiments() if each.name != "Default"]
    (run,) = [each for each in client.search_runs([experiment]) if each.data.tags.get("nephrite.arm") == arm]
    found = [file.path for file in client.list_artifacts(run.info.run_id, "predictions")]
    assert found == ["predictions/a.nii.gz"] * kept


@pytest.mark.usefixtures("record", "stage")
def test_threads_are_set_unless_the_surroundings_set_them(load: Load, monkeypatch: pytest.MonkeyPatch) -> None:
    for given, expected in ((None, "3"), ("7", "7")):
        monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
        if given:
            monkeypatch.setenv("OMP_NUM_THREADS", given)
        run_stage("report", load("compute.threads=3"), {}, Notes())
        assert os.environ["OMP_NUM_THREADS"] == expected


FAULTS_OF_A_ROUND = """
import resource, sys
from nephrite import execution

def faults():
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    blocks = [bytearray(24 * 2**20) for _ in range(3)]
    del blocks
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before

if sys.argv[1] == "kept":
    execution.keep_freed_memory()
faults()
print(faults())
"""


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="other C libraries have other rules")
def test_memory_that_was_freed_is_used_again_without_asking_the_system() -> None:
    def pages(way: str) -> int:
        command = [sys.executable, "-c", FAULTS_OF_A_ROUND, way]
        return int(subprocess.run(command, check=True, capture_output=True, text=True).stdout)

    assert pages("returned") > 10_000
    assert pages("kept") < 100


@pytest.mark.usefixtures("record", "stage")
def test_every_stage_keeps_the_memory_that_it_frees(load: Load, monkeypatch: pytest.MonkeyPatch) -> None:
    called: list[str] = []
    monkeypatch.setattr("nephrite.execution.keep_freed_memory", lambda: called.append("kept"))
    run_stage("report", load(), {}, Notes())
    assert called == ["kept"]


@pytest.mark.usefixtures("record", "stage")
def test_runs_in_place_of_a_folder_are_fetched(load: Load, tmp_path: Path) -> None:
    with pytest.raises(TrackingError, match="names no run"):
        run_stage("report", load(), {"scores": Path("runs:[]"), "report": tmp_path / "report"}, Notes())
    assert not list(tmp_path.glob("*.partial"))


def test_the_page_of_the_report_is_the_report(tmp_path: Path) -> None:
    (tmp_path / "report.html").write_text("<h1>No evidence</h1>")
    assert result_page("report", "report", {}, {}, {"report": tmp_path}) == "<h1>No evidence</h1>"


@pytest.fixture
def workplace(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty working folder."""
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.mark.usefixtures("stage")
@pytest.mark.parametrize(
    ("stage_name", "paths", "finding"),
    [
        ("acquire", {"raw": "docs"}, "docs: is there already, and Nephrite did not write it"),
        ("prepare", {"raw": "scans", "pairs": "scans/pairs"}, r"lies in an input \(--raw: .*scans\)"),
        ("evaluate", {"segmenter": "seg", "scores": "docs/thesis.tex"}, "thesis.tex: is there already"),
        ("predict", {"scans": "scans", "masks": "."}, r"holds an input \(--scans: "),
    ],
)
def test_nothing_of_the_user_is_touched(
    load: Load, workplace: Path, stage_name: str, paths: dict[str, str], finding: str
) -> None:
    for name in ("docs/thesis.tex", "scans/a.nii.gz"):
        (workplace / name).parent.mkdir()
        (workplace / name).touch()
    before = sorted(workplace.rglob("*"))
    with pytest.raises(OutputError, match=finding):
        run_stage(stage_name, load(), {name: Path(path) for name, path in paths.items()}, Notes())
    assert sorted(workplace.rglob("*")) == before


def test_source_of_raw_data_is_an_input(load: Load, tmp_path: Path) -> None:
    config = load("acquire.source=folder", f"acquire.folder.path={tmp_path}")
    with pytest.raises(OutputError, match="raw: lies in an input"):
        check_places("acquire", config, {"raw": tmp_path / "raw"})
    config = load(f"acquire.unlabeled={tmp_path}")
    with pytest.raises(OutputError, match=r"is an input \(acquire.unlabeled"):
        check_places("acquire", config, {"raw": tmp_path})
    config = load(f"acquire.patients.table={tmp_path / 'raw' / 'patients.csv'}")
    with pytest.raises(OutputError, match=r"raw: holds an input \(acquire.patients.table"):
        check_places("acquire", config, {"raw": tmp_path / "raw"})


def test_folder_that_is_only_sent_is_no_output(load: Load, tmp_path: Path) -> None:
    (tmp_path / "mine").touch()
    assert check_places("publish", load(), {"data": tmp_path}) == tmp_path
