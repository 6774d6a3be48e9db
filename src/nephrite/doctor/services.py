"""MLflow, DVC remotes and Kubeflow: whether they answer to the credentials at hand, which are never shown."""

from __future__ import annotations

import base64
import json
import os
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import unquote, urlsplit, urlunsplit

from nephrite.config import Config
from nephrite.doctor.checks import Check
from nephrite.tracking_address import check_address, shown, sqlite_file, tracking_uri
from nephrite.versions import check_remote

PATIENCE = 5.0  # seconds for one answer
TOKEN_FILE = Path("/var/run/secrets/kubeflow/pipelines/token")
ASK_MLFLOW = "/api/2.0/mlflow/experiments/search"
ASK_KUBEFLOW = "/apis/v2beta1/healthz"
DENIED = (401, 403)


def mlflow() -> Check:
    """Whether runs can be recorded."""
    uri = tracking_uri()
    if not uri.startswith("http"):
        if uri.startswith("sqlite") and not sqlite_file(uri).exists():
            return Check("MLflow", "fine", f"{shown(uri)} will be made by the first run")
        check_address(uri)
        return Check("MLflow", "fine", f"{shown(uri)} answers")
    # the question that every recording begins with
    body = json.dumps({"max_results": 1}).encode()
    names = ("URI", "USERNAME", "PASSWORD", "TOKEN")
    remedy = f"check {', '.join(f'MLFLOW_TRACKING_{name}' for name in names)}, and whether the server runs"
    return _asked("MLflow", uri.rstrip("/") + ASK_MLFLOW, _mlflow_login(), remedy, body)


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
    login = {"Authorization": f"Bearer {token}"} if token else {}
    return _asked("Kubeflow", host.rstrip("/") + ASK_KUBEFLOW, login, "check KFP_HOST, and renew KFP_TOKEN")


class _NoRedirect(urllib.request.HTTPRedirectHandler):
    """A login page is no answer."""

    def redirect_request(self, *given: object) -> None:
        """Follow none."""


def _asked(name: str, address: str, login: dict[str, str], remedy: str, body: bytes | None = None) -> Check:
    """One question by HTTP."""
    if not address.startswith(("http://", "https://")):
        return Check(name, "fails", f"{shown(address)} is no address of HTTP", remedy)
    address, within = _without_login(address)
    headers = {"Content-Type": "application/json", **within, **login}
    request = urllib.request.Request(address, body, headers)  # noqa: S310 -- the scheme is looked at above
    try:
        with urllib.request.build_opener(_NoRedirect).open(request, timeout=PATIENCE):
            return Check(name, "fine", f"{shown(address)} answers")
    except urllib.error.HTTPError as error:
        why = "refuses who asks" if error.code in DENIED else "sends to a login page" if error.code < 400 else "refuses"
        return Check(name, "fails", f"{shown(address)} {why} ({error.code})", remedy)
    except (urllib.error.URLError, TimeoutError, OSError) as error:
        return Check(name, "fails", f"{shown(address)} does not answer ({shown(str(error))})", remedy)


def _mlflow_login() -> dict[str, str]:
    """The header by which MLflow's own client says who asks."""
    user, password = (os.environ.get(f"MLFLOW_TRACKING_{name}") for name in ("USERNAME", "PASSWORD"))
    if user and password:
        return _basic(user, password)
    token = os.environ.get("MLFLOW_TRACKING_TOKEN")
    return {"Authorization": f"Bearer {token}"} if token else {}


def _without_login(address: str) -> tuple[str, dict[str, str]]:
    """An address without the user that it may name, and the header that says the same."""
    parts = urlsplit(address)
    if parts.username is None:
        return address, {}
    host = parts.netloc.rpartition("@")[2]
    login = _basic(unquote(parts.username), unquote(parts.password or ""))
    return urlunsplit(parts._replace(netloc=host)), login


def _basic(user: str, password: str) -> dict[str, str]:
    return {"Authorization": f"Basic {base64.b64encode(f'{user}:{password}'.encode()).decode()}"}
