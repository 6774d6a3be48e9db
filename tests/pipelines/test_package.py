"""The compiled file: whole, readable again, named by its commit."""

from __future__ import annotations

import json
import subprocess
from dataclasses import replace
from pathlib import Path

import pytest

from nephrite.config import load_config
from nephrite_kubeflow import augmentation
from nephrite_kubeflow.cluster import CLUSTER_FILE, load_cluster
from nephrite_kubeflow.errors import PipelineError
from nephrite_kubeflow.experiment import Experiment
from nephrite_kubeflow.package import Package, lineage_of, read_package, write_package
from tests.pipelines.conftest import PARAMS


def test_arguments_are_read_as_they_were_given(compiled: Package) -> None:
    given = compiled.arguments
    assert load_config(PARAMS, text=given["params"]) == load_config(PARAMS)
    assert (given["publish_synthetic"], given["promote_best"]) == ("no", "yes")
    assert set(given) == {"params", "lineage", "publish_synthetic", "promote_best"}


def test_lineage_names_commit_image_and_data(compiled: Package) -> None:
    assert set(compiled.lineage) == {"commit", "image", "data", "pipeline"}
    assert all(isinstance(text, str) for text in compiled.lineage.values())
    assert compiled.lineage["commit"] == "0123456789abcdef0123"


def test_commit_of_the_working_folder_counts_files_that_git_does_not_track(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("GIT_CEILING_DIRECTORIES", str(tmp_path.parent))
    monkeypatch.delenv("NEPHRITE_COMMIT", raising=False)
    assert lineage_of("i", "augmentation", "data")["commit"] == "unknown"
    identity = ["-c", "user.name=t", "-c", "user.email=t@example.org"]
    for words in (["init", "-q"], [*identity, "commit", "-q", "--allow-empty", "-m", "first"]):
        subprocess.run(["git", *words], check=True)
    commit = lineage_of("i", "augmentation", "data")["commit"]
    assert len(commit) == 40
    (tmp_path / "new.txt").touch()
    assert lineage_of("i", "augmentation", "data")["commit"] == f"{commit}-dirty"


def test_settings_of_several_lines_stay_readable(tmp_path: Path) -> None:
    odd = "components:\n'a': \"b\" # ü"
    experiment = Experiment(load_config(PARAMS, [f"prepare.split.salt={json.dumps(odd)}"]))
    write_package(tmp_path / "a.yaml", experiment, load_cluster(CLUSTER_FILE), "i", publish=True, promote=False)
    given = read_package(tmp_path / "a.yaml").arguments
    assert given["params"] == experiment.text
    assert load_config(PARAMS, text=given["params"]).prepare.split.salt == odd
    assert (given["publish_synthetic"], given["promote_best"]) == ("yes", "no")
    assert [path.name for path in tmp_path.iterdir()] == ["a.yaml"]


def test_version_is_the_commit_and_differs_with_the_content(compiled: Package, compiled_gpu: Package) -> None:
    assert compiled.version.startswith("0123456789ab-")
    assert compiled.version != compiled_gpu.version
    assert read_package(compiled.path).version == compiled.version


def test_version_of_a_changed_folder_says_so(compiled: Package) -> None:
    spec = json.loads(json.dumps(compiled.spec))
    lineage = json.dumps({**compiled.lineage, "commit": "0123456789abcdef0123-dirty"})
    spec["root"]["inputDefinitions"]["parameters"]["lineage"]["defaultValue"] = lineage
    assert replace(compiled, spec=spec).version.startswith("0123456789ab-dirty-")


def test_what_the_steps_use_is_read_off_the_file(compiled: Package) -> None:
    assert compiled.claims == {"nephrite-checkpoints"}
    assert set(compiled.secrets) == {"nephrite-env"}
    assert {"MLFLOW_TRACKING_URI", "NEPHRITE_AWS_SECRET_ACCESS_KEY"} < compiled.secrets["nephrite-env"]


@pytest.mark.parametrize("content", [None, "", "a: 1", "a: 1\n---\nb: 2", "[", "pipelineInfo: {name: x}\n---\nb: 2"])
def test_file_that_is_no_compiled_pipeline_is_refused(tmp_path: Path, content: str | None) -> None:
    path = tmp_path / "augmentation.yaml"
    if content is not None:
        path.write_text(content, encoding="utf-8")
    with pytest.raises(PipelineError, match="make it with 'nephrite-pipeline compile'"):
        read_package(path)


def test_failed_compilation_leaves_the_old_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    output = tmp_path / "a.yaml"
    output.write_text("old")
    monkeypatch.setattr(augmentation, "build_pipeline", lambda *_: 1 / 0)
    experiment = Experiment(load_config(PARAMS))
    with pytest.raises(ZeroDivisionError):
        write_package(output, experiment, load_cluster(CLUSTER_FILE), "i", publish=False, promote=True)
    assert output.read_text() == "old"
