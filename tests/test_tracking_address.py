"""Addresses where nobody is at home are found in seconds."""

from __future__ import annotations

import os
import socket
import time
from pathlib import Path

import pytest

from nephrite.errors import TrackingUnreachableError
from nephrite.tracking_address import check_address, short_patience, shown, tracking_uri


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
    assert tracking_uri() == "sqlite:///mlflow.db?timeout=60"
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://localhost:5000")
    assert tracking_uri() == "http://localhost:5000"


def test_patience_is_short_only_for_the_check(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_TIMEOUT", "60")
    monkeypatch.delenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", raising=False)
    with short_patience():
        assert (os.environ["MLFLOW_HTTP_REQUEST_TIMEOUT"], os.environ["MLFLOW_HTTP_REQUEST_MAX_RETRIES"]) == ("4", "0")
    assert os.environ["MLFLOW_HTTP_REQUEST_TIMEOUT"] == "60"
    assert "MLFLOW_HTTP_REQUEST_MAX_RETRIES" not in os.environ
