"""MLflow, DVC remotes and Kubeflow: whether they answer to the credentials at hand, which are never shown."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import requests
from requests import PreparedRequest
from requests.auth import AuthBase

from nephrite.config import Config
from nephrite.doctor.checks import Check
from nephrite.tracking_address import check_address, shown, sqlite_file, tracking_uri
from nephrite.versions import check_remote

PATIENCE = 5.0  # seconds for one answer
TOKEN_FILE = Path("/var/run/secrets/kubeflow/pipelines/token")
ASK_MLFLOW = "/api/2.0/mlflow/experiments/search"
ASK_KUBEFLOW = "/apis/v2beta1/healthz"
DENIED = (401, 403)
Login = AuthBase | tuple[str, str] | None


def mlflow() -> Check:
    """Whether runs can be recorded."""
    uri = tracking_uri()
    if not uri.startswith("http"):
        if uri.startswith("sqlite") and not sqlite_file(uri).exists():
            return Check("MLflow", "fine", f"{shown(uri)} will be made by the first run")
        check_address(uri)
        return Check("MLflow", "fine", f"{shown(uri)} answers")
    # the question that every recording begins with
    names = ("URI", "USERNAME", "PASSWORD", "TOKEN")
    remedy = f"check {', '.join(f'MLFLOW_TRACKING_{name}' for name in names)}, and whether the server runs"
    return _asked("MLflow", uri.rstrip("/") + ASK_MLFLOW, _mlflow_login(), remedy, {"max_results": 1})


def remotes(config: Config | None) -> Iterator[str]:
    """Remotes of DVC that the settings name."""
    if config:
        named = (config.publish.remote, config.acquire.dvc.remote if config.acquire.source == "dvc" else None)
        yield from dict.fromkeys(remote for remote in named if remote)


def remote(place: str) -> Check:
    """Whether a remote of DVC can be listed."""
    if "://" not in place and not Path(place).is_dir():
        return Check("DVC remote", "fails", f"{place} is not a folder", f"mkdir -p {place}")
    check_remote(place)
    return Check("DVC remote", "fine", f"{shown(place)} answers")


def kubeflow() -> Check:
    """Whether the cluster that KFP_HOST names answers to the token."""
    host = os.environ.get("KFP_HOST")
    if not host:
        return Check("Kubeflow", "fine", "KFP_HOST is not set: no cluster is asked")
    token = os.environ.get("KFP_TOKEN")
    if not token and TOKEN_FILE.is_file():
        token = TOKEN_FILE.read_text(encoding="utf-8").strip()
    login = _Bearer(token) if token else None
    return _asked("Kubeflow", host.rstrip("/") + ASK_KUBEFLOW, login, "check KFP_HOST, and renew KFP_TOKEN")


class _Bearer(AuthBase):
    """A token, which no .netrc of this machine takes the place of."""

    def __init__(self, token: str) -> None:
        self._token = token

    def __call__(self, request: PreparedRequest) -> PreparedRequest:
        """Put it into a request."""
        request.headers["Authorization"] = f"Bearer {self._token}"
        return request


def _asked(name: str, address: str, login: Login, remedy: str, body: dict[str, int] | None = None) -> Check:
    """One question by HTTP; a login page is no answer."""
    if not address.startswith(("http://", "https://")):
        return Check(name, "fails", f"{shown(address)} is no address of HTTP", remedy)
    method = "POST" if body else "GET"
    try:
        answer = requests.request(method, address, json=body, auth=login, timeout=PATIENCE, allow_redirects=False)
    except requests.RequestException as error:
        finding = f"{shown(address)} does not answer ({type(error).__name__})"
        return Check(name, "fails", finding, remedy)
    if answer.status_code < 300:
        return Check(name, "fine", f"{shown(address)} answers")
    code = answer.status_code
    why = "refuses who asks" if code in DENIED else "sends to a login page" if code < 400 else "refuses"
    return Check(name, "fails", f"{shown(address)} {why} ({code})", remedy)


def _mlflow_login() -> Login:
    """By which MLflow's own client says who asks; a user in the address counts without it."""
    user, password = (os.environ.get(f"MLFLOW_TRACKING_{name}") for name in ("USERNAME", "PASSWORD"))
    if user and password:
        return user, password
    token = os.environ.get("MLFLOW_TRACKING_TOKEN")
    return _Bearer(token) if token else None
