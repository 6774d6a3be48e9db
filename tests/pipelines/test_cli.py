"""The command line: one line and exit code 2 for every refusal, links for every run."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import pytest
from kubernetes import config

from nephrite_kubeflow import cli
from nephrite_kubeflow.package import Package, read_package
from tests.pipelines.conftest import IMAGE, ROOT, SCANS, Kubeflow

CHAMPION = ("--image", IMAGE, "--pipeline", "inference")


@pytest.fixture(autouse=True)
def no_cluster(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nobody's own kubeconfig, image or addresses."""
    monkeypatch.setattr(config, "KUBE_CONFIG_DEFAULT_LOCATION", str(tmp_path / "absent"))
    for name in ("KUBERNETES_SERVICE_HOST", "MLFLOW_TRACKING_URI", "NEPHRITE_IMAGE", "KFP_HOST", "KFP_NAMESPACE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.chdir(ROOT)


def run(monkeypatch: pytest.MonkeyPatch, *words: object) -> int:
    """Run the command line; gives its exit code."""
    monkeypatch.setattr(sys, "argv", ["nephrite-pipeline", *map(str, words)])
    with pytest.raises(SystemExit) as ended:
        cli.main()
    return int(ended.value.code or 0)


def task_details(*states: str) -> dict[str, Any]:
    """Tasks of a run in these states."""
    return {"task_details": [{"task_id": state, "display_name": "acquire", "state": state} for state in states]}


def test_compile_writes_the_pipeline_and_counts_painters_and_arms(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    output = tmp_path / "build" / "augmentation.yaml"
    words = [
        "--set",
        "trial.cells=[0, 1]",
        "--set",
        "publish.remote=s3://dvc/x",
        "--publish",
        "--no-promote",
        "--output",
        output,
    ]
    assert run(monkeypatch, "compile", "--image", IMAGE, *words) == 0
    given = read_package(output).arguments
    assert (given["publish_synthetic"], given["promote_best"]) == ("yes", "no")
    assert "6 painters, 2 arms without synthetic slices, 6 with; data phantom@" in capsys.readouterr().out


def test_compile_warns_of_a_commit_that_is_none(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("NEPHRITE_COMMIT", "unknown")
    assert run(monkeypatch, "compile", "--image", IMAGE, "--output", tmp_path / "a.yaml") == 0
    assert "warning: the commit is 'unknown'" in capsys.readouterr().err


def test_compile_of_inference_needs_no_arms_and_goes_to_its_own_file(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(cli, "BUILD", tmp_path / "build")
    words = ["--pipeline", "inference", "--scans", SCANS, "--set", "acquire.phantom.patients=77"]
    assert run(monkeypatch, "compile", "--image", IMAGE, *words) == 0
    package = read_package(tmp_path / "build" / "inference.yaml")
    assert (package.name, package.arguments["scans_uri"]) == ("inference", SCANS)
    assert "patients: 77\n" in package.arguments["params"]
    assert f"inference.yaml: the champion; data {SCANS}; commit" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (
            ["--image", "localhost/nephrite:latest"],
            "ExperimentError: --image localhost/nephrite:latest: has no digest;",
        ),
        (["--image", IMAGE, "--params", "absent.yaml"], "ConfigError: absent.yaml: is missing; name a params file"),
        (["--image", IMAGE, "--cluster", "absent.yaml"], "ClusterError: absent.yaml: is missing; start from"),
        (
            ["--image", IMAGE, "--arm", "real/huge/1.0/0"],
            "ExperimentError: --arm real/huge/1.0/0: is no arm of the trial;",
        ),
        (["--image", IMAGE, "--publish"], "ExperimentError: params.yaml: publish.remote: is not set"),
        (["--image", IMAGE, "--set", "compute.accelerator=gpu"], "ClusterError: "),
        (["--image", IMAGE, "--scans", SCANS], "ExperimentError: --scans: is of no use to the pipeline 'augmentation'"),
        ([*CHAMPION], "ExperimentError: --scans: is missing; name the folder to segment"),
        ([*CHAMPION, "--scans", "/data"], "ExperimentError: --scans /data: is no s3:// folder; copy the scans"),
        (
            [*CHAMPION, "--scans", SCANS, "--arm", "real/fpn/1.0/0"],
            "ExperimentError: --arm: is of no use to the pipeline",
        ),
        ([*CHAMPION, "--scans", SCANS, "--no-publish"], "ExperimentError: --publish: is of no use to the pipeline"),
        ([*CHAMPION, "--scans", SCANS, "--promote"], "ExperimentError: --promote: is of no use to the pipeline"),
        ([*CHAMPION, "--scans", SCANS, "--set", "compute.accelerator=gpu"], "ClusterError: "),
    ],
)
def test_compile_refuses_in_one_line_and_writes_nothing(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str], words: list[str], told: str
) -> None:
    output = tmp_path / "build" / "augmentation.yaml"
    assert run(monkeypatch, "compile", *words, "--output", output) == 2
    error = capsys.readouterr().err
    assert error.startswith(told)
    assert error.count("\n") == 1
    assert not output.parent.exists()


def test_submit_prints_links_without_passwords(
    monkeypatch: pytest.MonkeyPatch, kubeflow: Kubeflow, compiled: Package, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://user:secret@127.0.0.1:9/")
    assert run(monkeypatch, "submit", "--package", compiled.path, "--host", f"{kubeflow.host}/") == 0
    shown = capsys.readouterr()
    assert f"Kubeflow: {kubeflow.host}/#/runs/details/run-1\n" in shown.out
    assert "MLflow: http://127.0.0.1:9/#/experiments" in shown.out
    assert "secret@" not in shown.out
    assert "were not looked up: no kubeconfig here" in shown.err


def test_submit_says_what_the_servers_release_means(
    monkeypatch: pytest.MonkeyPatch, kubeflow: Kubeflow, compiled: Package, capsys: pytest.CaptureFixture[str]
) -> None:
    for version, told in (("2.17.0", "secrets and volumes"), ("2.5.0", "Kubeflow Pipelines 2.5.0 makes pods")):
        kubeflow.version = version
        assert run(monkeypatch, "submit", "--package", compiled.path, "--host", kubeflow.host) == 0
        assert capsys.readouterr().err.startswith(f"warning: {told}")


def test_submit_takes_the_champions_pipeline_too(
    monkeypatch: pytest.MonkeyPatch,
    kubeflow: Kubeflow,
    compiled_inference: Package,
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert run(monkeypatch, "submit", "--package", compiled_inference.path, "--host", kubeflow.host) == 0
    assert kubeflow.pipelines == ["inference"]
    assert kubeflow.versions == [compiled_inference.version]
    assert kubeflow.runs[0]["runtime_config"]["parameters"]["scans_uri"] == SCANS
    assert f"run run-1, version {compiled_inference.version}\n" in capsys.readouterr().out


@pytest.mark.parametrize(("option", "looked"), [("--check", 1), ("--no-check", 0)])
def test_submit_looks_for_secrets_unless_told_not_to(
    monkeypatch: pytest.MonkeyPatch, kubeflow: Kubeflow, compiled: Package, option: str, looked: int
) -> None:
    looks: list[str] = []
    monkeypatch.setattr(cli, "check_objects", lambda _, namespace: looks.append(namespace))
    monkeypatch.setattr(cli, "check_retries", lambda: looks.append("argo"))
    words = ["--package", compiled.path, "--host", kubeflow.host, "--namespace", "nephrite", option]
    assert run(monkeypatch, "submit", *words) == 0
    assert looks == ["nephrite", "argo"] * looked


@pytest.mark.parametrize("ended", [("SUCCEEDED", 0), ("FAILED", 1), ("CANCELED", 1)])
def test_submit_waits_if_asked_and_ends_as_the_run_does(
    monkeypatch: pytest.MonkeyPatch,
    kubeflow: Kubeflow,
    compiled: Package,
    capsys: pytest.CaptureFixture[str],
    ended: tuple[str, int],
) -> None:
    state, code = ended
    kubeflow.progress = [
        {"state": "RUNNING", "run_details": task_details("RUNNING")},
        {"state": state, "run_details": task_details(state)},
    ]
    words = ["--package", compiled.path, "--host", kubeflow.host, "--wait", "--poll", "0"]
    assert run(monkeypatch, "submit", *words) == code
    assert capsys.readouterr().out.endswith(f"acquire: RUNNING\nacquire: {state}\nrun: {state}\n")


@pytest.mark.parametrize(("state", "code"), [("RUNNING", 0), ("SUCCEEDED", 0), ("FAILED", 1)])
def test_status_prints_tasks_and_run(
    monkeypatch: pytest.MonkeyPatch, kubeflow: Kubeflow, capsys: pytest.CaptureFixture[str], state: str, code: int
) -> None:
    kubeflow.progress = [{"state": state, "run_details": task_details(state)}]
    assert run(monkeypatch, "status", "run-1", "--host", kubeflow.host) == code
    assert capsys.readouterr().out.endswith(f"acquire: {state}\nrun: {state}\n")


def test_refusal_of_the_server_is_one_line_and_exit_code_2(
    monkeypatch: pytest.MonkeyPatch, kubeflow: Kubeflow, compiled: Package, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("KFP_TOKEN", "a-bad-token")
    monkeypatch.setenv("KFP_HOST", kubeflow.host)
    assert run(monkeypatch, "submit", "--package", compiled.path) == 2
    told = f"ServerError: {kubeflow.host}: refuses the token; set KFP_TOKEN to a valid one\n"
    assert capsys.readouterr().err == told
