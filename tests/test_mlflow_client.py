from __future__ import annotations

import socket
import sqlite3
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from mlflow.tracking import MlflowClient

from nephrite.config import Config
from nephrite.errors import TrackingUnreachableError
from nephrite.mlflow_client import connect
from tests.conftest import record_stage, runs

Load = Callable[..., Config]


@pytest.fixture
def closed_port() -> int:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        return int(taken.getsockname()[1])


@pytest.fixture
def mute_port() -> Iterator[int]:
    """A port that takes connections and never answers."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield int(server.getsockname()[1])


def test_closed_port_is_unreachable_at_once(closed_port: int, load: Load, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"http://user:secret@127.0.0.1:{closed_port}")
    start = time.monotonic()
    with pytest.raises(TrackingUnreachableError) as caught:
        record_stage(load(), "prepare")
    line = str(caught.value)
    assert line.startswith(f"http://127.0.0.1:{closed_port}: the record of runs does not answer (")
    assert "Connection refused); start the server, mend MLFLOW_TRACKING_URI, or unset it" in line
    assert "secret" not in line
    assert time.monotonic() - start < 5  # MLflow alone would retry for minutes


def test_mute_server_is_unreachable(mute_port: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("nephrite.tracking_address.PATIENCE", 1)
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"http://127.0.0.1:{mute_port}")
    with pytest.raises(TrackingUnreachableError, match=r"does not answer \(Read timed out\)"):
        connect()


def test_folder_of_files_is_no_record(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", str(tmp_path))
    with pytest.raises(TrackingUnreachableError, match="does not answer"):
        connect()


def test_database_whose_making_was_killed_is_made_anew(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)

    script = "mlflow.store.db.utils._upgrade_db = lambda engine: os._exit(9); nephrite.mlflow_client.connect()"
    imports = "import mlflow.store.db.utils, nephrite.mlflow_client, os"
    done = subprocess.run([sys.executable, "-c", f"{imports}; {script}"], check=False, capture_output=True)
    assert done.returncode == 9
    assert not (tmp_path / "mlflow.db").stat().st_size  # half of its tables would be refused for good
    assert (tmp_path / "mlflow.db.partial").stat().st_size
    assert [experiment.name for experiment in connect().search_experiments()] == ["Default"]
    assert [path.name for path in tmp_path.iterdir() if path.suffix != ".db"] == []


def test_database_with_half_of_its_tables_is_one_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{tmp_path / 'mlflow.db'}")
    with sqlite3.connect(tmp_path / "mlflow.db") as database:
        database.execute("CREATE TABLE experiment_tags (key TEXT)")
    with pytest.raises(TrackingUnreachableError, match="the record of runs does not answer") as caught:
        connect()
    assert "\n" not in str(caught.value)


def test_server_that_starts_late_is_waited_for(load: Load, monkeypatch: pytest.MonkeyPatch, record: str) -> None:
    found, answers = connect(), iter([TrackingUnreachableError("http://mlflow", "does not answer", "start it"), None])

    def late() -> MlflowClient:
        if error := next(answers):
            raise error
        return found

    monkeypatch.setattr("nephrite.mlflow_client.tracking_uri", lambda: "http://mlflow")
    monkeypatch.setattr("nephrite.mlflow_client.connect", late)
    record_stage(load("tracking.patience=20"), "prepare")
    assert len(runs(record, stage="prepare")) == 1


def test_wrong_password_is_told_at_once(load: Load, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[int] = []

    def refuse() -> MlflowClient:
        asked.append(1)
        raise TrackingUnreachableError("http://mlflow", "failed with error code 401 != 200", "mend the password")

    monkeypatch.setattr("nephrite.mlflow_client.tracking_uri", lambda: "http://mlflow")
    monkeypatch.setattr("nephrite.mlflow_client.connect", refuse)
    with pytest.raises(TrackingUnreachableError, match="401"):
        record_stage(load("tracking.patience=20"), "prepare")
    assert asked == [1]
