"""Components are thin shells: they call the command of their stage, and import nothing but kfp."""

from __future__ import annotations

import ast
import importlib
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).resolve().parents[2]
NAMES = sorted(path.stem for path in (ROOT / "components").glob("[a-z]*.py"))
every_component = pytest.mark.parametrize("name", NAMES)
STRANGE = "run_order"  # the only one whose image is somebody else's


def component(name: str) -> Any:
    """The component of a file, under the file's name."""
    return getattr(importlib.import_module(f"nephrite_kubeflow.components.{name}"), name)


def implementation(name: str) -> Any:
    """What the component runs."""
    return component(name).component_spec.implementation.container


@every_component
def test_component_calls_the_command_of_its_name(name: str) -> None:
    command = implementation(name).command
    assert command[0] == "sh" if name == STRANGE else command == ["nephrite", name.replace("_", "-")]


@every_component
def test_every_input_and_output_reaches_the_command(name: str) -> None:
    spec = component(name).component_spec
    (executor,) = component(name).pipeline_spec.deployment_spec["executors"].values()
    told = " ".join(executor["container"]["args"])
    for place in (*(spec.inputs or ()), *(spec.outputs or ())):
        assert f"'{place}']" in told, place


@every_component
def test_file_is_short_and_imports_kfp_only(name: str) -> None:
    text = (ROOT / "components" / f"{name}.py").read_text(encoding="utf-8")
    modules = {node.module for node in ast.walk(ast.parse(text)) if isinstance(node, ast.ImportFrom)}
    assert modules == {"kfp", "nephrite_kubeflow.components"}
    assert len(text.splitlines()) <= 30


def test_only_what_is_no_stage_stands_beside_the_stages() -> None:
    stages = {path.stem for path in (ROOT / "src" / "nephrite" / "stages").glob("[a-z]*.py")}
    assert set(NAMES) - stages == {"publish", "close_trial", STRANGE} - stages


@pytest.mark.parametrize("name", ["train_gan", "synthesize", "screen"])
def test_steps_of_a_painter_are_told_which_one(name: str) -> None:
    (executor,) = component(name).pipeline_spec.deployment_spec["executors"].values()
    told = list(executor["container"]["args"])
    assert told[told.index("--set") + 1] == "painter={{$.inputs.parameters['painter']}}"


def test_image_of_components_comes_from_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    from nephrite_kubeflow import components

    monkeypatch.setenv("NEPHRITE_IMAGE", "registry.example/nephrite@sha256:1")
    assert importlib.reload(components).IMAGE == "registry.example/nephrite@sha256:1"
    monkeypatch.delenv("NEPHRITE_IMAGE")
    assert importlib.reload(components).IMAGE == "localhost/nephrite:latest"
