"""What the rendered Roles allow: `kubectl auth can-i`, computed from their rules, for all that Kubeflow asks."""

from __future__ import annotations

from typing import Any

import pytest

Manifest = dict[str, Any]
Asked = tuple[str, str, str, str]  # verb, group, resource, name
ACCOUNT = ("nephrite-runner", "nephrite")
ASKED = [  # who asks, then verb, group, resource, name
    ("argoexec", "create", "argoproj.io", "workflowtaskresults", ""),
    ("argoexec", "patch", "argoproj.io", "workflowtaskresults", "augmentation-x"),
    ("driver and launcher", "get", "", "pods", "augmentation-x-1"),
    ("driver and launcher", "list", "", "pods", ""),
    ("driver and launcher", "watch", "", "pods", ""),
    ("driver and launcher", "get", "", "configmaps", "kfp-launcher"),
    ("launcher", "get", "", "secrets", "mlpipeline-minio-artifact"),
    ("launcher, of scans", "get", "", "secrets", "nephrite-scans"),
]
DENIED = [
    ("get", "", "secrets", "nephrite-env"),
    ("get", "", "secrets", "s3"),
    ("get", "", "secrets", "postgres"),
    ("list", "", "secrets", ""),
    ("get", "", "configmaps", "mlflow-auth"),
    ("create", "", "pods", ""),
    ("delete", "", "pods", "mlflow-0"),
    ("get", "", "pods/exec", "mlflow-0"),
    ("list", "argoproj.io", "workflowtasksets", ""),
    ("patch", "argoproj.io", "workflowtasksets/status", "x"),
    ("create", "argoproj.io", "workflows", ""),
    ("get", "apps", "deployments", "mlflow"),
    ("create", "rbac.authorization.k8s.io", "rolebindings", ""),
]


def can_i(objects: list[Manifest], account: tuple[str, str], asked: Asked) -> bool:
    """Kubernetes' rule: some rule of a bound Role names group, resource, verb, and the name where it names any.

    A request without a name (list, watch, create) is never allowed by a rule with names (kubernetes.io, RBAC,
    "Referring to resources").
    """
    verb, group, resource, name = asked
    bindings = [item for item in objects if item["kind"] == "RoleBinding"]
    mine = [each for each in bindings if account in [(one["name"], one["namespace"]) for one in each["subjects"]]]
    bound = {each["roleRef"]["name"] for each in mine}
    roles = [item for item in objects if item["kind"] == "Role" and item["metadata"]["name"] in bound]
    return any(
        group in rule["apiGroups"]
        and resource in rule["resources"]
        and verb in rule["verbs"]
        and (not rule.get("resourceNames") or name in rule["resourceNames"])
        for role in roles
        for rule in role["rules"]
    )


@pytest.mark.parametrize("asked", ASKED, ids=lambda asked: f"{asked[0]}: {asked[1]} {asked[3]}")
def test_what_kubeflows_programs_ask_is_allowed(objects: list[Manifest], asked: tuple[str, str, str, str, str]) -> None:
    assert can_i(objects, ACCOUNT, asked[1:])


@pytest.mark.parametrize("asked", DENIED, ids=lambda asked: f"{asked[0]} {asked[2]} {asked[3]}")
def test_what_nobody_asks_is_not(objects: list[Manifest], asked: tuple[str, str, str, str]) -> None:
    assert not can_i(objects, ACCOUNT, asked)


def test_every_rule_is_used(objects: list[Manifest]) -> None:
    granted = {
        (verb, group, resource)
        for role in objects
        if role["kind"] == "Role"
        for rule in role["rules"]
        for group in rule["apiGroups"]
        for resource in rule["resources"]
        for verb in rule["verbs"]
    }
    assert granted == {asked[1:4] for asked in ASKED}


def test_no_other_account_has_any_right(objects: list[Manifest]) -> None:
    accounts = [item["metadata"]["name"] for item in objects if item["kind"] == "ServiceAccount"]
    others = [name for name in accounts if name != ACCOUNT[0]]
    assert len(others) == 5
    assert not [name for name in others for asked in ASKED if can_i(objects, (name, "nephrite"), asked[1:])]
