"""Large data on a volume of the run: who gets its path, what is gone, and what stays as it was."""

from __future__ import annotations

import json
from typing import Any

import pytest
from kfp.components import load_component_from_text
from kfp.dsl import WORKSPACE_PATH_PLACEHOLDER

from nephrite_kubeflow.package import Package

PATH = "{{$.inputs.parameters['workspace']}}"
PAINTER = "{{$.inputs.parameters['painter']}}"
OUTSIDE = {"close-trial"}  # it reads neither scans nor slices


def tasks(package: Package) -> dict[str, dict[str, Any]]:
    """Every task of every level that runs a container."""
    levels = [package.spec["root"], *package.spec["components"].values()]
    found = {name: task for level in levels for name, task in level.get("dag", {}).get("tasks", {}).items()}
    return {name: task for name, task in found.items() if label(package, task)}


def label(package: Package, task: dict[str, Any]) -> str | None:
    """The name of what runs a task; None for a loop or a condition."""
    told: str | None = package.spec["components"][task["componentRef"]["name"]].get("executorLabel")
    return told


def arguments(package: Package, name: str) -> list[str]:
    """The arguments of a step's command."""
    executor = label(package, tasks(package)[name])
    told: list[str] = package.spec["deploymentSpec"]["executors"][executor]["container"]["args"]
    return told


def artifacts(package: Package) -> set[str]:
    """Names of all artifacts that any component takes or gives."""
    definitions = [
        component.get(side, {}).get("artifacts", {})
        for component in package.spec["components"].values()
        for side in ("inputDefinitions", "outputDefinitions")
    ]
    return {name.rpartition("-")[2] for each in definitions for name in each}


def test_cluster_is_asked_for_a_volume_of_this_size_and_class(compiled_workspace: Package, compiled: Package) -> None:
    asked = compiled_workspace.platform["platforms"]["kubernetes"]["pipelineConfig"]["workspace"]
    assert asked["size"] == "200Gi"
    assert asked["kubernetes"]["pvcSpecPatch"] == {"accessModes": ["ReadWriteMany"], "storageClassName": "shared"}
    assert not compiled.platform["platforms"]["kubernetes"].get("pipelineConfig", {}).get("workspace")


@pytest.mark.parametrize(
    ("step", "option", "folder"),
    [
        ("acquire", "--raw", "raw"),
        ("prepare", "--raw", "raw"),
        ("prepare", "--pairs", "pairs"),
        ("train-gan", "--pairs", "pairs"),
        ("synthesize", "--painted", f"painted/{PAINTER}"),
        ("screen", "--painted", f"painted/{PAINTER}"),
        ("screen", "--synthetic", f"synthetic/{PAINTER}"),
        ("train-segmenter", "--pairs", "pairs"),
        ("train-segmenter-2", "--synthetic", f"synthetic/{PAINTER}"),
        ("evaluate-2", "--pairs", "pairs"),
        ("report", "--synthetic", f"synthetic/{PAINTER}"),
        ("publish", "--data", f"synthetic/{PAINTER}"),
    ],
)
def test_step_finds_large_data_in_the_workspace(
    compiled_workspace: Package, step: str, option: str, folder: str
) -> None:
    told = arguments(compiled_workspace, step)
    assert told[told.index(option) + 1] == f"{PATH}/{folder}"


def test_no_large_data_are_left_among_the_artifacts(compiled_workspace: Package, compiled: Package) -> None:
    gone = {"raw", "pairs", "painted", "synthetic", "data"}
    assert gone <= artifacts(compiled)
    assert artifacts(compiled_workspace) == artifacts(compiled) - gone
    passed = [name for task in tasks(compiled_workspace).values() for name in task["inputs"].get("artifacts", {})]
    assert set(passed) == {"synthesizer", "segmenter", "report"}


def test_steps_that_touch_the_workspace_are_given_its_path_so_that_it_is_mounted(compiled_workspace: Package) -> None:
    given = {
        name: task["inputs"]["parameters"].get("workspace", {}).get("runtimeValue", {}).get("constant")
        for name, task in tasks(compiled_workspace).items()
    }
    assert {name for name, place in given.items() if place is None} == OUTSIDE
    assert {place for name, place in given.items() if name not in OUTSIDE} == {WORKSPACE_PATH_PLACEHOLDER}
    for name in given.keys() - OUTSIDE:
        component = tasks(compiled_workspace)[name]["componentRef"]["name"]
        definitions = compiled_workspace.spec["components"][component]["inputDefinitions"]["parameters"]
        assert definitions["workspace"] == {"parameterType": "STRING"}


def test_every_painter_has_its_folders_and_no_other_step_reads_them(compiled_grown_workspace: Package) -> None:
    found = tasks(compiled_grown_workspace)
    told = {name: task["inputs"]["parameters"].get("painter") for name, task in found.items()}
    for number in range(2, 9):
        painter = told[f"screen-{number}"]
        assert painter is not None
        assert told[f"synthesize-{number}"] == told[f"publish-{number}"] == painter
        assert told[f"train-segmenter-{number + 1}"] == painter
    assert len({json.dumps(told[f"screen-{number}"]) for number in range(2, 9)}) == 7
    assert told["report"] == told["screen"] != told["screen-2"]
    assert told["train-segmenter"] is told["prepare"] is told["evaluate-2"] is None


def test_steps_declare_what_they_are_told(compiled_grown_workspace: Package) -> None:
    for name, task in tasks(compiled_grown_workspace).items():
        component = compiled_grown_workspace.spec["components"][task["componentRef"]["name"]]
        declared = component["inputDefinitions"]["parameters"]
        assert set(declared) == set(task["inputs"]["parameters"]), name


def test_cache_is_off_for_all_that_touch_the_workspace(compiled_workspace: Package) -> None:
    cached = {name for name, task in tasks(compiled_workspace).items() if task["cachingOptions"].get("enableCache")}
    assert cached == set()


def test_order_of_the_steps_stays(compiled_workspace: Package, compiled: Package) -> None:
    def order(package: Package) -> dict[str, dict[str, list[str]]]:
        levels = {"root": package.spec["root"], **package.spec["components"]}
        return {
            name: {task: told.get("dependentTasks", []) for task, told in level["dag"]["tasks"].items()}
            for name, level in levels.items()
            if "dag" in level
        }

    assert order(compiled_workspace) == order(compiled)
    assert order(compiled)["comp-exit-handler-1"]["prepare"] == ["acquire"]


def test_rest_of_the_pipeline_stays(compiled_workspace: Package, compiled: Package) -> None:
    assert arguments(compiled_workspace, "close-trial") == arguments(compiled, "close-trial")
    assert {**compiled_workspace.arguments} == compiled.arguments
    told = compiled_workspace.platform["platforms"]["kubernetes"]["deploymentSpec"]
    assert told == compiled.platform["platforms"]["kubernetes"]["deploymentSpec"]


def test_kubeflow_can_read_what_was_rewritten(compiled_workspace: Package) -> None:
    read = load_component_from_text(compiled_workspace.path.read_text(encoding="utf-8"))
    assert set(read.pipeline_spec.components) == set(compiled_workspace.spec["components"])
