"""The user of the serving pods against MLflow's real server with passwords: one model, and nothing else."""

from __future__ import annotations

import os
import runpy
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import requests
from mlflow.exceptions import MlflowException
from mlflow.tracking import MlflowClient

pytestmark = [pytest.mark.servers, pytest.mark.slow]
ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture
def server(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """MLflow with the settings of k8s/base, on SQLite; the environment is that of its first user."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    settings = (ROOT / "k8s/base/basic_auth.ini").read_text()
    database = next(line for line in settings.splitlines() if line.startswith("database_uri"))
    (tmp_path / "auth.ini").write_text(settings.replace(database, f"database_uri = sqlite:///{tmp_path}/auth.db"))
    own = {
        "MLFLOW_AUTH_CONFIG_PATH": str(tmp_path / "auth.ini"), "MLFLOW_AUTH_ADMIN_USERNAME": "nephrite",
        "MLFLOW_AUTH_ADMIN_PASSWORD": "password-of-nephrite", "MLFLOW_FLASK_SERVER_SECRET_KEY": "x",
        "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false", "PYTHONWARNINGS": "ignore",
    }  # fmt: skip
    command = [sys.executable, "-m", "mlflow", "server", "--app-name=basic-auth", f"--port={port}", "--workers=1"]
    command += [f"--backend-store-uri=sqlite:///{tmp_path}/mlflow.db", f"--artifacts-destination={tmp_path}/files"]
    with (tmp_path / "server.log").open("wb") as log:
        process = subprocess.Popen(command, cwd=tmp_path, env={**os.environ, **own}, stdout=log, stderr=log)
    url = f"http://127.0.0.1:{port}"
    monkeypatch.setenv("MLFLOW_TRACKING_USERNAME", "nephrite")
    monkeypatch.setenv("MLFLOW_TRACKING_PASSWORD", "password-of-nephrite")
    try:
        for _ in range(300):
            try:
                requests.get(f"{url}/health", timeout=1).raise_for_status()
                break
            except requests.RequestException:
                time.sleep(0.2)
        yield url
    finally:
        process.terminate()
        process.wait(20)


def model_of(client: MlflowClient, name: str, folder: Path) -> str:
    """Register a file as the champion of a name, in an experiment of its own; returns the experiment."""
    experiment = client.create_experiment(name)
    made = client.create_logged_model(experiment, "segmenter").model_id
    (folder / "MLmodel").write_text(name)
    client.log_model_artifacts(made, str(folder))
    client.finalize_logged_model(made, "READY")
    client.create_registered_model(name)
    version = client.create_model_version(name, f"models:/{made}", model_id=made)
    client.set_registered_model_alias(name, "champion", version.version)
    return str(experiment)


def test_serving_user_reads_one_model_and_nothing_else(
    server: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from mlflow.artifacts import download_artifacts

    # two models, secrets as make_secrets.py writes them
    client = MlflowClient(server, registry_uri=server)
    (tmp_path / "model").mkdir()
    experiments = {name: model_of(client, name, tmp_path / "model") for name in ("nephrite-segmenter", "other")}
    secrets = tmp_path / "secrets"
    shutil.copytree(ROOT / "k8s/base/secrets", secrets)
    for path in secrets.glob("*.example"):
        path.with_suffix("").write_text(path.read_text().replace("CHANGE-ME", "password-of-nephrite"))
    grant: Any = runpy.run_path(str(ROOT / "k8s/grant_reader.py"))["grant"]
    for _ in range(2):  # the second time changes nothing
        assert "may read model nephrite-segmenter" in grant(server, "nephrite-segmenter", secrets)
    # as the pod's user
    monkeypatch.setenv("MLFLOW_TRACKING_USERNAME", "serving")
    monkeypatch.setenv("MLFLOW_TRACKING_URI", server)
    monkeypatch.setenv("MLFLOW_REGISTRY_URI", server)
    command = [sys.executable, "-m", "mlflow", "artifacts", "download"]
    command += ["--artifact-uri=models:/nephrite-segmenter@champion", f"--dst-path={tmp_path}/got"]
    subprocess.run(command, check=True, capture_output=True)
    assert (tmp_path / "got" / "MLmodel").is_file()
    with pytest.raises(MlflowException, match=r"(?i)permission denied|403"):
        download_artifacts(artifact_uri="models:/other@champion", dst_path=str(tmp_path / "not"))
    reader = MlflowClient(server, registry_uri=server)
    for forbidden in (
        lambda: reader.create_run(experiments["nephrite-segmenter"]),
        lambda: reader.get_experiment(experiments["other"]),
        lambda: reader.set_registered_model_alias("nephrite-segmenter", "champion", "1"),
        lambda: reader.delete_registered_model("nephrite-segmenter"),
    ):
        with pytest.raises(MlflowException, match=r"(?i)permission denied|403"):
            forbidden()
