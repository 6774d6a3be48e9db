"""Secrets and volume claims are looked for before a run is submitted."""

from __future__ import annotations

import base64
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
import yaml
from kubernetes import config
from kubernetes.config import kube_config

from nephrite_kubeflow.errors import ClusterError
from nephrite_kubeflow.package import Package
from nephrite_kubeflow.preflight import check_objects, check_release, check_retries
from tests.pipelines.conftest import Answer, Request, serve

SECRET = "/api/v1/namespaces/nephrite/secrets/nephrite-env"  # noqa: S105 - a path
NAMESPACE = "/api/v1/namespaces/nephrite"
ARGO = "/api/v1/namespaces/kubeflow/configmaps/workflow-controller-configmap"
CLAIM = "/api/v1/namespaces/nephrite/persistentvolumeclaims/nephrite-checkpoints"


@dataclass
class Cluster:
    """A Kubernetes API with a few objects."""

    objects: dict[str, dict[str, Any]] = field(default_factory=dict)
    status: int = 404  # of what is not there
    requests: list[Request] = field(default_factory=list)

    def answer(self, request: Request) -> Answer:
        """The object, or the status."""
        self.requests.append(request)
        found = self.objects.get(request.path)
        return (200, found) if found else (self.status, {"kind": "Status", "code": self.status})


@pytest.fixture
def cluster(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, compiled: Package) -> Iterator[Cluster]:
    """A cluster that holds all that the steps use, and a kubeconfig that leads to it."""
    keys = compiled.secrets["nephrite-env"]
    data = {key: base64.b64encode(b"x").decode() for key in keys}
    state = Cluster({SECRET: {"kind": "Secret", "data": data}, CLAIM: {"kind": "PersistentVolumeClaim"}})
    running = serve(state.answer)
    write_kubeconfig(tmp_path / "kubeconfig", f"http://127.0.0.1:{running.server_port}", monkeypatch)
    yield state
    running.shutdown()
    running.server_close()


def write_kubeconfig(path: Path, server: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Write a kubeconfig for a server, and make it the one in force."""
    content = {
        "current-context": "c",
        "contexts": [{"name": "c", "context": {"cluster": "c", "user": "u"}}],
        "clusters": [{"name": "c", "cluster": {"server": server}}],
        "users": [{"name": "u", "user": {"token": "t"}}],
    }
    path.write_text(yaml.safe_dump(content), encoding="utf-8")
    monkeypatch.setattr(config, "KUBE_CONFIG_DEFAULT_LOCATION", str(path))
    monkeypatch.setattr(kube_config, "KUBE_CONFIG_DEFAULT_LOCATION", str(path))


def test_whole_namespace_passes(cluster: Cluster, compiled: Package) -> None:
    assert check_objects(compiled, "nephrite") is None
    assert [request.path for request in cluster.requests] == [SECRET, CLAIM]


@pytest.mark.parametrize(
    ("gone", "told"),
    [(SECRET, "secret nephrite-env"), (CLAIM, "persistent volume claim nephrite-checkpoints")],
)
def test_missing_object_is_refused_with_the_remedy(cluster: Cluster, compiled: Package, gone: str, told: str) -> None:
    del cluster.objects[gone]
    with pytest.raises(ClusterError, match=f"{told} in namespace nephrite: is missing; apply k8s/"):
        check_objects(compiled, "nephrite")


def test_secret_without_a_key_is_refused_by_the_keys_name(cluster: Cluster, compiled: Package) -> None:
    del cluster.objects[SECRET]["data"]["NEPHRITE_AWS_ENDPOINT_URL"]
    with pytest.raises(
        ClusterError, match="secret nephrite-env in namespace nephrite: lacks NEPHRITE_AWS_ENDPOINT_URL;"
    ):
        check_objects(compiled, "nephrite")


def test_user_who_may_not_look_is_told_so_and_not_stopped(cluster: Cluster, compiled: Package) -> None:
    cluster.objects.clear()
    cluster.status = 403
    assert check_objects(compiled, "nephrite") == "the cluster answers 403 to a look at secret nephrite-env"


def test_without_access_to_a_cluster_the_reason_is_told(
    compiled: Package, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(config, "KUBE_CONFIG_DEFAULT_LOCATION", str(tmp_path / "absent"))
    monkeypatch.delenv("KUBERNETES_SERVICE_HOST", raising=False)
    assert check_objects(compiled, "nephrite") == "no kubeconfig here"
    write_kubeconfig(tmp_path / "kubeconfig", "http://127.0.0.1:9", monkeypatch)
    assert (check_objects(compiled, "nephrite") or "").startswith("the cluster does not answer")
    assert capsys.readouterr().out == ""


def defaults(text: str) -> dict[str, Any]:
    """The settings of Kubeflow's Argo with these defaults of workflows."""
    return {"kind": "ConfigMap", "data": {"workflowDefaults": text}}


OF_RELEASE_2_17 = "spec: {templateDefaults: {retryStrategy: {limit: '2', retryPolicy: OnError}}}"
RETRIED = OF_RELEASE_2_17.replace("OnError", "Always")


def test_retries_that_argo_would_not_make_are_told_with_the_patch(cluster: Cluster) -> None:
    cluster.objects[ARGO] = defaults(OF_RELEASE_2_17)
    told = check_retries() or ""
    assert told.startswith("no failed step will be tried again: Argo's default retryPolicy is 'OnError'")
    assert "sed 's/OnError/Always/' | kubectl apply -f -" in told
    assert "\n" not in told


@pytest.mark.parametrize(
    "text",
    ["", "spec: {}", "[1]", "{", "spec: {templateDefaults: {retryStrategy: {limit: 2}}}", RETRIED],
)
def test_argo_that_tries_failed_steps_again_is_no_matter(cluster: Cluster, text: str) -> None:
    cluster.objects[ARGO] = defaults(text)
    assert check_retries() is None


def test_user_who_may_not_see_argos_settings_is_told_so(cluster: Cluster) -> None:
    cluster.status = 403
    told = "whether failed steps are tried again was not looked up (configmap workflow-controller-configmap in kubeflow"
    assert check_retries() == f"{told}: 403)"


def labeled(level: str) -> dict[str, Any]:
    """The namespace at a level of PodSecurity."""
    return {"kind": "Namespace", "metadata": {"labels": {"pod-security.kubernetes.io/enforce": level}}}


@pytest.mark.parametrize("version", ["2.5.0", "2.15.2", "v1.8.5"])
def test_release_whose_pods_the_namespace_refuses_is_refused(cluster: Cluster, version: str) -> None:
    cluster.objects[NAMESPACE] = labeled("restricted")
    told = f"namespace nephrite: is at 'restricted', and Kubeflow Pipelines {version} .* refuses; kubectl label"
    with pytest.raises(ClusterError, match=told):
        check_release(version, "nephrite", multi_user=True)


@pytest.mark.parametrize(
    ("version", "level"),
    [("2.16.0", "restricted"), ("2.17.0", "restricted"), ("3.0", "restricted"), ("2.15.2", "baseline")],
)
def test_release_and_level_that_fit_pass(cluster: Cluster, version: str, level: str) -> None:
    cluster.objects[NAMESPACE] = labeled(level)
    assert check_release(version, "nephrite", multi_user=True) is None


def test_what_cannot_be_seen_of_release_or_level_is_a_warning(cluster: Cluster) -> None:
    cluster.status = 403
    assert "must be 2.16 or newer" in (check_release("unknown", "nephrite", multi_user=True) or "")
    told = check_release("2.15.0", "nephrite", multi_user=True) or ""
    assert "the namespace's level was not looked up; if it is 'restricted': kubectl label namespace nephrite" in told


def test_single_user_kubeflow_is_told_its_own_namespace() -> None:
    with pytest.raises(ClusterError, match=r"apply k8s/single-user .* and name it: --namespace kubeflow"):
        check_release("2.17.0", "nephrite", multi_user=False)
    assert check_release("2.17.0", "kubeflow", multi_user=False) is None
