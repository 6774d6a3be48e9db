"""Make the user of the serving pods, who may read one model and nothing else; needs nothing but Python.

Usage, once there is a champion, with MLflow's port forwarded: grant_reader.py [URL [MODEL]]. Names and passwords come
from k8s/base/secrets/. MLflow keeps a model's files with its experiment, so the experiment that made the champion can
be read as well; run this again when a champion comes from another experiment, or gets another name.
"""

import base64
import json
import sys
import urllib.error
import urllib.parse
import urllib.request
from pathlib import Path
from typing import Any

SECRETS = Path(__file__).parent / "base" / "secrets"
MODEL = "nephrite-segmenter"


def read_secret(path: Path) -> dict[str, str]:
    """Names and values of a file of environment variables."""
    lines = [line.partition("=") for line in path.read_text(encoding="utf-8").splitlines() if "=" in line]
    return {name: value for name, _, value in lines}


def ask(url: str, admin: tuple[str, str], path: str, content: dict[str, str] | None = None) -> dict[str, Any]:
    """One request as MLflow's first user: a POST where there is content."""
    body = None if content is None else json.dumps(content).encode()
    request = urllib.request.Request(f"{url}/api/{path}", data=body)  # noqa: S310 # the caller's own server
    request.add_header("Authorization", "Basic " + base64.b64encode(":".join(admin).encode()).decode())
    request.add_header("Content-Type", "application/json")
    with urllib.request.urlopen(request, timeout=30) as answer:  # noqa: S310 # the caller's own server
        found: dict[str, Any] = json.loads(answer.read() or b"{}")
    return found


def grant(url: str, model: str, secrets: Path) -> str:
    """Make the user where it is missing, and let it read the model; returns what it may read."""
    own, reader = read_secret(secrets / "mlflow.env"), read_secret(secrets / "serving.env")
    admin = own["MLFLOW_AUTH_ADMIN_USERNAME"], own["MLFLOW_AUTH_ADMIN_PASSWORD"]
    user, password = reader["MLFLOW_TRACKING_USERNAME"], reader["MLFLOW_TRACKING_PASSWORD"]
    # where the champion's files are
    query = urllib.parse.urlencode({"name": model, "alias": "champion"})
    version = ask(url, admin, f"2.0/mlflow/registered-models/alias?{query}")["model_version"]
    place = version["source"].removeprefix("models:/")
    experiment = ask(url, admin, f"2.0/mlflow/logged-models/{place}")["model"]["info"]["experiment_id"]
    # the user, and what it may do
    try:
        ask(url, admin, "2.0/mlflow/users/create", {"username": user, "password": password})
    except urllib.error.HTTPError as error:
        if error.code != 400 or b"RESOURCE_ALREADY_EXISTS" not in error.read():
            raise
    for kind, name in (("registered_model", model), ("experiment", experiment)):
        content = {"username": user, "resource_type": kind, "resource_id": name, "permission": "READ"}
        try:
            ask(url, admin, "3.0/mlflow/users/permissions/grant", content)
        except urllib.error.HTTPError as error:
            if b"RESOURCE_ALREADY_EXISTS" not in error.read():
                raise
    return f"{user} may read model {model} and the files of experiment {experiment}"


if __name__ == "__main__":
    address, name = [*sys.argv[1:], *("http://localhost:5000", MODEL)[len(sys.argv) - 1 :]][:2]
    try:
        sys.stdout.write(grant(address.rstrip("/"), name, SECRETS) + "\n")
    except (OSError, KeyError) as error:
        sys.exit(f"{address}: {error}; look at base/secrets/, at the forwarded port, and whether there is a champion")
