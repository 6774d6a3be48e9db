"""What an API server under PodSecurity `restricted` and a quota admits, and what schemas do not know."""

from __future__ import annotations

import re
from collections.abc import Iterator
from decimal import Decimal
from typing import Any

import pytest
import yaml

from nephrite_kubeflow.cluster import CLUSTER_FILE

Manifest = dict[str, Any]
QUANTITY = re.compile(r"(\d+(?:\.\d+)?)(m|k|Ki|M|Mi|G|Gi|T|Ti)?")
UNITS: dict[str | None, Decimal] = {
    None: Decimal(1),
    "m": Decimal("0.001"),
    **{unit: Decimal(1000) ** power for power, unit in enumerate(("k", "M", "G", "T"), 1)},
    **{unit: Decimal(1024) ** power for power, unit in enumerate(("Ki", "Mi", "Gi", "Ti"), 1)},
}
OWN = re.compile(r"(localhost|registry\.example\.com)/nephrite:[\w.]+")
FOREIGN = {"docker.io/library/postgres:17", "docker.io/chrislusf/seaweedfs:4.48"}
WORKSPACES = {"local": "10Gi", "gpu": "500Gi"}  # of a pipeline's run, as large as docs/cluster.md says
CLUSTERS = {"local": "cluster.yaml", "gpu": "gpu.yaml"}  # what a pipeline asks of each kind of cluster
SERVERS = ("Deployment", "StatefulSet")
TOKEN = ("nephrite-runner",)  # the only account that may have one


def parse(quantity: str) -> Decimal:
    """The number that a quantity stands for."""
    match = QUANTITY.fullmatch(quantity)
    assert match, f"{quantity!r} is no quantity"
    return Decimal(match[1]) * UNITS[match[2]]


def quantities(value: Any, inside: bool = False) -> Iterator[str]:
    """Whatever stands under a key that holds quantities."""
    if isinstance(value, dict):
        for key, inner in value.items():
            held = key in ("requests", "limits", "hard", "default", "defaultRequest", "min", "max", "sizeLimit")
            yield from quantities(inner, (inside or held) and key != "type")
    elif isinstance(value, list):
        for inner in value:
            yield from quantities(inner, inside)
    elif inside and isinstance(value, str):
        yield value


def test_pods_meet_the_restricted_standard(pods: list[Any]) -> None:
    for pod in pods:
        context = pod.spec["securityContext"]
        assert context["runAsNonRoot"] is True, pod.name
        assert context["runAsUser"] > 0, pod.name
        assert context["seccompProfile"] == {"type": "RuntimeDefault"}, pod.name
        assert not {"hostNetwork", "hostPID", "hostIPC"} & set(pod.spec), pod.name
        volumes = {next(kind for kind in volume if kind != "name") for volume in pod.spec["volumes"]}
        assert volumes <= {"configMap", "secret", "emptyDir", "persistentVolumeClaim"}, pod.name


def test_containers_meet_the_restricted_standard(pods: list[Any]) -> None:
    for pod in pods:
        for container in pod.containers:
            assert container["securityContext"] == {
                "allowPrivilegeEscalation": False,
                "readOnlyRootFilesystem": True,
                "capabilities": {"drop": ["ALL"]},
            }, pod.name
            assert not any("hostPort" in port for port in container.get("ports", [])), pod.name


def test_every_container_can_write_to_tmp(pods: list[Any]) -> None:
    for pod in pods:
        empty = {volume["name"] for volume in pod.spec["volumes"] if "emptyDir" in volume}
        for container in pod.containers:
            mounts = {mount["mountPath"]: mount["name"] for mount in container["volumeMounts"]}
            assert mounts["/tmp"] in empty, pod.name  # noqa: S108 - in the container


def test_no_pod_gets_a_token_it_does_not_use(objects: list[Manifest], pods: list[Any]) -> None:
    accounts = [item for item in objects if item["kind"] == "ServiceAccount"]
    without = {item["metadata"]["name"] for item in accounts if item.get("automountServiceAccountToken") is False}
    assert without == {item["metadata"]["name"] for item in accounts} - set(TOKEN)
    assert all(pod.spec["automountServiceAccountToken"] is False for pod in pods)


def test_namespace_enforces_the_restricted_standard(objects: list[Manifest]) -> None:
    (namespace,) = [item for item in objects if item["kind"] == "Namespace"]
    modes = {f"pod-security.kubernetes.io/{mode}": "restricted" for mode in ("enforce", "audit", "warn")}
    assert namespace["metadata"]["labels"] == modes
    others = {item["metadata"]["namespace"] for item in objects if item["kind"] != "Namespace"}
    assert others == {namespace["metadata"]["name"]} == {"nephrite"}


def test_every_container_asks_and_is_limited(pods: list[Any]) -> None:
    for pod in pods:
        for container in pod.containers:
            asked, limit = container["resources"]["requests"], container["resources"]["limits"]
            assert set(asked) == set(limit) >= {"cpu", "memory"}, pod.name
            assert all(parse(asked[name]) <= parse(limit[name]) for name in asked), pod.name


def test_gpus_are_asked_for_as_they_are_limited(objects: list[Manifest], pods: list[Any]) -> None:
    trainers = [item["spec"]["trainer"]["resourcesPerNode"] for item in objects if item["kind"] == "TrainJob"]
    for resources in [container["resources"] for pod in pods for container in pod.containers] + trainers:
        assert resources["requests"].get("nvidia.com/gpu") == resources["limits"].get("nvidia.com/gpu")


def count(pod: Any, objects: list[Manifest]) -> int:
    """How many such pods there are at once."""
    users = [item["spec"] for item in objects if item["kind"] == "TrainJob"]
    if pod.owner["kind"] == "TrainingRuntime":
        name = pod.owner["metadata"]["name"]
        return sum(user["trainer"]["numNodes"] for user in users if user["runtimeRef"]["name"] == name)
    return int(pod.owner["spec"].get("replicas", 1))


def arms_at_a_time(stack: str, part: str, resource: str) -> Decimal:
    """What the trainings of a pipeline ask for, both loops full."""
    cluster = yaml.safe_load((CLUSTER_FILE.parent / CLUSTERS[stack]).read_text())
    step = {**cluster["default"], **cluster["steps"]["train_segmenter"]}
    if resource == "nvidia.com/gpu":
        one = Decimal(step.get("accelerator", {}).get("count", 0))
    else:
        one = parse(step[resource][part.removesuffix("s")])
    return 2 * int(cluster["parallelism"]) * one


def test_everything_at_once_fits_the_quota(objects: list[Manifest], pods: list[Any], stack: str) -> None:
    (quota,) = [item["spec"]["hard"] for item in objects if item["kind"] == "ResourceQuota"]
    names = ("requests.cpu", "requests.memory", "limits.cpu", "limits.memory", "requests.nvidia.com/gpu")
    for part, resource in (name.split(".", 1) for name in names):
        needed = arms_at_a_time(stack, part, resource)
        for pod in pods:
            each = sum(parse(box["resources"][part].get(resource, "0")) for box in pod.containers)
            needed += count(pod, objects) * each
        assert needed <= parse(quota[f"{part}.{resource}"]), f"{part}.{resource}: {needed}"


def test_gpu_pods_reach_gpu_nodes(pods: list[Any]) -> None:
    for pod in pods:
        if any("nvidia.com/gpu" in container["resources"]["limits"] for container in pod.containers):
            assert pod.spec["nodeSelector"] == {"nvidia.com/gpu.present": "true"}, pod.name
            assert pod.spec["tolerations"][0]["key"] == "nvidia.com/gpu", pod.name


def test_claims_and_the_workspace_of_a_run_fit_the_quota(objects: list[Manifest], stack: str) -> None:
    (quota,) = [item["spec"]["hard"] for item in objects if item["kind"] == "ResourceQuota"]
    templates = [claim for item in objects for claim in item.get("spec", {}).get("volumeClaimTemplates", [])]
    claims = [item for item in objects if item["kind"] == "PersistentVolumeClaim"] + templates
    storage = sum(parse(claim["spec"]["resources"]["requests"]["storage"]) for claim in claims)
    assert storage + parse(WORKSPACES[stack]) <= parse(quota["requests.storage"])
    assert len(claims) < int(quota["persistentvolumeclaims"])
    limits = [limit for item in objects if item["kind"] == "LimitRange" for limit in item["spec"]["limits"]]
    (largest,) = [limit["max"]["storage"] for limit in limits if limit["type"] == "PersistentVolumeClaim"]
    assert parse(WORKSPACES[stack]) <= parse(largest)


def test_quantities_parse(objects: list[Manifest]) -> None:
    found = [quantity for item in objects for quantity in quantities(item.get("spec", {}))]
    assert len(found) > 50
    assert all(parse(quantity) >= 0 for quantity in found)


@pytest.mark.parametrize("quantity", ["1GB", "1 Gi", "-1", "1e", "Gi"])
def test_no_quantity_is_refused(quantity: str) -> None:
    with pytest.raises(AssertionError, match="is no quantity"):
        parse(quantity)


def test_servers_have_all_three_probes_on_their_own_port(pods: list[Any]) -> None:
    servers = [pod for pod in pods if pod.owner["kind"] in SERVERS]
    assert len(servers) == 4
    for pod in servers:
        for container in pod.spec["containers"]:  # those that prepare a pod serve nothing
            ports = {port["name"] for port in container["ports"]}
            for probe in ("startupProbe", "readinessProbe", "livenessProbe"):
                assert "exec" in container[probe] or container[probe]["httpGet"]["port"] in ports, pod.name


def test_images_are_known_and_ours_is_the_project_s(pods: list[Any]) -> None:
    images = {container["image"] for pod in pods for container in pod.containers}
    assert images >= FOREIGN
    assert all(OWN.fullmatch(image) for image in images - FOREIGN), images
    assert len(images - FOREIGN) == 1, "one stack, one image"
