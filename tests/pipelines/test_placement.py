"""What a step asks of the cluster, as it stands in the compiled pipeline."""

from __future__ import annotations

from typing import Any

import pytest

from nephrite_kubeflow.package import Package
from nephrite_kubeflow.placement import POD_FIELDS

TRAINING = {"exec-train-gan", "exec-screen", "exec-train-segmenter", "exec-train-segmenter-2"}
ON_GPU = TRAINING | {"exec-synthesize", "exec-evaluate", "exec-promote"}  # promote scores the best run again


def placed(package: Package) -> dict[str, dict[str, Any]]:
    """The Kubernetes part of every step."""
    steps: dict[str, dict[str, Any]] = package.platform["platforms"]["kubernetes"]["deploymentSpec"]["executors"]
    return steps


def containers(package: Package) -> dict[str, dict[str, Any]]:
    """The container of every step."""
    return {name: told["container"] for name, told in package.spec["deploymentSpec"]["executors"].items()}


def all_tasks(package: Package) -> dict[str, dict[str, Any]]:
    """Every task that runs a container, of all levels."""
    dags = [package.spec["root"], *package.spec["components"].values()]
    tasks = [task for dag in dags if "dag" in dag for task in dag["dag"]["tasks"].items()]
    return {name: task for name, task in tasks if "executorLabel" in component(package, task)}


def component(package: Package, task: dict[str, Any]) -> dict[str, Any]:
    """What a task refers to."""
    told: dict[str, Any] = package.spec["components"][task["componentRef"]["name"]]
    return told


def test_every_step_is_placed(compiled: Package) -> None:
    assert set(placed(compiled)) == set(containers(compiled))
    assert {component(compiled, task)["executorLabel"] for task in all_tasks(compiled).values()} == set(
        placed(compiled)
    )
    assert len(all_tasks(compiled)) == 13


def test_every_step_takes_the_image_by_digest(compiled: Package) -> None:
    images = {container["image"] for container in containers(compiled).values()}
    assert images == {compiled.lineage["image"]}


def test_every_step_takes_all_keys_of_the_secret_under_their_own_names(compiled: Package) -> None:
    for step in placed(compiled).values():
        (secret,) = step["secretAsEnv"]
        assert secret["secretName"] == "nephrite-env"
        assert all(key["secretKey"] == key["envVar"] for key in secret["keyToEnv"])
        assert len(secret["keyToEnv"]) == 7


def test_no_secret_stands_among_parameters_or_plain_variables(compiled: Package) -> None:
    plain = {pair["name"] for container in containers(compiled).values() for pair in container.get("env", ())}
    assert plain == {"NEPHRITE_CHECKPOINTS"}
    assert not {name for name in compiled.arguments if "secret" in name or "password" in name}


def test_every_step_knows_its_run_pod_and_namespace(compiled: Package) -> None:
    for step in placed(compiled).values():
        assert {pair["name"]: pair["fieldPath"] for pair in step["fieldPathAsEnv"]} == POD_FIELDS


def test_every_step_runs_as_the_images_user_with_a_writable_tmp(compiled: Package) -> None:
    for step in placed(compiled).values():
        assert step["securityContext"] == {"runAsUser": "10001", "runAsNonRoot": True}
        assert step["emptyDirMounts"][0]["mountPath"] == "/tmp"  # noqa: S108 - a place of the pod


def test_training_steps_and_no_others_keep_checkpoints_on_the_claim(compiled: Package) -> None:
    mounted = {name: step["pvcMount"][0] for name, step in placed(compiled).items() if "pvcMount" in step}
    assert set(mounted) == TRAINING
    assert {(mount["constant"], mount["mountPath"]) for mount in mounted.values()} == {
        ("nephrite-checkpoints", "/checkpoints")
    }
    told = {name for name, container in containers(compiled).items() if container.get("env")}
    assert told == TRAINING


def test_training_steps_get_shared_memory_for_loader_processes(compiled: Package) -> None:
    mounts = {name: step["emptyDirMounts"][1:] for name, step in placed(compiled).items()}
    assert {name for name, more in mounts.items() if more} == TRAINING
    assert mounts["exec-train-gan"] == [
        {"volumeName": "shared-memory", "mountPath": "/dev/shm", "medium": "Memory", "sizeLimit": "1Gi"}  # noqa: S108 - a place of the pod
    ]


def test_every_step_has_requests_and_limits(compiled: Package) -> None:
    kinds = {f"resource{kind}{bound}" for kind in ("Cpu", "Memory") for bound in ("Request", "Limit")}
    assert all(kinds <= set(container["resources"]) for container in containers(compiled).values())
    assert containers(compiled)["exec-train-gan"]["resources"]["resourceMemoryLimit"] == "8Gi"


def test_without_gpus_nothing_asks_for_one(compiled: Package) -> None:
    assert not [name for name, container in containers(compiled).items() if "accelerator" in container["resources"]]
    assert not [name for name, step in placed(compiled).items() if "tolerations" in step or "nodeSelector" in step]


def test_with_gpus_the_steps_that_use_them_ask_for_them(compiled_gpu: Package) -> None:
    asked = {
        name: c["resources"]["accelerator"]
        for name, c in containers(compiled_gpu).items()
        if "accelerator" in c["resources"]
    }
    assert set(asked) == ON_GPU
    assert {(told["resourceType"], told["resourceCount"]) for told in asked.values()} == {("nvidia.com/gpu", "1")}


def test_gpu_steps_go_to_gpu_nodes_and_bear_their_taint(compiled_gpu: Package) -> None:
    for name, step in placed(compiled_gpu).items():
        assert ("tolerations" in step) == ("nodeSelector" in step) == (name in ON_GPU)
    step = placed(compiled_gpu)["exec-train-gan"]
    assert step["tolerations"] == [{"key": "nvidia.com/gpu", "operator": "Exists", "effect": "NoSchedule"}]
    assert step["nodeSelector"]["labels"] == {"nvidia.com/gpu.present": "true"}


def test_cache_is_off_where_a_step_reads_or_changes_what_lies_outside(compiled: Package) -> None:
    uncached = {name for name, task in all_tasks(compiled).items() if not task["cachingOptions"].get("enableCache")}
    assert uncached == {"acquire", "report", "publish", "promote", "close-trial"}


@pytest.mark.parametrize(("task", "count", "wait"), [("acquire", 2, "30s"), ("train-segmenter-2", 5, "60s")])
def test_failed_step_is_retried_with_growing_pauses(compiled: Package, task: str, count: int, wait: str) -> None:
    policy = all_tasks(compiled)[task]["retryPolicy"]
    assert (policy["maxRetryCount"], policy["backoffDuration"], policy["backoffFactor"]) == (count, wait, 2)
