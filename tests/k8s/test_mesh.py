"""Istio: what its labels select of ours, and what a mesh that stays lets through."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import kubernetes_validate
import pytest

Manifest = dict[str, Any]
NAMESPACE = {"istio-injection": "enabled"}  # as the Profile controller labels it
AMBIENT = {"istio-injection": "disabled", "istio.io/dataplane-mode": "ambient"}  # the same in ambient mode


def is_injected(namespace: dict[str, str], pod: dict[str, str]) -> bool:
    """Whether Istio's webhook gives the pod a sidecar (istio.io, "Installing the sidecar": the pod's label decides)."""
    if namespace.get("istio-injection") == "disabled":
        return False
    if "sidecar.istio.io/inject" in pod:
        return pod["sidecar.istio.io/inject"] == "true"
    return namespace.get("istio-injection") == "enabled"


def is_captured(namespace: dict[str, str], pod: dict[str, str]) -> bool:
    """Whether the node's ztunnel takes the pod's connections (istio.io, "Add workloads to an ambient mesh")."""
    if "istio.io/dataplane-mode" in pod:
        return pod["istio.io/dataplane-mode"] == "ambient"
    return namespace.get("istio.io/dataplane-mode") == "ambient"


def test_no_pod_gets_a_sidecar_or_is_captured_in_a_namespace_of_kubeflow(pods: list[Any]) -> None:
    assert not [pod.name for pod in pods if is_injected(NAMESPACE, pod.labels)]
    assert not [pod.name for pod in pods if is_captured(AMBIENT, pod.labels)]


def test_pod_without_the_labels_would_be_taken_in() -> None:
    assert is_injected(NAMESPACE, {})
    assert is_captured(AMBIENT, {})


def test_labels_stand_on_pods_as_text(pods: list[Any]) -> None:
    for pod in pods:
        assert pod.labels["sidecar.istio.io/inject"] == "false", pod.name
        assert all(isinstance(value, str) for value in pod.labels.values()), pod.name


@pytest.fixture
def mesh(manifests: Path, render: Callable[[Path], list[Manifest]]) -> list[Manifest]:
    """The objects for a mesh that stays."""
    return render(manifests / "mesh")


def admits(policies: list[Manifest], labels: dict[str, str], port: int) -> bool:
    """Whether a caller without identity reaches the port of a workload in the mesh: its ALLOW policies decide."""
    for policy in policies:
        wanted = policy["spec"]["selector"]["matchLabels"]
        if all(labels.get(key) == value for key, value in wanted.items()):
            for rule in policy["spec"]["rules"]:
                ports = [text for to in rule["to"] for text in to["operation"]["ports"]]
                if "from" not in rule and "when" not in rule and str(port) in ports:
                    return True
    return False


def test_mesh_that_stays_admits_pods_without_sidecar_to_every_server_and_no_other_port(
    mesh: list[Manifest], pods: list[Any]
) -> None:
    policies = [item for item in mesh if item["kind"] == "AuthorizationPolicy"]
    servers = [pod for pod in pods if pod.owner["kind"] in ("Deployment", "StatefulSet")]
    for pod in servers:
        ports = {port["containerPort"] for container in pod.containers for port in container.get("ports", [])}
        assert ports
        assert all(admits(policies, pod.labels, port) for port in ports), pod.name
        assert not admits(policies, pod.labels, 22)
    (peers,) = [item for item in mesh if item["kind"] == "PeerAuthentication"]
    assert peers["spec"] == {"mtls": {"mode": "PERMISSIVE"}}  # no selector: the whole namespace


def test_sidecars_reach_istiod(mesh: list[Manifest]) -> None:
    (policy,) = [item for item in mesh if item["kind"] == "NetworkPolicy"]
    kubernetes_validate.validate(policy, "1.32", strict=True)
    (rule,) = policy["spec"]["egress"]
    assert 15012 in [port["port"] for port in rule["ports"]]
    assert rule["to"][0]["namespaceSelector"]["matchLabels"] == {"kubernetes.io/metadata.name": "istio-system"}
