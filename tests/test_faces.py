"""The faces - command line, dvc.yaml, MLproject, components - name the same stages and the same paths."""

from __future__ import annotations

import inspect
import os
import re
import shutil
import sqlite3
import subprocess
import sys
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
import yaml
from click.testing import CliRunner

from nephrite.cli import COMMANDS, USE, group
from nephrite.config import Config, load_config
from nephrite.execution import stage_function
from nephrite.signatures import APART, PATHS, STAGES

ROOT = Path(__file__).resolve().parent.parent
SIGNATURES = {**STAGES, **APART}
# dvc.yaml has matrices of their own for arms that see synthetic slices, and for those without any label
ENDINGS = ("_synthetic", "_unlabeled")
LONGEST_COMPONENT = 30
BY_ARM = ("train_segmenter", "evaluate")
BY_PAINTER = ("train_gan", "synthesize", "screen")
ONE = {"item.synthesizer": "pix2pix", "item.fraction": "1.0", "item.cell": "0"}  # what MLproject's defaults work on
RESOLVE = "resolve"  # writes what the others depend on


def dvc_stages() -> dict[str, dict[str, Any]]:
    """The stages as they stand in dvc.yaml, templates unresolved."""
    stages: dict[str, dict[str, Any]] = yaml.safe_load((ROOT / "dvc.yaml").read_text(encoding="utf-8"))["stages"]
    return stages


def jobs() -> dict[str, dict[str, Any]]:
    """Those of a trial."""
    return {name: stage for name, stage in dvc_stages().items() if name != RESOLVE}


def entry_points() -> dict[str, dict[str, Any]]:
    """The entry points as they stand in MLproject."""
    points: dict[str, dict[str, Any]] = yaml.safe_load((ROOT / "MLproject").read_text(encoding="utf-8"))["entry_points"]
    return points


def stage_of(name: str) -> str:
    """The stage behind a name that may carry an ending."""
    return next((name.removesuffix(ending) for ending in ENDINGS if name.endswith(ending)), name)


def flags(command: str) -> dict[str, str]:
    """Options of a `nephrite` command: name -> value, '--params' and '--set' left out."""
    found = re.findall(r"--([a-z-]+)[ =]+(\S+)", command)
    return {name.replace("-", "_"): value for name, value in found if name not in ("params", "set")}


def all_paths(stage: str) -> set[str]:
    """Paths of a stage, but for the teacher and what a program in an image of its own made.

    The one spares a training and changes no result; arms wait for other arms only in `nephrite trial`. The other only a
    pipeline of a cluster has.
    """
    return set(SIGNATURES[stage].paths) - {"teacher", "done"}


def expected_paths(name: str) -> set[str]:
    """Paths that a face must give: all of the signature, but no synthetic slices to the arms that see none."""
    paths = all_paths(stage_of(name))
    return paths - {"synthetic"} if name == "train_segmenter" else paths


def test_every_stage_takes_config_and_run_then_paths_only() -> None:
    for stage, signature in SIGNATURES.items():
        parameters = inspect.signature(stage_function(stage)).parameters.values()
        assert [p.name for p in parameters if p.kind is p.POSITIONAL_OR_KEYWORD] == ["config", "run"], stage
        paths = [p for p in parameters if p.kind is p.KEYWORD_ONLY]
        assert all("Path" in str(p.annotation) for p in paths), stage
        assert {p.name: p.default is p.empty for p in paths} == signature.paths, stage
        assert set(signature.paths) <= set(PATHS), stage


@pytest.mark.parametrize("stage", SIGNATURES)
def test_command_has_one_option_per_path(stage: str) -> None:
    shown = CliRunner().invoke(group, [stage.replace("_", "-"), "--help"])
    assert shown.exit_code == 0
    for path in SIGNATURES[stage].paths:
        assert f"--{path.replace('_', '-')} PATH" in shown.output


@pytest.mark.parametrize(("face", "expected"), [(jobs, {*STAGES}), (entry_points, {*STAGES, *USE})])
def test_face_has_every_stage_and_no_other(face: Any, expected: set[str]) -> None:
    assert {stage_of(name) for name in face()} == expected


@pytest.mark.parametrize("name", jobs())
def test_dvc_stage_calls_its_command_with_all_paths(name: str) -> None:
    command = dvc_stages()[name]["cmd"]
    assert command.startswith(f"nephrite {stage_of(name).replace('_', '-')} ")
    assert set(flags(command)) == expected_paths(name)
    assert ("--set arm=" in command) == (stage_of(name) in BY_ARM)
    assert ("--set painter=" in command) == (stage_of(name) in BY_PAINTER)


@pytest.mark.parametrize("name", jobs())
def test_dvc_inputs_and_outputs_are_the_paths_of_the_command(name: str) -> None:
    stage, paths = dvc_stages()[name], flags(dvc_stages()[name]["cmd"])
    output = SIGNATURES[stage_of(name)].output
    outs = {
        place if isinstance(place, str) else next(iter(place))
        for key in ("outs", "metrics")
        for place in stage.get(key, [])
    }
    beside = SIGNATURES[stage_of(name)].beside
    assert outs == {paths[output], *([paths[beside]] if beside else [])}
    assert {dep for dep in stage.get("deps", []) if not dep.startswith("resolved/")} == set(paths.values()) - outs


@pytest.mark.parametrize("name", jobs())
def test_dvc_stage_depends_on_its_own_resolved_file(name: str) -> None:
    """Settings and code are no list of dvc.yaml's: `nephrite resolve` writes them, a file for each job."""
    unit = re.search(r"--set (?:arm|painter)=(\S+)", dvc_stages()[name]["cmd"])
    wanted = "/".join(["resolved", stage_of(name), *([unit[1]] if unit else [])]) + ".yaml"
    resolved = [dep for dep in dvc_stages()[name]["deps"] if dep.startswith("resolved/")]
    assert resolved == [wanted]
    assert "params" not in dvc_stages()[name]


def test_dvc_resolves_from_all_settings_and_from_the_lock_of_the_code() -> None:
    stage = dvc_stages()[RESOLVE]
    assert stage == {
        "cmd": "nephrite resolve --resolved resolved",
        "deps": ["code.lock", "src/nephrite"],  # the folder: a lock that was not renewed is seen
        "params": [{"params.yaml": None}],
        "outs": [{"resolved": {"cache": False}}],  # holds paths of folders: neither kept nor pushed
    }


def test_no_face_lists_a_source_file() -> None:
    assert not re.findall(r"src/\S+\.py", (ROOT / "dvc.yaml").read_text(encoding="utf-8"))


@pytest.mark.parametrize("name", entry_points())
def test_entry_point_calls_its_command_with_all_paths(name: str) -> None:
    command = entry_points()[name]["command"]
    assert command.startswith(f"nephrite {stage_of(name).replace('_', '-')} ")
    assert flags(command) == {path: f"{{{path}}}" for path in expected_paths(name)}
    assert set(re.findall(r"\{(\w+)\}", command)) == set(entry_points()[name]["parameters"])


@pytest.mark.parametrize("name", entry_points())
def test_entry_point_takes_inputs_as_path_and_outputs_as_string(name: str) -> None:
    types = {key: value["type"] for key, value in entry_points()[name]["parameters"].items()}
    signature = SIGNATURES[stage_of(name)]
    outputs = {signature.output, signature.beside} - {None}
    inputs = expected_paths(name) - outputs
    assert {types.pop(output) for output in outputs} == {"string"}, "MLflow refuses a path that does not exist yet"
    assert {key for key, kind in types.items() if kind == "path"} == inputs | {"params"}


@pytest.mark.parametrize("name", [name for name in jobs() if name not in BY_ARM and not name.endswith(ENDINGS)])
def test_entry_point_and_dvc_stage_use_the_same_places(name: str) -> None:
    defaults = {key: value.get("default") for key, value in entry_points()[name]["parameters"].items()}
    command = re.sub(r"\$\{([a-z.]+)\}", lambda found: ONE[found[1]], dvc_stages()[name]["cmd"])
    assert {key: defaults[key] for key in expected_paths(name)} == flags(command)


def mlflow_run(place: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run `mlflow run` on a copy of MLproject with small settings."""
    for name in ("MLproject", "python_env.yaml"):
        shutil.copy(ROOT / name, place / name)
    binaries = Path(sys.executable).parent
    variables = {"MLFLOW_TRACKING_URI": f"sqlite:///{place}/mlflow.db", "PATH": f"{binaries}:{os.environ['PATH']}"}
    return subprocess.run(
        [binaries / "mlflow", "run", ".", "--env-manager=local", *arguments],
        cwd=place,
        env={**os.environ, **variables},
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.mark.slow
def test_mlflow_run_records_a_stage_with_its_settings(load: Callable[..., Config], tmp_path: Path) -> None:
    (tmp_path / "params.yaml").write_text(yaml.safe_dump(load().model_dump(mode="json")))
    project = ("--experiment-name", load().tracking.experiment)
    done = mlflow_run(tmp_path, "-e", "acquire", *project, "-P", "set=acquire.phantom.patients=2")
    assert done.returncode == 0, done.stderr
    assert len(list((tmp_path / "data" / "raw").glob("case_*"))) == 2
    with closing(sqlite3.connect(tmp_path / "mlflow.db")) as database:
        rows = database.execute("select value from metrics where key = 'cases'").fetchall()
        places = database.execute(
            "select experiments.name from experiments join runs using (experiment_id) join metrics using (run_uuid)"
        ).fetchall()
        states = database.execute("select status from runs where run_uuid in (select run_uuid from metrics)").fetchall()
    assert rows == [(2.0,)]
    assert states == [("FINISHED",)]
    assert {*places} == {("nephrite",)}

    refused = mlflow_run(tmp_path, "-e", "prepare", "-P", "raw=nowhere")
    assert refused.returncode != 0
    assert "nowhere" in refused.stderr
    assert not (tmp_path / "data" / "prepared").exists()


@pytest.mark.parametrize("place", ["MLproject", "docs/commands.md"])
def test_settings_in_examples_of_mlflow_run_can_be_set(place: str) -> None:
    text = (ROOT / place).read_text(encoding="utf-8")
    examples = re.findall(r"-P set=(\S+)", text)
    assert examples
    for example in examples:
        load_config(ROOT / "params.yaml", [example])
    assert all("--experiment-name nephrite" in line for line in re.findall(r"mlflow run \..*", text))


def test_a_trial_without_settings_is_refused_before_anything_is_installed(tmp_path: Path) -> None:
    shutil.copy(ROOT / "Makefile", tmp_path / "Makefile")
    done = subprocess.run(["make", "trial"], cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode != 0
    assert "name the params file: make trial CONFIG=configs/lidc.yaml" in done.stderr
    assert [path.name for path in tmp_path.iterdir()] == ["Makefile"]


def components() -> dict[str, str]:
    """Source of each component, by its file's name."""
    return {path.stem: path.read_text(encoding="utf-8") for path in (ROOT / "components").glob("[a-z]*.py")}


def test_there_is_a_component_for_every_command() -> None:
    assert set(components()) == {*COMMANDS, "run_order"}  # the script of an order, in somebody else's image


@pytest.mark.parametrize("stage", SIGNATURES)
def test_component_calls_its_command_with_all_paths(stage: str) -> None:
    text = components()[stage]
    assert f'command=["nephrite", "{stage.replace("_", "-")}"]' in text
    assert {path for path in all_paths(stage) if f'"--{path.replace("_", "-")}"' in text} == all_paths(stage)
    assert len(text.splitlines()) <= LONGEST_COMPONENT


@pytest.mark.parametrize("stage", COMMANDS)
def test_component_gives_only_options_that_the_command_has(stage: str) -> None:
    shown = CliRunner().invoke(group, [stage.replace("_", "-"), "--help"]).output
    given = set(re.findall(r'"(--[a-z-]+)"', components()[stage]))
    assert {"--params-text"} <= given
    assert not {option for option in given if f"{option} " not in shown}
