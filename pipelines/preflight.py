"""Checks, before a run is submitted, that its namespace has what the pods need; they would fail an hour later."""

from __future__ import annotations

import contextlib
import io
import re
from collections.abc import Callable
from typing import Any

import urllib3
import yaml
from kubernetes import client, config

from nephrite_kubeflow.errors import ClusterError
from nephrite_kubeflow.package import Package

LIMITS = (3, 10)  # seconds to connect, and to wait for an answer
ARGO = ("workflow-controller-configmap", "kubeflow")  # where Kubeflow keeps the settings of its Argo
OWN = "kubeflow"  # the namespace of Kubeflow itself, where a single-user installation runs its pods
LEVEL = "pod-security.kubernetes.io/enforce"  # a namespace's label
RESTRICTED_SINCE = (2, 16)  # from this release on, Kubeflow Pipelines gives its own containers security contexts
RETRYING = (
    None,
    "OnFailure",
    "Always",
)  # policies of Argo by which a failed container is tried again; None: its default


def check_objects(package: Package, namespace: str) -> str | None:
    """Look for the secrets, their keys and the volume claims that the steps use.

    Returns:
        Why nothing could be looked up, e.g. no access to the cluster; None if all is there.

    Raises:
        ClusterError: something is missing.
    """
    try:
        core = _core()
    except config.ConfigException:
        return "no kubeconfig here"
    # secrets, with all keys that are mounted
    for name, keys in package.secrets.items():
        secret = _read(core.read_namespaced_secret, "secret", name, namespace)
        if isinstance(secret, str):
            return secret
        missing = sorted(keys - set(secret.data or {}))
        if missing:
            _refuse(f"secret {name}", f"lacks {', '.join(missing)}", namespace)
    # volumes
    for name in sorted(package.claims):
        claim = _read(core.read_namespaced_persistent_volume_claim, "persistent volume claim", name, namespace)
        if isinstance(claim, str):
            return claim
    return None


def check_release(version: str, namespace: str, *, multi_user: bool) -> str | None:
    """Whether this release's pods are admitted to the namespace, and whether its runs go there at all.

    Before 2.16 (Kubeflow 1.11 has 2.15, 1.10 has 2.5) driver, launcher and Argo's own containers have no security
    context, and PodSecurity `restricted` refuses them.

    Args:
        version: of Kubeflow Pipelines, e.g. '2.17.0'.
        namespace: where the run shall go.
        multi_user: whether Kubeflow keeps namespaces apart.

    Returns:
        What could not be seen; None if all is well.

    Raises:
        ClusterError: the pods would be refused, or the run would go into another namespace.
    """
    if not multi_user and namespace == "nephrite":
        finding = "is not where a single-user Kubeflow runs its pods: that is its own namespace"
        remedy = f"apply k8s/single-user (docs/cluster.md) and name it: --namespace {OWN}"
        raise ClusterError(f"--namespace {namespace}", finding, remedy)
    match = re.match(r"v?(\d+)\.(\d+)", version)
    if not match:
        return f"the server does not name its version ('{version}'); it must be 2.16 or newer for 'restricted'"
    if (int(match[1]), int(match[2])) >= RESTRICTED_SINCE:
        return None
    # an older release: what counts is the namespace
    needs = f"Kubeflow Pipelines {version} makes pods that PodSecurity 'restricted' refuses"
    remedy = (
        f"kubectl label namespace {namespace} {LEVEL}=baseline --overwrite, or take Kubeflow Pipelines 2.16 or newer"
    )
    try:
        found = _core().read_namespace(namespace, _request_timeout=LIMITS)
    except (config.ConfigException, client.ApiException, urllib3.exceptions.HTTPError):
        return f"{needs}, and the namespace's level was not looked up; if it is 'restricted': {remedy}"
    if (found.metadata.labels or {}).get(LEVEL) == "restricted":
        raise ClusterError(f"namespace {namespace}", f"is at 'restricted', and {needs}", remedy)
    return None


def check_retries() -> str | None:
    """Whether Kubeflow's Argo tries failed steps again at all.

    Kubeflow Pipelines names no policy for a step's retries, so that of Argo's defaults counts. The manifests of 2.17
    set `OnError`, which no failed container satisfies (kubeflow/pipelines#13386 is to add a setting).

    Returns:
        What is wrong, and what to do about it; or that it could not be seen. None if failed steps are tried again.
    """
    try:
        core = _core()
    except config.ConfigException:
        return None  # told already
    name, namespace = ARGO
    try:
        found = core.read_namespaced_config_map(name, namespace, _request_timeout=LIMITS)
        defaults = yaml.safe_load((found.data or {}).get("workflowDefaults") or "") or {}
        policy = defaults["spec"]["templateDefaults"]["retryStrategy"].get("retryPolicy")
    except (client.ApiException, urllib3.exceptions.HTTPError) as error:
        reason = getattr(error, "status", None) or type(error).__name__
        return f"whether failed steps are tried again was not looked up (configmap {name} in {namespace}: {reason})"
    except (yaml.YAMLError, KeyError, TypeError, AttributeError):
        return None  # no defaults for retries: Argo's own, OnFailure
    if policy in RETRYING:
        return None
    remedy = f"kubectl -n {namespace} get configmap {name} -o yaml | sed 's/{policy}/Always/' | kubectl apply -f -"
    return f"no failed step will be tried again: Argo's default retryPolicy is '{policy}'; have it changed: {remedy}"


def _core() -> client.CoreV1Api:
    """The cluster of the kubeconfig, or the one that this pod runs in."""
    settings = client.Configuration()
    with contextlib.redirect_stdout(io.StringIO()):  # the library prints where it looks
        config.load_config(client_configuration=settings)
    settings.retries = False
    return client.CoreV1Api(client.ApiClient(settings))


def _read(read: Callable[..., Any], kind: str, name: str, namespace: str) -> Any:
    """The object, or why it could not be looked up."""
    try:
        return read(name, namespace, _request_timeout=LIMITS)
    except client.ApiException as error:
        if error.status == 404:
            _refuse(f"{kind} {name}", "is missing", namespace)
        return f"the cluster answers {error.status} to a look at {kind} {name}"
    except urllib3.exceptions.HTTPError as error:
        return f"the cluster does not answer ({type(error).__name__})"


def _refuse(place: str, finding: str, namespace: str) -> None:
    remedy = (
        "apply k8s/ there (docs/cluster.md), name another --namespace, or --no-check if kubectl sees another cluster"
    )
    raise ClusterError(f"{place} in namespace {namespace}", finding, remedy)
