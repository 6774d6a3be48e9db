"""What objects say of each other: selectors, ports, secrets, claims, accounts, schedules."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

import pytest

Manifest = dict[str, Any]
# Labels of pods that others make here: Argo's, for the steps of a pipeline. And namespaces of others.
FOREIGN_LABELS = {"workflows.argoproj.io/workflow": "augmentation-x"}
FOREIGN_NAMESPACES = {"kube-system", "kubeflow"}
FIELD = r"(\*|\d+(-\d+)?)(/\d+)?"
CRON = ((0, 59), (0, 23), (1, 31), (1, 12), (0, 6))


def names(objects: list[Manifest], kind: str) -> set[str]:
    return {item["metadata"]["name"] for item in objects if item["kind"] == kind}


def of_kind(objects: list[Manifest], *kinds: str) -> list[Manifest]:
    found = [item for item in objects if item["kind"] in kinds]
    assert found
    return found


def selects(selector: Manifest, labels: dict[str, str]) -> bool:
    """What k8s/ uses of selectors: equal labels, and labels that exist."""
    wanted: dict[str, str] = selector.get("matchLabels", {})
    expressions = selector.get("matchExpressions", [])
    assert all(expression["operator"] == "Exists" for expression in expressions)
    present = all(expression["key"] in labels for expression in expressions)
    return present and all(labels.get(key) == value for key, value in wanted.items())


def references(value: Any) -> Iterator[tuple[str, str, str | None]]:
    """(kind, name, key) of every secret, config map and claim that is named below."""
    if isinstance(value, list):
        for inner in value:
            yield from references(inner)
    if isinstance(value, dict):
        for key, inner in value.items():
            kind = {"secretKeyRef": "Secret", "secretRef": "Secret", "secret": "Secret"}.get(key, "ConfigMap")
            if key in ("secretKeyRef", "configMapKeyRef", "secretRef", "configMapRef", "secret", "configMap"):
                yield kind, inner.get("name") or inner["secretName"], inner.get("key")
            elif key == "persistentVolumeClaim":
                yield "PersistentVolumeClaim", inner["claimName"], None
            else:
                yield from references(inner)


def all_pod_labels(pods: list[Any]) -> list[dict[str, str]]:
    return [*(pod.labels for pod in pods), FOREIGN_LABELS]


def test_selectors_of_workloads_match_their_own_pods(objects: list[Manifest]) -> None:
    for item in of_kind(objects, "Deployment", "StatefulSet"):
        assert selects(item["spec"]["selector"], item["spec"]["template"]["metadata"]["labels"])


def test_labels_tell_workloads_apart(pods: list[Any]) -> None:
    labels = [pod.labels["app.kubernetes.io/name"] for pod in pods]
    assert len(labels) == len(set(labels))


def test_services_meet_pods_and_ports_that_exist(objects: list[Manifest], pods: list[Any]) -> None:
    for service in of_kind(objects, "Service"):
        behind = [pod for pod in pods if selects({"matchLabels": service["spec"]["selector"]}, pod.labels)]
        assert len(behind) == 1, service["metadata"]["name"]
        offered = {port["name"] for container in behind[0].containers for port in container.get("ports", [])}
        assert {port["targetPort"] for port in service["spec"]["ports"]} <= offered


def test_stateful_sets_have_their_service(objects: list[Manifest]) -> None:
    assert {item["spec"]["serviceName"] for item in of_kind(objects, "StatefulSet")} <= names(objects, "Service")


def test_budgets_select_pods_that_can_meet_them(objects: list[Manifest], pods: list[Any]) -> None:
    budgets = of_kind(objects, "PodDisruptionBudget")
    for budget in budgets:
        behind = [pod for pod in pods if selects(budget["spec"]["selector"], pod.labels)]
        assert [pod.owner["spec"]["replicas"] >= budget["spec"]["minAvailable"] for pod in behind] == [True]
    assert len(budgets) == len(of_kind(objects, "Deployment", "StatefulSet"))


def test_secrets_maps_and_claims_exist_with_their_keys(objects: list[Manifest]) -> None:
    held = {(item["kind"], item["metadata"]["name"]): set(item.get("data", {})) for item in objects}
    found = [reference for item in objects for reference in references(item.get("spec", {}))]
    assert len(found) > 20
    for kind, name, key in found:
        assert (kind, name) in held, f"{kind} {name} is missing"
        assert key is None or key in held[kind, name], f"{kind} {name} has no {key}"


def test_every_generated_map_and_secret_is_used(objects: list[Manifest]) -> None:
    used = {(kind, name) for item in objects for kind, name, _ in references(item.get("spec", {}))}
    made = {(item["kind"], item["metadata"]["name"]) for item in of_kind(objects, "ConfigMap", "Secret")}
    made -= {("Secret", "nephrite-scans")}  # Kubeflow's launcher reads it, by the Role: test_launcher.py
    assert made == {reference for reference in used if reference[0] != "PersistentVolumeClaim"}


def test_mounts_name_volumes_of_their_pod(pods: list[Any]) -> None:
    for pod in pods:
        claimed = {claim["metadata"]["name"] for claim in pod.owner["spec"].get("volumeClaimTemplates", [])}
        volumes = {volume["name"] for volume in pod.spec["volumes"]} | claimed
        mounted = {mount["name"] for container in pod.containers for mount in container["volumeMounts"]}
        assert mounted == volumes, pod.name


def test_accounts_exist_and_roles_are_bound(objects: list[Manifest], pods: list[Any]) -> None:
    accounts = names(objects, "ServiceAccount")
    assert {pod.spec["serviceAccountName"] for pod in pods} == accounts - {"nephrite-runner"}
    for binding in of_kind(objects, "RoleBinding"):
        assert binding["roleRef"]["name"] in names(objects, "Role")
        assert {(subject["name"], subject["namespace"]) for subject in binding["subjects"]} == {
            ("nephrite-runner", "nephrite")
        }


def test_every_account_pulls_images_with_the_registrys_secret(objects: list[Manifest]) -> None:
    accounts = of_kind(objects, "ServiceAccount")
    assert all(account["imagePullSecrets"] == [{"name": "nephrite-registry"}] for account in accounts)


def test_roles_have_no_wildcards_and_read_named_secrets_only(objects: list[Manifest]) -> None:
    rules = [rule for role in of_kind(objects, "Role") for rule in role["rules"]]
    assert not any("*" in rule["verbs"] + rule["resources"] + rule["apiGroups"] for rule in rules)
    guarded = [rule for rule in rules if {"secrets", "configmaps"} & set(rule["resources"])]
    assert all(rule["resourceNames"] and rule["verbs"] == ["get"] for rule in guarded)
    assert not names(objects, "ClusterRole") | names(objects, "ClusterRoleBinding")


def test_what_is_not_opened_is_denied(objects: list[Manifest]) -> None:
    (policy,) = [item["spec"] for item in of_kind(objects, "NetworkPolicy") if item["metadata"]["name"] == "deny-all"]
    assert policy == {"podSelector": {}, "policyTypes": ["Ingress", "Egress"]}


def test_policies_and_their_peers_select_something(objects: list[Manifest], pods: list[Any], stack: str) -> None:
    labels = all_pod_labels(pods)
    if stack == "local":  # no training without GPUs; the policy waits for it
        labels += [{"app.kubernetes.io/name": "training"}, {"app.kubernetes.io/name": "training-data"}]
    for policy in of_kind(objects, "NetworkPolicy"):
        spec = policy["spec"]
        rules = [*spec.get("ingress", []), *spec.get("egress", [])]
        peers = [peer for rule in rules for peer in rule.get("from", []) + rule.get("to", [])]
        inner = [spec["podSelector"], *(peer["podSelector"] for peer in peers if "podSelector" in peer)]
        assert all(any(selects(selector, each) for each in labels) for selector in inner), policy["metadata"]["name"]
        outer = {name for peer in peers for name in peer.get("namespaceSelector", {}).get("matchLabels", {}).values()}
        assert outer <= FOREIGN_NAMESPACES


def ports_open(objects: list[Manifest], direction: str, mine: dict[str, str], other: dict[str, str]) -> set[int | None]:
    """Ports that policies open between two pods of the namespace; None stands for all."""
    side, key = ("to", "egress") if direction == "Egress" else ("from", "ingress")
    open_ports: set[int | None] = set()
    for policy in of_kind(objects, "NetworkPolicy"):
        for rule in policy["spec"].get(key, []) if selects(policy["spec"]["podSelector"], mine) else []:
            if any("podSelector" in peer and selects(peer["podSelector"], other) for peer in rule[side]):
                open_ports |= {port["port"] for port in rule.get("ports", [{"port": None}])}
    return open_ports


@pytest.mark.parametrize(
    ("client", "server", "port"),
    [
        ("mlflow", "postgres", 5432),
        ("backup", "postgres", 5432),
        ("mlflow", "s3", 8333),
        ("make-buckets", "s3", 8333),
        ("argo", "s3", 8333),
        ("argo", "mlflow", 5000),
        ("training", "mlflow", 5000),
        ("training-data", "mlflow", 5000),
        ("training-data", "s3", 8333),
        ("serving", "mlflow", 5000),
    ],
)
def test_ways_that_are_used_are_open_on_both_sides(
    objects: list[Manifest], client: str, server: str, port: int
) -> None:
    mine = FOREIGN_LABELS if client == "argo" else {"app.kubernetes.io/name": client}
    other = {"app.kubernetes.io/name": server}
    assert ports_open(objects, "Egress", mine, other) == {port}
    assert ports_open(objects, "Ingress", other, mine) == {port}


def test_ports_opened_are_ports_of_the_pods_behind(objects: list[Manifest], pods: list[Any]) -> None:
    for policy in of_kind(objects, "NetworkPolicy"):
        behind = [
            pod for pod in pods if policy["spec"]["podSelector"] and selects(policy["spec"]["podSelector"], pod.labels)
        ]
        for pod in behind:
            offered = {port["containerPort"] for container in pod.containers for port in container.get("ports", [])}
            opened = {port["port"] for rule in policy["spec"].get("ingress", []) for port in rule.get("ports", [])}
            assert opened <= offered, policy["metadata"]["name"]


def test_pipeline_pods_cannot_reach_the_database(objects: list[Manifest]) -> None:
    postgres = {"app.kubernetes.io/name": "postgres"}
    assert not ports_open(objects, "Ingress", postgres, FOREIGN_LABELS)
    assert not ports_open(objects, "Egress", FOREIGN_LABELS, postgres)


def is_cron(schedule: str) -> bool:
    """Whether each of the five fields holds lists of numbers, ranges and steps within its bounds."""
    fields = schedule.split()
    if len(fields) != len(CRON):
        return False
    for field, (low, high) in zip(fields, CRON, strict=True):
        for part in field.split(","):
            if not re.fullmatch(FIELD, part):
                return False
            if not all(low <= int(number) <= high for number in re.findall(r"\d+", part.split("/")[0])):
                return False
    return True


def test_schedules_are_cron(objects: list[Manifest]) -> None:
    assert all(is_cron(item["spec"]["schedule"]) for item in of_kind(objects, "CronJob"))


@pytest.mark.parametrize("schedule", ["17 2 * *", "60 2 * * *", "0 24 * * *", "a * * * *", "0 0 0 * *"])
def test_what_is_no_cron_is_refused(schedule: str) -> None:
    assert not is_cron(schedule)
