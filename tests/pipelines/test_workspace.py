"""Large data on a volume of the run: who gets its path, what is gone, and what stays as it was."""

from __future__ import annotations

from typing import Any

import pytest
from kfp.components import load_component_from_text
from kfp.dsl import WORKSPACE_PATH_PLACEHOLDER

from pipelines.package import Package

PATH = "{{$.inputs.parameters['workspace']}}"
OUTSIDE = {"promote", "close-trial"}  # they read neither scans nor slices


def tasks(package: Package) -> dict[str, dict[str, Any]]:
    """Every task of every level that runs a container."""
    levels = [package.spec["root"], *package.spec["components"].values()]
    found = {name: task for level in levels for name, task in level.get("dag", {}).get("tasks", {}).items()}
    return {name: task for name, task in found.items() if f"exec-{name}" in package.spec["deploymentSpec"]["executors"]}


def arguments(package: Package, name: str) -> list[str]:
    """The arguments of a step's command."""
    told: list[str] = package.spec["deploymentSpec"]["executors"][f"exec-{name}"]["container"]["args"]
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
        ("synthesize", "--synthetic", "synthetic"),
        ("train-segmenter", "--pairs", "pairs"),
        ("train-segmenter-2", "--synthetic", "synthetic"),
        ("evaluate-2", "--pairs", "pairs"),
        ("report", "--synthetic", "synthetic"),
        ("publish", "--data", "synthetic"),
    ],
)
def test_step_finds_large_data_in_the_workspace(
    compiled_workspace: Package, step: str, option: str, folder: str
) -> None:
    told = arguments(compiled_workspace, step)
    assert told[told.index(option) + 1] == f"{PATH}/{folder}"


def test_no_large_data_are_left_among_the_artifacts(compiled_workspace: Package, compiled: Package) -> None:
    gone = {"raw", "pairs", "synthetic", "data"}
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
        definitions = compiled_workspace.spec["components"][f"comp-{name}"]["inputDefinitions"]["parameters"]
        assert definitions["workspace"] == {"parameterType": "STRING"}


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
    assert arguments(compiled_workspace, "promote") == arguments(compiled, "promote")
    assert {**compiled_workspace.arguments} == compiled.arguments
    told = compiled_workspace.platform["platforms"]["kubernetes"]["deploymentSpec"]
    assert told == compiled.platform["platforms"]["kubernetes"]["deploymentSpec"]


def test_kubeflow_can_read_what_was_rewritten(compiled_workspace: Package) -> None:
    read = load_component_from_text(compiled_workspace.path.read_text(encoding="utf-8"))
    assert set(read.pipeline_spec.components) == set(compiled_workspace.spec["components"])
