"""Which ways the policies leave open for the pods that Kubeflow makes here: to its services, names and Kubernetes."""

from __future__ import annotations

from ipaddress import ip_address, ip_network
from typing import Any

import pytest

Manifest = dict[str, Any]
STEP = {"workflows.argoproj.io/workflow": "augmentation-x", "pipelines.kubeflow.org/v2_component": "true"}
ANYWHERE = "203.0.113.9"  # an address that no selector names
NEEDED = [  # who needs it, namespace (or address), labels of the pod there, protocol, port of that pod
    ("driver and launcher: Kubeflow's API by gRPC", "kubeflow", "TCP", 8887),
    ("driver and launcher: Kubeflow's API by HTTP", "kubeflow", "TCP", 8888),
    ("driver and launcher: metadata", "kubeflow", "TCP", 8080),
    ("launcher: artifacts in MinIO", "kubeflow", "TCP", 9000),
    ("launcher: artifacts in SeaweedFS", "kubeflow", "TCP", 8333),
    ("all: names by UDP", "kube-system", "UDP", 53),
    ("all: names by TCP", "kube-system", "TCP", 53),
    ("wait container and driver: Kubernetes' API", ANYWHERE, "TCP", 443),
    ("wait container and driver: Kubernetes' API of kubeadm", ANYWHERE, "TCP", 6443),
    ("wait container and driver: Kubernetes' API of minikube", ANYWHERE, "TCP", 8443),
]
CLOSED = [
    ("kubeflow", "TCP", 3306),  # its database
    ("kubeflow", "TCP", 22),
    ("istio-system", "TCP", 15012),
    ("kube-system", "TCP", 10250),
    (ANYWHERE, "TCP", 22),
    (ANYWHERE, "TCP", 80),
    (ANYWHERE, "UDP", 53),
]


def selects(selector: Manifest, labels: dict[str, str]) -> bool:
    """Whether a selector of labels, as far as k8s/ uses them, meets these."""
    wanted = selector.get("matchLabels", {})
    keys = [each["key"] for each in selector.get("matchExpressions", [])]
    return all(labels.get(key) == value for key, value in wanted.items()) and all(key in labels for key in keys)


def leaves(objects: list[Manifest], labels: dict[str, str], to: str, protocol: str, port: int) -> bool:
    """Whether a pod with these labels may open the connection: some policy that selects it allows it (or none does)."""
    policies = [
        item["spec"]
        for item in objects
        if item["kind"] == "NetworkPolicy"
        and "Egress" in item["spec"]["policyTypes"]
        and selects(item["spec"]["podSelector"], labels)
    ]
    for policy in policies:
        for rule in policy.get("egress", []):
            ports = rule.get("ports")
            if ports and not any((each["protocol"], each["port"]) == (protocol, port) for each in ports):
                continue
            if any(_meets(peer, to) for peer in rule["to"]):
                return True
    return not policies


def _meets(peer: Manifest, to: str) -> bool:
    if to[0].isdigit():
        return "ipBlock" in peer and ip_address(to) in ip_network(peer["ipBlock"]["cidr"])
    # pods behind a namespace: an address block does not count, since it may leave pods out
    return (
        selects(peer["namespaceSelector"], {"kubernetes.io/metadata.name": to})
        if "namespaceSelector" in peer
        else False
    )


@pytest.mark.parametrize("way", NEEDED, ids=lambda way: way[0])
def test_pods_of_a_pipeline_reach_what_they_need(objects: list[Manifest], way: tuple[str, str, str, int]) -> None:
    assert leaves(objects, STEP, *way[1:])


@pytest.mark.parametrize("way", CLOSED, ids=str)
def test_and_nothing_else(objects: list[Manifest], way: tuple[str, str, int]) -> None:
    assert not leaves(objects, STEP, *way)


def test_pod_that_nobody_knows_reaches_names_alone(objects: list[Manifest]) -> None:
    stranger = {"app": "stranger"}
    assert [way[0] for way in NEEDED if leaves(objects, stranger, *way[1:])] == [
        "all: names by UDP",
        "all: names by TCP",
    ]
