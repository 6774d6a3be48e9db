"""Large data in the run's own volume instead of artifacts: the compiled pipeline rewritten, no component written twice.

Kubeflow mounts the volume into a step only if a parameter of the step holds its path, and resolves the path only there
(kubeflow/pipelines, driver: needsWorkspaceMount); so each step that reads or writes large data gets the parameter
`workspace`, and its command finds the data below that. The artifacts go altogether: one that no step wrote would still
be recorded, and looked for in the object store. Painted slices lie in a folder named after their painter (the
synthesizer of one label fraction and cell): steps that
were not told the painter, since they only get its slices, are told it here.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from kfp import dsl

from nephrite_kubeflow.cluster import Cluster

LARGE = ("raw", "pairs", "painted", "synthetic")
BY_PAINTER = ("painted", "synthetic")
PARAMETER, PAINTER = "workspace", "painter"
CHANNEL = "pipelinechannel--"  # of what comes into a loop or a condition: this, the task's name, '-', the output's
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
    # inputs and outputs that move to the volume, per component
    moved = {name: _declared(component) for name, component in spec["components"].items()}
    for _, task in _tasks(spec):
        moved[task["componentRef"]["name"]] |= _large_inputs(task)
    touching = {name for name, each in spec["components"].items() if moved[name] and "executorLabel" in each}
    # tasks: paths on the volume instead of artifacts
    painters, places = _painters(spec), dict[str, Node]()
    for _, task in _tasks(spec):
        name = task["componentRef"]["name"]
        if name in touching:
            places[name] = _places(task, painters)
            task["inputs"]["parameters"] |= places[name]
            task["cachingOptions"] = {}  # never cached: outputs of an earlier run are removed with its volume
        _drop(task.get("inputs", {}), moved[name])
    # components: the same for their declarations and arguments
    for name, component in spec["components"].items():
        _drop(component.get("inputDefinitions", {}), moved[name])
        _drop(component.get("outputDefinitions", {}), moved[name])
        if name in touching:
            component["inputDefinitions"]["parameters"] |= {each: {"parameterType": "STRING"} for each in places[name]}
            container = spec["deploymentSpec"]["executors"][component["executorLabel"]]["container"]
            container["args"] = [_in_workspace(argument, moved[name]) for argument in container["args"]]


def _tasks(spec: Node) -> Iterator[tuple[str, Node]]:
    """Every task of every level, by its name; kfp gives no name twice."""
    for component in (spec["root"], *spec["components"].values()):
        yield from component.get("dag", {}).get("tasks", {}).items()


def _declared(component: Node) -> dict[str, str]:
    """Names of a component's inputs and outputs that hold what they are called, optional inputs without data too."""
    sides = (component.get(side, {}).get("artifacts", {}) for side in ("inputDefinitions", "outputDefinitions"))
    return {name: name for artifacts in sides for name in artifacts if name in LARGE}


def _large_inputs(task: Node) -> dict[str, str]:
    """Names of a task's large inputs, each with what it holds, e.g. 'data' with 'synthetic'."""
    sources = {name: _source(told) for name, told in task.get("inputs", {}).get("artifacts", {}).items()}
    return {name: content for name, (_, content) in sources.items() if content in LARGE}


def _source(told: Node) -> tuple[str, str]:
    """The task that an artifact comes from, and the artifact's name there."""
    if "taskOutputArtifact" in told:
        return told["taskOutputArtifact"]["producerTask"], told["taskOutputArtifact"]["outputArtifactKey"]
    task, _, content = told["componentInputArtifact"].removeprefix(CHANNEL).rpartition("-")
    return task, content


def _painters(spec: Node) -> dict[str, Node]:
    """The painter that a task was told, by the task's name."""
    inputs = {name: task.get("inputs", {}).get("parameters", {}) for name, task in _tasks(spec)}
    return {name: parameters[PAINTER] for name, parameters in inputs.items() if PAINTER in parameters}


def _places(task: Node, painters: dict[str, Node]) -> Node:
    """Parameters that lead a task to its data: the path of the volume, and whose slices it gets."""
    sources = [_source(told) for told in task["inputs"].get("artifacts", {}).values()]
    places: Node = {PARAMETER: {"runtimeValue": {"constant": dsl.WORKSPACE_PATH_PLACEHOLDER}}}
    for producer, content in sources:
        if content in BY_PAINTER:
            places[PAINTER] = painters[producer]
    return places


def _in_workspace(argument: str, moved: dict[str, str]) -> str:
    for name, content in moved.items():
        parts = [f"{{{{$.inputs.parameters['{PARAMETER}']}}}}", content]
        if content in BY_PAINTER:
            parts.append(f"{{{{$.inputs.parameters['{PAINTER}']}}}}")
        place = "/".join(parts)
        for side in ("inputs", "outputs"):
            argument = argument.replace(f"{{{{$.{side}.artifacts['{name}'].path}}}}", place)
    return argument


def _drop(places: Node, moved: dict[str, str]) -> None:
    """Take the moved artifacts out of a list of inputs or outputs, and the list when nothing is left of it."""
    kept = {name: told for name, told in places.pop("artifacts", {}).items() if name not in moved}
    if kept:
        places["artifacts"] = kept
