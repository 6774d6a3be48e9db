"""Large data in the run's own volume instead of artifacts: the compiled pipeline rewritten, no component written twice.

Kubeflow mounts the volume into a step only if a parameter of the step holds its path, and resolves the path only there
(kubeflow/pipelines, driver: needsWorkspaceMount); so each step that reads or writes large data gets the parameter
`workspace`, and its command finds the data below that. The artifacts go altogether: one that no step wrote would still
be recorded, and looked for in the object store.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from kfp import dsl

from pipelines.cluster import Cluster

LARGE = ("raw", "pairs", "synthetic")
PARAMETER = "workspace"
Node = dict[str, Any]


def pipeline_settings(cluster: Cluster) -> dsl.PipelineConfig | None:
    """The volume that Kubeflow makes for each run, and removes after it; None if the cluster file names none."""
    wanted = cluster.workspace
    if wanted is None:
        return None
    claim: Node = {"accessModes": list(wanted.access_modes)}
    if wanted.storage_class:
        claim["storageClassName"] = wanted.storage_class
    kubernetes = dsl.KubernetesWorkspaceConfig(pvcSpecPatch=claim)
    return dsl.PipelineConfig(workspace=dsl.WorkspaceConfig(size=wanted.size, kubernetes=kubernetes))


def use_workspace(spec: Node) -> None:
    """Let the steps of a compiled pipeline write and read large data in the workspace; their order stays."""
    moved = {name: _declared(component) for name, component in spec["components"].items()}
    for task in _tasks(spec):
        moved[task["componentRef"]["name"]] |= _large_inputs(task)
    touching = {name for name, each in spec["components"].items() if moved[name] and "executorLabel" in each}
    for task in _tasks(spec):
        name = task["componentRef"]["name"]
        _drop(task.get("inputs", {}), moved[name])
        if name in touching:
            task["inputs"]["parameters"][PARAMETER] = {"runtimeValue": {"constant": dsl.WORKSPACE_PATH_PLACEHOLDER}}
            task["cachingOptions"] = {}  # what an earlier run wrote went with its volume
    for name, component in spec["components"].items():
        _drop(component.get("inputDefinitions", {}), moved[name])
        _drop(component.get("outputDefinitions", {}), moved[name])
        if name in touching:
            component["inputDefinitions"]["parameters"][PARAMETER] = {"parameterType": "STRING"}
            container = spec["deploymentSpec"]["executors"][component["executorLabel"]]["container"]
            container["args"] = [_in_workspace(argument, moved[name]) for argument in container["args"]]


def _tasks(spec: Node) -> Iterator[Node]:
    """Every task of every level."""
    for component in (spec["root"], *spec["components"].values()):
        yield from component.get("dag", {}).get("tasks", {}).values()


def _declared(component: Node) -> dict[str, str]:
    """Names of a component's inputs and outputs that hold what they are called, optional inputs without data too."""
    sides = (component.get(side, {}).get("artifacts", {}) for side in ("inputDefinitions", "outputDefinitions"))
    return {name: name for artifacts in sides for name in artifacts if name in LARGE}


def _large_inputs(task: Node) -> dict[str, str]:
    """Names of a task's large inputs, each with what it holds, e.g. 'data' with 'synthetic'."""
    found = {}
    for name, source in task.get("inputs", {}).get("artifacts", {}).items():
        told = source.get("taskOutputArtifact", {}).get("outputArtifactKey") or source["componentInputArtifact"]
        content = told.rpartition("-")[2]  # inside loops and conditions it is 'pipelinechannel--STEP-NAME'
        if content in LARGE:
            found[name] = content
    return found


def _in_workspace(argument: str, moved: dict[str, str]) -> str:
    for name, content in moved.items():
        for side in ("inputs", "outputs"):
            place = f"{{{{$.inputs.parameters['{PARAMETER}']}}}}/{content}"
            argument = argument.replace(f"{{{{$.{side}.artifacts['{name}'].path}}}}", place)
    return argument


def _drop(places: Node, moved: dict[str, str]) -> None:
    """Take the moved artifacts out of a list of inputs or outputs, and the list when nothing is left of it."""
    kept = {name: told for name, told in places.pop("artifacts", {}).items() if name not in moved}
    if kept:
        places["artifacts"] = kept
