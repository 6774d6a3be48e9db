"""Addresses where nobody is at home are found in seconds."""

from __future__ import annotations

import os
import shutil
import socket
import sqlite3
import time
from contextlib import closing
from pathlib import Path

import pytest

from nephrite.errors import TrackingUnreachableError
from nephrite.tracking import connect
from nephrite.tracking_address import check_address, follow_move, short_patience, shown, tracking_uri


def assert_unreachable(uri: str, finding: str) -> None:
    start = time.monotonic()
    with pytest.raises(TrackingUnreachableError) as caught:
        check_address(uri)
    assert str(caught.value).startswith(f"{shown(uri)}: the record of runs does not answer (")
    assert finding in str(caught.value)
    assert time.monotonic() - start < 5  # MLflow alone would retry for minutes


def test_database_server_that_is_not_there_is_unreachable() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        port = taken.getsockname()[1]
    assert_unreachable(f"postgresql://user:secret@127.0.0.1:{port}/mlflow", "refused")


def test_file_that_is_no_database_is_unreachable(tmp_path: Path) -> None:
    (tmp_path / "mlflow.db").write_text("no database" * 100)
    assert_unreachable(f"sqlite:///{tmp_path / 'mlflow.db'}", "file is not a database")


def test_path_below_a_file_is_unreachable(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    assert_unreachable(f"sqlite:///{tmp_path / 'file' / 'mlflow.db'}", "file")


def test_new_database_in_a_new_folder_is_accepted(tmp_path: Path) -> None:
    check_address(f"sqlite:///{tmp_path / 'new' / 'mlflow.db'}")
    assert (tmp_path / "new").is_dir()


def test_credentials_are_not_shown() -> None:
    assert shown("postgresql://user:pa55@host/db\n failed") == "postgresql://host/db failed"


def test_record_is_in_the_working_folder_unless_told_otherwise(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    assert tracking_uri() == "sqlite:///mlflow.db"
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://localhost:5000")
    assert tracking_uri() == "http://localhost:5000"


def test_patience_is_short_only_for_the_check(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_TIMEOUT", "60")
    monkeypatch.delenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", raising=False)
    with short_patience():
        assert (os.environ["MLFLOW_HTTP_REQUEST_TIMEOUT"], os.environ["MLFLOW_HTTP_REQUEST_MAX_RETRIES"]) == ("4", "0")
    assert os.environ["MLFLOW_HTTP_REQUEST_TIMEOUT"] == "60"
    assert "MLFLOW_HTTP_REQUEST_MAX_RETRIES" not in os.environ


@pytest.fixture
def moved(empty_record: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A working folder whose record was made in another one, with a run there."""
    folder = tmp_path / "here 100%"
    folder.mkdir()
    shutil.copyfile(empty_record, folder / "mlflow.db")
    monkeypatch.chdir(folder)
    old = "/somewhere/before/mlruns"
    with closing(sqlite3.connect(folder / "mlflow.db")) as record, record:
        record.execute("UPDATE experiments SET artifact_location = ? || '/' || experiment_id", (old,))
        for values in (("r", f"{old}/0/r/artifacts", 0), ("other", "s3://bucket/mlruns/0/other", 0)):
            record.execute("INSERT INTO runs (run_uuid, artifact_uri, experiment_id) VALUES (?, ?, ?)", values)
    return folder


def places(folder: Path) -> list[str]:
    with closing(sqlite3.connect(folder / "mlflow.db")) as record:
        rows = record.execute("SELECT artifact_uri FROM runs UNION ALL SELECT artifact_location FROM experiments")
        return sorted(place for (place,) in rows)


def test_a_record_that_was_moved_leads_to_its_own_files(moved: Path, caplog: pytest.LogCaptureFixture) -> None:
    for _ in range(2):
        follow_move("sqlite:///mlflow.db")
    home = f"file://{moved.parent}/here%20100%25/mlruns"
    assert places(moved) == [f"{home}/0", f"{home}/0/r/artifacts", "s3://bucket/mlruns/0/other"]
    assert caplog.text.count("was moved or copied here from /somewhere/before") == 1


def test_a_record_elsewhere_is_left_alone(moved: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    before = places(moved)
    monkeypatch.chdir(tmp_path)
    for uri in (f"sqlite:///{moved / 'mlflow.db'}", "sqlite:///absent.db", "http://127.0.0.1:1"):
        follow_move(uri)
    assert places(moved) == before
    assert not (tmp_path / "absent.db").exists()


def test_artifacts_of_a_moved_record_lie_in_its_own_folder(moved: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "sqlite:///mlflow.db")
    client = connect()
    run = client.create_run("0")
    client.log_text(run.info.run_id, "kept", "note.txt")
    assert (moved / "mlruns" / "0" / run.info.run_id / "artifacts" / "note.txt").read_text() == "kept"
    assert not Path("/somewhere").exists()
