"""Kubeflow without profiles: its own namespace holds what the pods need, and reaches MLflow and the store."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import kubernetes_validate
import pytest

from nephrite_kubeflow.cluster import CLUSTER_FILE, load_cluster

Manifest = dict[str, Any]
STEP = {"workflows.argoproj.io/workflow": "augmentation-x"}


@pytest.fixture
def single(manifests: Path, render: Callable[[Path], list[Manifest]]) -> dict[str, Manifest]:
    """What is applied to the namespace of Kubeflow, by kind."""
    return {item["kind"]: item for item in render(manifests / "single-user")}


def test_everything_lies_in_kubeflows_own_namespace_and_fits_its_schema(single: dict[str, Manifest]) -> None:
    for item in single.values():
        assert item["metadata"]["namespace"] == "kubeflow"
        kubernetes_validate.validate(item, "1.32", strict=True)
    assert [subject["namespace"] for subject in single["RoleBinding"]["subjects"]] == ["kubeflow"]


def test_it_holds_what_the_cluster_file_names_but_the_secret_that_is_copied(single: dict[str, Manifest]) -> None:
    cluster = load_cluster(CLUSTER_FILE)
    assert single["PersistentVolumeClaim"]["metadata"]["name"] == cluster.checkpoints.claim
    assert single["ServiceAccount"]["metadata"]["name"] == "nephrite-runner"
    pod = single["Job"]["spec"]["template"]["spec"]
    assert pod["securityContext"]["fsGroup"] == cluster.user
    assert "Secret" not in single


@pytest.mark.parametrize(("server", "port"), [("mlflow", 5000), ("s3", 8333)])
def test_its_pods_reach_mlflow_and_the_store(objects: list[Manifest], server: str, port: int) -> None:
    opened = set()
    for policy in objects:
        if policy["kind"] != "NetworkPolicy" or policy["spec"]["podSelector"].get("matchLabels", {}) != {
            "app.kubernetes.io/name": server
        }:
            continue
        for rule in policy["spec"].get("ingress", []):
            for peer in rule["from"]:
                labels = peer.get("namespaceSelector", {}).get("matchLabels", {})
                keys = [each["key"] for each in peer.get("podSelector", {}).get("matchExpressions", [])]
                if labels == {"kubernetes.io/metadata.name": "kubeflow"} and set(keys) <= set(STEP):
                    opened |= {each["port"] for each in rule["ports"]}
    assert opened == {port}
