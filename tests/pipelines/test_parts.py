"""A trial that takes several pipelines: they share data, cache and record, and the last one judges all arms."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from nephrite.config import load_config
from nephrite_kubeflow import experiment
from nephrite_kubeflow.cluster import CLUSTER_FILE, load_cluster
from nephrite_kubeflow.experiment import Experiment
from nephrite_kubeflow.package import Package, read_package, write_package
from tests.pipelines.conftest import IMAGE, PARAMS, Kubeflow
from tests.pipelines.test_cli import run


@pytest.fixture(scope="module")
def parts(tmp_path_factory: pytest.TempPathFactory) -> list[Package]:
    """A trial of three cells, in pipelines of two cells at most."""
    folder: Path = tmp_path_factory.mktemp("parts")
    packages = []
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("NEPHRITE_COMMIT", "0123456789abcdef0123")
        patch.setattr(experiment, "MOST_ARMS", 24)
        for part in Experiment(load_config(PARAMS, ["trial.cells=[0, 1, 2]"])).split():
            output = folder / f"augmentation-{part.part}.yaml"
            write_package(output, part, load_cluster(CLUSTER_FILE), IMAGE, publish=False, promote=True)
            packages.append(read_package(output))
    return packages


def names(package: Package) -> set[str]:
    """What Kubeflow's page shows within the handler."""
    tasks = package.spec["components"]["comp-exit-handler-1"]["dag"]["tasks"].values()
    return {task["taskInfo"]["name"] for task in tasks}


def containers(package: Package) -> dict[str, Any]:
    return {name: told["container"] for name, told in package.spec["deploymentSpec"]["executors"].items()}


def test_last_part_alone_judges_and_promotes(parts: list[Package]) -> None:
    first, last = parts
    assert not {"report", "promote-best"} & names(first)
    assert {"report", "promote-best"} < names(last)
    assert {"acquire", "prepare", "real-arms"} < names(first) & names(last)


def test_last_part_takes_the_other_parts_runs_by_the_trial(parts: list[Package], compiled: Package) -> None:
    for step in ("exec-report", "exec-promote"):
        (runs,) = {text for text in containers(parts[1])[step]["args"] if text.startswith(("runs:", "trial:"))}
        assert runs.startswith("trial:{{$.inputs.parameters['runs']}}")
        (runs,) = {text for text in containers(compiled)[step]["args"] if text.startswith(("runs:", "trial:"))}
        assert runs.startswith("runs:")


def test_parts_share_settings_lineage_and_the_cache_of_their_data(parts: list[Package], compiled: Package) -> None:
    given = [{**package.arguments} for package in parts]
    assert given[0] == given[1]
    for package, cached in ((parts[0], True), (parts[1], True), (compiled, False)):
        tasks = package.spec["components"]["comp-exit-handler-1"]["dag"]["tasks"]
        assert bool(tasks["acquire"]["cachingOptions"].get("enableCache")) is cached
        assert tasks["prepare"]["cachingOptions"]["enableCache"] is True


def test_compile_writes_a_file_for_each_part_with_its_size(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(experiment, "MOST_ARMS", 24)
    words = ["--set", "trial.cells=[0, 1, 2]", "--params", PARAMS, "--output", tmp_path / "trial.yaml"]
    assert run(monkeypatch, "compile", "--image", IMAGE, *words) == 0
    assert sorted(path.name for path in tmp_path.iterdir()) == ["trial-1-of-2.yaml", "trial-2-of-2.yaml"]
    told = capsys.readouterr().out
    assert "trial-1-of-2.yaml: 2 painters, 12 arms without synthetic slices, 12 with; " in told
    assert f"--package {tmp_path}/trial-1-of-2.yaml --package {tmp_path}/trial-2-of-2.yaml" in told


def test_parts_are_submitted_one_after_the_other(
    monkeypatch: pytest.MonkeyPatch, kubeflow: Kubeflow, parts: list[Package], capsys: pytest.CaptureFixture[str]
) -> None:
    kubeflow.progress = [{"state": "SUCCEEDED"}]
    words = [word for package in parts for word in ("--package", package.path)]
    host = ["--host", kubeflow.host, "--no-check"]
    assert run(monkeypatch, "submit", *words, *host) == 2
    assert "names 2 parts, which run one after the other; add --wait" in capsys.readouterr().err
    assert not kubeflow.runs
    assert run(monkeypatch, "submit", *words, *host, "--wait", "--poll", "0") == 0
    assert len(kubeflow.runs) == 2
    calls = kubeflow.calls()
    started = [number for number, call in enumerate(calls) if call == "POST /runs"]
    assert "GET /runs/run-1" in calls[started[0] : started[1]]  # the first one had ended by then


def test_part_that_fails_keeps_the_next_from_starting(
    monkeypatch: pytest.MonkeyPatch, kubeflow: Kubeflow, parts: list[Package]
) -> None:
    kubeflow.progress = [{"state": "FAILED"}]
    words = [word for package in parts for word in ("--package", package.path)]
    host = ["--host", kubeflow.host, "--no-check", "--wait", "--poll", "0"]
    assert run(monkeypatch, "submit", *words, *host) == 1
    assert len(kubeflow.runs) == 1


def test_lists_of_arms_lie_in_the_parts(parts: list[Package]) -> None:
    found = []
    for package in parts:
        for task in package.spec["components"]["comp-exit-handler-1"]["dag"]["tasks"].values():
            if "parameterIterator" in task:
                found += json.loads(task["parameterIterator"]["items"]["raw"])
    assert len(found) == len(set(found)) == 36
