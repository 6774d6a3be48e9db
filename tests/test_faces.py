"""The faces - command line, dvc.yaml, MLproject, components - name the same stages and the same paths."""

from __future__ import annotations

import ast
import inspect
import os
import re
import shutil
import sqlite3
import subprocess
import sys
from collections.abc import Callable, Iterable, Iterator
from contextlib import closing
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import yaml
from click.testing import CliRunner

from nephrite.cli import COMMANDS, PUBLISH, ROLES, STAGES, USE, group, stage_paths
from nephrite.config import AcquireSettings, Config, load_config
from nephrite.execution import stage_function

ROOT = Path(__file__).resolve().parent.parent
SOURCE = ROOT / "src"
SYNTHETIC = "_synthetic"  # the stages of the arms that see synthetic slices carry this ending
LONGEST_COMPONENT = 25
BY_ARM = ("train_segmenter", "evaluate")
BY_PAINTER = ("train_gan", "synthesize", "screen")
ONE = {"item.synthesizer": "pix2pix", "item.fraction": "1.0", "item.cell": "0"}  # what MLproject's defaults work on
OUTPUTS = {
    "acquire": "raw",
    "prepare": "pairs",
    "train_gan": "synthesizer",
    "synthesize": "painted",
    "screen": "synthetic",
    "train_segmenter": "segmenter",
    "evaluate": "scores",
    "report": "report",
    "promote": "promotion",
    "predict": "masks",
}
# Modules that compute nothing that a stage writes: settings are tracked value by value in `params`, errors and the
# record leave no trace in an output, whole or absent is all that files.py decides.
WITHOUT_EFFECT = {
    f"nephrite.{name}"
    for name in ("cli", "config", "errors", "files", "recording", "tracking", "tracking_address", "lineage", "commit")
} | {"nephrite.progress"}
# where it is computed, kept and recorded, and what is done with the result; not what the trial is
UNTRACKED_SECTIONS = {"compute", "publish", "predict", "tracking"}


def dvc_stages() -> dict[str, dict[str, Any]]:
    """The stages as they stand in dvc.yaml, templates unresolved."""
    stages: dict[str, dict[str, Any]] = yaml.safe_load((ROOT / "dvc.yaml").read_text(encoding="utf-8"))["stages"]
    return stages


def entry_points() -> dict[str, dict[str, Any]]:
    """The entry points as they stand in MLproject."""
    points: dict[str, dict[str, Any]] = yaml.safe_load((ROOT / "MLproject").read_text(encoding="utf-8"))["entry_points"]
    return points


def stage_of(name: str) -> str:
    """The stage behind a name that may carry the ending of the synthetic arms."""
    return name.removesuffix(SYNTHETIC)


def flags(command: str) -> dict[str, str]:
    """Options of a `nephrite` command: name -> value, '--params' and '--set' left out."""
    found = re.findall(r"--([a-z-]+)[ =]+(\S+)", command)
    return {name.replace("-", "_"): value for name, value in found if name not in ("params", "set")}


def all_paths(stage: str) -> set[str]:
    """Paths of a stage, but for the teacher.

    It spares a training and changes no result; arms wait for other arms only in `nephrite trial`.
    """
    return set(stage_paths(stage_function(stage))) - {"teacher"}


def expected_paths(name: str) -> set[str]:
    """Paths that a face must give: all of the signature, but no synthetic slices to the arms that see none."""
    paths = all_paths(stage_of(name))
    return paths - {"synthetic"} if name == "train_segmenter" else paths


@cache
def module_file(module: str) -> Path | None:
    """The file of a module of the package, None if the name is no module."""
    base = SOURCE.joinpath(*module.split("."))
    return next((path for path in (base.with_suffix(".py"), base / "__init__.py") if path.is_file()), None)


@cache
def imports(module: str) -> frozenset[str]:
    """Modules of the package that a module imports, at the top or inside a function."""
    path = module_file(module)
    assert path is not None, f"no module {module}"
    nodes = list(ast.walk(ast.parse(path.read_text(encoding="utf-8"))))
    names = {alias.name for node in nodes if isinstance(node, ast.Import) for alias in node.names}
    for node in nodes:
        if isinstance(node, ast.ImportFrom) and node.module and node.module.startswith("nephrite"):
            inside = {f"{node.module}.{alias.name}" for alias in node.names}
            names |= {name for name in inside if module_file(name)} or {node.module}
    return frozenset(name for name in names if name.startswith("nephrite.") and module_file(name))


def closure(module: str) -> set[str]:
    """A module and all that it imports, directly or not, without what has no effect on outputs."""
    found, waiting = {module}, [module]
    while waiting:
        new = imports(waiting.pop()) - found - WITHOUT_EFFECT
        found |= new
        waiting.extend(new)
    return found


def covered(paths: Iterable[str]) -> Iterator[Path]:
    """Source files under the given files and folders of the project."""
    for path in paths:
        place = ROOT / path
        yield from place.rglob("*.py") if place.is_dir() else [place]


def code_of(stage: str) -> set[str]:
    """Files whose change may change what the stage writes, relative to the project."""
    files = {module_file(module) for module in closure(f"nephrite.stages.{stage}")}
    return {str(path.relative_to(ROOT)) for path in files if path is not None}


def sections_of(stage: str) -> tuple[set[str], set[str]]:
    """Sections of the settings that are read as `config.SECTION`, and those that the stage names as text."""
    texts = [path.read_text(encoding="utf-8") for path in map(module_file, closure(f"nephrite.stages.{stage}")) if path]
    known = set(load_config(ROOT / "params.yaml").model_dump()) - {"arm"} - UNTRACKED_SECTIONS
    read = {name for text in texts for name in re.findall(r"\bconfig\.([a-z_0-9]+)", text)}
    named = {name for text in texts for name in re.findall(r"[\"']([a-z_]+)[\"']", text)}
    return read & known, named & known


def test_every_stage_takes_config_and_run_then_paths_only() -> None:
    for stage in STAGES | USE:
        parameters = inspect.signature(stage_function(stage)).parameters.values()
        assert [p.name for p in parameters if p.kind is p.POSITIONAL_OR_KEYWORD] == ["config", "run"], stage
        assert all("Path" in str(p.annotation) for p in parameters if p.kind is p.KEYWORD_ONLY), stage
        assert set(stage_paths(stage_function(stage))) <= set(ROLES), stage


@pytest.mark.parametrize("stage", STAGES | USE)
def test_command_has_one_option_per_path(stage: str) -> None:
    shown = CliRunner().invoke(group, [stage.replace("_", "-"), "--help"])
    assert shown.exit_code == 0
    for path in stage_paths(stage_function(stage)):
        assert f"--{path.replace('_', '-')} PATH" in shown.output


@pytest.mark.parametrize(("face", "expected"), [(dvc_stages, STAGES), (entry_points, STAGES | USE)])
def test_face_has_every_stage_and_no_other(face: Any, expected: dict[str, str]) -> None:
    assert {stage_of(name) for name in face()} == set(expected)


@pytest.mark.parametrize("name", dvc_stages())
def test_dvc_stage_calls_its_command_with_all_paths(name: str) -> None:
    command = dvc_stages()[name]["cmd"]
    assert command.startswith(f"nephrite {stage_of(name).replace('_', '-')} ")
    assert set(flags(command)) == expected_paths(name)
    assert ("--set arm=" in command) == (stage_of(name) in BY_ARM)
    assert ("--set painter=" in command) == (name in BY_PAINTER)


@pytest.mark.parametrize("name", dvc_stages())
def test_dvc_inputs_and_outputs_are_the_paths_of_the_command(name: str) -> None:
    stage, paths = dvc_stages()[name], flags(dvc_stages()[name]["cmd"])
    output = OUTPUTS[stage_of(name)]
    outs = {
        place if isinstance(place, str) else next(iter(place))
        for key in ("outs", "metrics")
        for place in stage.get(key, [])
    }
    assert outs == {paths[output]}
    assert {dep for dep in stage.get("deps", []) if not dep.startswith("src/")} == set(paths.values()) - outs


@pytest.mark.parametrize("name", dvc_stages())
def test_dvc_code_is_exactly_what_the_stage_imports(name: str) -> None:
    listed = {
        str(path.relative_to(ROOT)) for path in covered(d for d in dvc_stages()[name]["deps"] if d.startswith("src/"))
    }
    needed = code_of(stage_of(name))
    assert not needed - listed, "add to deps"
    assert not {path for path in listed - needed if not path.endswith("__init__.py")}, "remove from deps"


@pytest.mark.parametrize("name", dvc_stages())
def test_dvc_params_are_the_sections_that_the_stage_reads(name: str) -> None:
    listed = {param.split(".")[0] for param in dvc_stages()[name].get("params", [])}
    read, named = sections_of(stage_of(name))
    assert not read - listed, "add to params"
    assert not listed - read - named, "remove from params"


def test_dvc_knows_every_setting_of_acquire_that_decides_what_it_brings() -> None:
    listed = {param.removeprefix("acquire.") for param in dvc_stages()["acquire"]["params"]}
    assert listed == set(AcquireSettings.model_fields) - {"workers"}


@pytest.mark.parametrize("name", entry_points())
def test_entry_point_calls_its_command_with_all_paths(name: str) -> None:
    command = entry_points()[name]["command"]
    assert command.startswith(f"nephrite {stage_of(name).replace('_', '-')} ")
    assert flags(command) == {path: f"{{{path}}}" for path in expected_paths(name)}
    assert set(re.findall(r"\{(\w+)\}", command)) == set(entry_points()[name]["parameters"])


@pytest.mark.parametrize("name", entry_points())
def test_entry_point_takes_inputs_as_path_and_outputs_as_string(name: str) -> None:
    types = {key: value["type"] for key, value in entry_points()[name]["parameters"].items()}
    output = OUTPUTS[stage_of(name)]
    inputs = expected_paths(name) - {output}
    assert types.pop(output) == "string", "MLflow refuses a path that does not exist yet"
    assert {key for key, kind in types.items() if kind == "path"} == inputs | {"params"}


@pytest.mark.parametrize("name", [name for name in dvc_stages() if name not in BY_ARM and not name.endswith(SYNTHETIC)])
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
    done = mlflow_run(tmp_path, "-e", "acquire", "-P", "set=acquire.phantom.patients=2")
    assert done.returncode == 0, done.stderr
    assert len(list((tmp_path / "data" / "raw").iterdir())) == 2
    with closing(sqlite3.connect(tmp_path / "mlflow.db")) as database:
        rows = database.execute("select value from metrics where key = 'cases'").fetchall()
        states = database.execute("select status from runs where run_uuid in (select run_uuid from metrics)").fetchall()
    assert rows == [(2.0,)]
    assert states == [("FINISHED",)]

    refused = mlflow_run(tmp_path, "-e", "prepare", "-P", "raw=nowhere")
    assert refused.returncode != 0
    assert "nowhere" in refused.stderr
    assert not (tmp_path / "data" / "prepared").exists()


def components() -> dict[str, str]:
    """Source of each component, by its file's name."""
    return {path.stem: path.read_text(encoding="utf-8") for path in (ROOT / "components").glob("[a-z]*.py")}


def test_there_is_a_component_for_every_command() -> None:
    assert set(components()) == set(COMMANDS)


@pytest.mark.parametrize("stage", STAGES | USE | {PUBLISH: ""})
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
