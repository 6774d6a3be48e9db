"""The record of runs as a cluster keeps it: MLflow with passwords, on a real PostgreSQL and a real object store."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple, Protocol

import boto3
import pytest
import requests
from botocore.config import Config as BotoConfig
from botocore.exceptions import ClientError
from mlflow.tracking import MlflowClient

pytestmark = [pytest.mark.containers, pytest.mark.slow]
BIN = Path(sys.executable).parent
NEPHRITE = str(BIN / "nephrite")
PASSWORD = "not-a-secret-at-all"  # noqa: S105 - of a server that lives as long as the test
POSTGRES = "postgres"


class Store(Protocol):
    """The object store of conftest.py."""

    address: str
    keys: dict[str, str]


class Record(NamedTuple):
    """MLflow's address, the folder of its database, and a client of its object store."""

    address: str
    database: Path
    store: Any


def free_port() -> int:
    """A port that nobody listens on now."""
    with socket.socket() as opened:
        opened.bind(("127.0.0.1", 0))
        return int(opened.getsockname()[1])


def wait_for(port: int, process: subprocess.Popen[bytes], seconds: int = 60) -> None:
    """Return as soon as somebody listens."""
    for _ in range(seconds * 10):
        assert process.poll() is None, "the server ended"
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", port)) == 0:
                return
        time.sleep(0.1)
    pytest.fail(f"nobody listens on port {port}")


def as_postgres(*command: str | Path) -> list[str]:
    """PostgreSQL refuses to run as root."""
    return ["runuser", "-u", POSTGRES, "--", *map(str, command)]


def run_quietly(command: list[str]) -> None:
    """Run what says much and matters only if it fails."""
    subprocess.run(command, check=True, cwd="/", stdout=subprocess.DEVNULL)


def stop_database(folder: Path) -> None:
    """Stop PostgreSQL at once."""
    binaries = next(Path("/usr/lib/postgresql").glob("*/bin"))
    subprocess.run(as_postgres(binaries / "pg_ctl", "-D", folder, "-m", "immediate", "stop"), check=False, cwd="/")


def client_of(store: Store) -> Any:
    """A client that asks once."""
    return boto3.client(
        "s3",
        endpoint_url=store.address,
        aws_access_key_id=store.keys["AWS_ACCESS_KEY_ID"],
        aws_secret_access_key=store.keys["AWS_SECRET_ACCESS_KEY"],
        region_name="us-east-1",
        config=BotoConfig(retries={"max_attempts": 1}),
    )


@pytest.fixture(scope="module")
def database() -> Iterator[tuple[Path, str]]:
    """The folder of a PostgreSQL and its address, with two databases and a password."""
    binaries = next(Path("/usr/lib/postgresql").glob("*/bin"))
    folder = Path(subprocess.check_output(["mktemp", "-d", "/tmp/postgres-XXXXXX"], text=True).strip())  # noqa: S108
    secret = folder / "password"
    secret.write_text(PASSWORD)
    shutil.chown(folder, POSTGRES)
    secret.chmod(0o644)
    data, port = folder / "data", free_port()
    options = ("--auth=scram-sha-256", "--username=mlflow", f"--pwfile={secret}")
    run_quietly(as_postgres(binaries / "initdb", "-D", data, *options))
    settings = f"-p {port} -c listen_addresses=127.0.0.1 -c unix_socket_directories={folder}"
    start = as_postgres(binaries / "pg_ctl", "-D", data, "-l", folder / "log", "-w", "-o", settings, "start")
    run_quietly(start)
    address = f"mlflow:{PASSWORD}@127.0.0.1:{port}"
    for name in ("runs", "users"):
        run_quietly([str(binaries / "psql"), f"postgresql://{address}/postgres", "-c", f"create database {name}"])
    yield data, address
    stop_database(data)
    shutil.rmtree(folder)


@pytest.fixture(scope="module")
def record(s3: Store, database: tuple[Path, str], tmp_path_factory: pytest.TempPathFactory) -> Iterator[Record]:
    """MLflow's server as k8s/ starts it."""
    place, port = tmp_path_factory.mktemp("mlflow"), free_port()
    data, address = database
    client = client_of(s3)
    client.create_bucket(Bucket="mlflow")
    (place / "auth.ini").write_text(
        "[mlflow]\ndefault_permission = READ\nadmin_username = admin\n"
        f"database_uri = postgresql+psycopg2://{address}/users\n"
    )
    command = [str(BIN / "mlflow"), "server", "--app-name", "basic-auth", "--workers", "1", "--port", str(port)]
    command += [
        "--backend-store-uri",
        f"postgresql+psycopg2://{address}/runs",
        "--artifacts-destination",
        "s3://mlflow",
    ]
    variables = {
        **s3.keys,
        "AWS_MAX_ATTEMPTS": "1",
        "MLFLOW_S3_ENDPOINT_URL": s3.address,
        "MLFLOW_AUTH_CONFIG_PATH": str(place / "auth.ini"),
        "MLFLOW_AUTH_ADMIN_PASSWORD": PASSWORD,
        "MLFLOW_FLASK_SERVER_SECRET_KEY": PASSWORD,
        "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false",
        "MLFLOW_DISABLE_TELEMETRY": "true",
    }
    with (place / "log").open("wb") as log:
        process = subprocess.Popen(command, cwd=place, env={**os.environ, **variables}, stdout=log, stderr=log)
    try:
        wait_for(port, process)
        yield Record(f"http://127.0.0.1:{port}", data, client)
    finally:
        client.close()
        process.terminate()
        process.wait(30)


def acquire(record: Record, place: Path, root: Path, **variables: str) -> subprocess.CompletedProcess[str]:
    """Record a stage, as a pod does."""
    known = {
        "MLFLOW_TRACKING_URI": record.address,
        "MLFLOW_TRACKING_USERNAME": "admin",
        "MLFLOW_TRACKING_PASSWORD": PASSWORD,
    }
    chosen = ("acquire.phantom={patients: 1, seed: 1, matrix: 64}", "tracking.patience=0")
    settings = ["--params", str(root / "params.yaml"), *(part for item in chosen for part in ("--set", item))]
    command = [NEPHRITE, "acquire", "--raw", str(place / "raw"), *settings]
    return subprocess.run(
        command, env={**os.environ, **known, **variables}, capture_output=True, text=True, check=False, cwd=place
    )


def error_of(done: subprocess.CompletedProcess[str]) -> str:
    """The one line that the user sees."""
    assert done.returncode == 2, done.stdout + done.stderr
    lines = done.stderr.splitlines()
    assert len(lines) == 1, done.stderr
    return lines[0]


def test_run_and_its_artifacts_are_kept_by_the_server(
    record: Record, tmp_path: Path, root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    done = acquire(record, tmp_path, root)
    assert done.returncode == 0, done.stderr
    monkeypatch.setenv("MLFLOW_TRACKING_USERNAME", "admin")
    monkeypatch.setenv("MLFLOW_TRACKING_PASSWORD", PASSWORD)
    client = MlflowClient(record.address)
    experiment = client.get_experiment_by_name("nephrite")
    assert experiment
    (run,) = client.search_runs([experiment.experiment_id], "tags.`nephrite.stage` = 'acquire'")
    assert run.data.metrics["cases"] == 1
    assert [item.path for item in client.list_artifacts(run.info.run_id)] == ["settings.yaml"]
    kept = record.store.list_objects_v2(Bucket="mlflow")
    assert [item["Key"] for item in kept["Contents"] if item["Key"].endswith("settings.yaml")]


def test_nobody_reads_without_a_password(record: Record) -> None:
    assert (
        requests.get(f"{record.address}/api/2.0/mlflow/experiments/get?experiment_id=0", timeout=5).status_code == 401
    )


def test_wrong_password_is_one_line_and_nothing_is_written(record: Record, tmp_path: Path, root: Path) -> None:
    line = error_of(acquire(record, tmp_path, root, MLFLOW_TRACKING_PASSWORD="wrong"))  # noqa: S106
    assert line.startswith("TrackingUnreachableError: ")
    assert "wrong" not in line
    assert "401" in line or "not authenticated" in line.lower()
    assert not (tmp_path / "raw").exists()


def fill(store: Any, bucket: str) -> None:
    """Write until the store takes no more."""
    for number in range(100):
        store.put_object(Bucket=bucket, Key=f"filler-{number}", Body=os.urandom(8_000_000))


def test_full_bucket_is_one_line_and_nothing_is_written(record: Record, tmp_path: Path, root: Path) -> None:
    with pytest.raises(ClientError):
        fill(record.store, "mlflow")
    line = error_of(acquire(record, tmp_path, root))
    assert line.startswith("TrackingUnreachableError: artifact store of ")
    assert not (tmp_path / "raw").exists()


def test_database_that_is_gone_is_one_line_and_nothing_is_written(record: Record, tmp_path: Path, root: Path) -> None:
    stop_database(record.database)
    line = error_of(acquire(record, tmp_path, root))
    assert line.startswith("TrackingUnreachableError: ")
    assert not (tmp_path / "raw").exists()
