"""Runs a compiled pipeline on this machine, each step in a container of the image as in a cluster's pod.

`kfp.local` reads the pipeline; the steps run without root, without network and on a read-only file system. What a
cluster gives by its secrets is given by files instead: the record of runs lies in ROOT/record, on every step's disk.

    python tests/containers/run_pipeline.py build/augmentation.yaml ROOT --argument params=@params.yaml

Needs DOCKER_HOST (engine.sh prints it), or a running Docker.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import time
from pathlib import Path
from typing import Any

import yaml
from kfp import components, local
from kfp.local import docker_task_handler, executor_output_utils

USER = 10001
TEMPORARY = "size=4g,mode=1777"
WORKSPACE = "workspace"  # below the root; kfp mounts it into every step, and removes it after the run

reported_outputs = executor_output_utils.get_outputs_for_task


def run_container(client: Any, image: str, command: list[str], volumes: dict[str, Any], **options: Any) -> int:
    """The container's exit code, its log printed meanwhile.

    Takes the place of a function of `kfp.local` that lets the engine remove the container as soon as it ends: a short
    step is then gone before its exit code is read, and a failure counts as success. And a pod's command replaces the
    image's entry point, where Docker would append to it.
    """
    started = time.monotonic()
    entry, *rest = command
    container = client.containers.run(image, rest, entrypoint=[entry], detach=True, volumes=volumes, **options)
    try:
        for line in container.logs(stream=True, follow=True):
            print(line.decode(errors="replace"), end="", flush=True)  # noqa: T201 - what kfp itself does
        code = int(container.wait()["StatusCode"])
    finally:
        container.remove(force=True)
    print(f"[{' '.join(command[:2])}: exit {code}, {time.monotonic() - started:.1f} s]", flush=True)  # noqa: T201
    return code


def declared_outputs(executor_input: Any, component_spec: Any) -> dict[str, Any]:
    """A step's outputs, the declared artifacts among them.

    Takes the place of a function of `kfp.local` that knows only the artifacts which a Python component reports; a
    cluster takes those of a container component from where they were declared to be.
    """
    outputs: dict[str, Any] = reported_outputs(executor_input, component_spec)
    for name, artifacts in executor_input.outputs.artifacts.items():
        outputs.setdefault(name, executor_output_utils.artifact_list_to_dsl_artifact(artifacts, is_artifact_list=False))
    return outputs


def correct_runner() -> None:
    """Put the two functions above in place of `kfp.local`'s own."""
    docker_task_handler.run_docker_container = run_container
    executor_output_utils.get_outputs_for_task = declared_outputs


def step_runner(root: Path, environment: dict[str, str]) -> local.DockerRunner:
    """Steps as a cluster under the policy `restricted` runs them, and without a network."""
    record = root / "record"
    for folder in (root, record, root / WORKSPACE):
        folder.mkdir(parents=True, exist_ok=True)
        folder.chmod(0o777)  # the steps' user owns nothing here
    return local.DockerRunner(
        user=f"{USER}:{USER}",
        network_mode="none",
        read_only=True,
        cap_drop=["ALL"],
        security_opt=["no-new-privileges"],
        tmpfs={"/tmp": TEMPORARY},  # noqa: S108 - the container's own
        healthcheck={"test": ["NONE"]},  # Podman has systemd start them, which not every machine runs
        working_dir=str(record),  # MLflow's database and artifacts, when no server is named
        environment={"OMP_NUM_THREADS": "1", "NEPHRITE_CHECKPOINTS": "/tmp/checkpoints", **environment},  # noqa: S108
    )


def for_one_machine(compiled: str) -> str:
    """The compiled pipeline, as `kfp.local` has to be given it.

    Every step is tried once: here a failure is a finding, not a lost machine. And every step has a definition of its
    own: Kubeflow keeps outputs by the task's name, but `kfp.local` by the definition's.
    """
    documents = list(yaml.safe_load_all(compiled))
    pipeline = documents[0]
    shared, executors = pipeline["components"], pipeline["deploymentSpec"]["executors"]
    for level in (pipeline["root"], *list(shared.values())):
        for name, task in level.get("dag", {}).get("tasks", {}).items():
            task.pop("retryPolicy", None)
            component = shared[task["componentRef"]["name"]]
            if "executorLabel" in component:
                executors[f"exec-{name}"] = executors[component["executorLabel"]]
                shared[f"comp-{name}"] = {**component, "executorLabel": f"exec-{name}"}
                task["componentRef"]["name"] = f"comp-{name}"
    return yaml.safe_dump_all(documents)


def run_pipeline(pipeline: Path, root: Path, arguments: dict[str, Any], environment: dict[str, str]) -> None:
    """Run the compiled pipeline; outputs go to root/<pipeline>-<time>/[<iteration>/]<task>/<output>.

    Raises:
        RuntimeError: a step's container ended with another exit code than 0.
    """
    correct_runner()
    root = root.resolve()
    local.init(step_runner(root, environment), pipeline_root=str(root), workspace_root=str(root / WORKSPACE))
    before = os.umask(0)  # kfp makes the folders, another user writes into them
    try:
        components.load_component_from_text(for_one_machine(pipeline.read_text(encoding="utf-8")))(**arguments)
    finally:
        os.umask(before)


def argument(text: str) -> tuple[str, Any]:
    """NAME=VALUE, NAME=[LIST as JSON], or NAME=@FILE for a file's text."""
    name, _, value = text.partition("=")
    if value.startswith("@"):
        return name, Path(value[1:]).read_text(encoding="utf-8")
    return name, json.loads(value) if value.startswith("[") else value


def variable(text: str) -> tuple[str, str]:
    """NAME=VALUE."""
    name, _, value = text.partition("=")
    return name, value


def main() -> None:
    """Read the command line and run."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("pipeline", type=Path, help="compiled YAML")
    parser.add_argument("root", type=Path, help="folder for outputs and the record of runs")
    parser.add_argument("--argument", action="append", default=[], type=argument, help="NAME=VALUE or NAME=@FILE")
    parser.add_argument("--environment", action="append", default=[], type=variable, help="NAME=VALUE for every step")
    given = parser.parse_args()
    try:
        run_pipeline(given.pipeline, given.root, dict(given.argument), dict(given.environment))
    except RuntimeError as error:  # kfp's word for a step that failed; its log stands above
        sys.exit(f"run_pipeline.py: {error}")


if __name__ == "__main__":
    main()
