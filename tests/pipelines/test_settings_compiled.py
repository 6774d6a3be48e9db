"""What is compiled is what the cluster file says: every step, every section, of both files."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml

from nephrite_kubeflow.cluster import CLUSTER_FILE
from nephrite_kubeflow.package import Package
from tests.pipelines.conftest import compile_for

ORDER = "order"
FILES = ("cluster.yaml", "gpu.yaml")
Node = dict[str, Any]


@pytest.fixture(scope="module", params=FILES)
def both(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> tuple[Node, Package, Package]:
    """A file as plain YAML, and both pipelines compiled with it."""
    path = CLUSTER_FILE.with_name(str(request.param))
    folder: Path = tmp_path_factory.mktemp("said")
    scans = "s3://clinic/scans"
    return yaml.safe_load(path.read_text()), compile_for(folder, path), compile_for(folder, path, scans=scans)


def steps(package: Package) -> list[tuple[str, Node, Node, Node]]:
    """(step, container, its Kubernetes part, task) of every task that runs a container."""
    placed = package.platform["platforms"]["kubernetes"]["deploymentSpec"]["executors"]
    executors = package.spec["deploymentSpec"]["executors"]
    found = []
    for level in (package.spec["root"], *package.spec["components"].values()):
        for task in level.get("dag", {}).get("tasks", {}).values():
            label = package.spec["components"][task["componentRef"]["name"]].get("executorLabel")
            if label in placed:
                container = executors[label]["container"]
                found.append((container["command"][1].replace("-", "_"), container, placed[label], task))
    return found


def test_every_step_of_the_file_is_compiled(both: tuple[Node, Package, Package]) -> None:
    said, *packages = both
    found = {step for package in packages for step, *_ in steps(package)}
    assert set(said["steps"]) - {ORDER} <= found  # only around a program in an image of its own
    assert len(found) == 12


def test_steps_ask_for_what_the_file_says(both: tuple[Node, Package, Package]) -> None:
    said, *packages = both
    for step, container, placed, task in [each for package in packages for each in steps(package)]:
        wanted = {**said["default"], **said["steps"].get(step, {})}
        resources = container["resources"]
        for kind in ("cpu", "memory"):
            asked = [resources[f"resource{kind.title()}{bound}"] for bound in ("Request", "Limit")]
            assert asked == [wanted[kind]["request"], wanted[kind]["limit"]], step
        device = wanted.get("accelerator")
        given = resources.get("accelerator", {})
        told = (device["type"], str(device["count"])) if device else (None, None)
        assert (given.get("resourceType"), given.get("resourceCount")) == told, step
        assert placed.get("nodeSelector", {}).get("labels", {}) == wanted.get("node_selector", {}), step
        assert placed.get("tolerations", []) == wanted.get("tolerations", []), step
        sizes = {mount["mountPath"]: mount["sizeLimit"] for mount in placed["emptyDirMounts"]}
        shared = {"/dev/shm": wanted["shared_memory"]} if wanted["shared_memory"] else {}  # noqa: S108 - in the pod
        assert sizes == {"/tmp": wanted["scratch"], **shared}, step  # noqa: S108 - in the pod
        retries = wanted["retries"]
        assert task["retryPolicy"] == {
            "maxRetryCount": retries["count"],
            "backoffDuration": f"{retries['wait_seconds']}s",
            "backoffFactor": retries["factor"],
            "backoffMaxDuration": f"{retries['window_days'] * 86400}s",
        }, step


def test_pods_are_as_the_file_says(both: tuple[Node, Package, Package]) -> None:
    said, *packages = both
    for step, _, placed, _ in [each for package in packages for each in steps(package)]:
        (secret,) = placed["secretAsEnv"]
        assert secret["secretName"] == said["secret"]["name"], step
        assert [key["secretKey"] for key in secret["keyToEnv"]] == said["secret"]["keys"], step
        assert placed["imagePullPolicy"] == said["image_pull_policy"], step
        assert placed["securityContext"]["runAsUser"] == str(said["user"]), step
        claims = [(mount["constant"], mount["mountPath"]) for mount in placed.get("pvcMount", ())]
        training = step in ("train_gan", "screen", "train_segmenter")
        assert claims == [(said["checkpoints"]["claim"], said["checkpoints"]["path"])] * training, step
