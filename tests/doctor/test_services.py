from __future__ import annotations

import base64
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from nephrite.config import load_config
from nephrite.doctor.services import kubeflow, mlflow, remote, remotes
from tests.conftest import CAPSTONE

GIVEN = "Basic " + base64.b64encode(b"me:secret").decode()


class Answering(BaseHTTPRequestHandler):
    """Answers to one user and one token, and sends others away."""

    def _answer(self) -> None:
        known = self.headers.get("Authorization") in (GIVEN, "Bearer good")
        self.send_response(200 if known else 302 if "login" in self.path else 401)
        self.send_header("Content-Length", "0")
        self.end_headers()

    do_GET = do_POST = _answer  # noqa: N815 -- names of the library

    def log_message(self, *given: object) -> None:
        """Say nothing."""


@pytest.fixture
def host() -> Iterator[str]:
    """A server of HTTP on this machine."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), Answering)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"127.0.0.1:{server.server_port}"
    server.shutdown()
    server.server_close()


@pytest.fixture(autouse=True)
def nobody(monkeypatch: pytest.MonkeyPatch) -> None:
    """No credentials of whoever runs the tests."""
    for name in ("MLFLOW_TRACKING_URI", "MLFLOW_TRACKING_USERNAME", "MLFLOW_TRACKING_PASSWORD"):
        monkeypatch.delenv(name, raising=False)
    for name in ("MLFLOW_TRACKING_TOKEN", "KFP_HOST", "KFP_TOKEN", "NEPHRITE_AWS_ENDPOINT_URL"):
        monkeypatch.delenv(name, raising=False)


def test_mlflow_is_asked_with_the_credentials_at_hand(host: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"http://{host}")
    refused = mlflow()
    assert (refused.state, "refuses who asks (401)" in refused.finding) == ("fails", True)
    assert "MLFLOW_TRACKING_PASSWORD" in refused.remedy
    monkeypatch.setenv("MLFLOW_TRACKING_USERNAME", "me")
    monkeypatch.setenv("MLFLOW_TRACKING_PASSWORD", "secret")
    assert mlflow().state == "fine"
    monkeypatch.delenv("MLFLOW_TRACKING_USERNAME")
    monkeypatch.setenv("MLFLOW_TRACKING_TOKEN", "good")
    assert mlflow().state == "fine"


def test_a_user_in_the_address_counts_and_is_not_shown(host: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"http://me:secret@{host}")
    assert mlflow().state == "fine"
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"http://me:wrong@{host}")
    assert mlflow().state == "fails"
    assert "wrong" not in mlflow().line


def test_a_record_in_a_file_is_not_made_by_looking(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert mlflow().finding == "sqlite:///mlflow.db will be made by the first run"
    assert not list(tmp_path.iterdir())
    (tmp_path / "mlflow.db").write_bytes(b"no database" * 100)
    with pytest.raises(Exception, match="does not answer"):
        mlflow()


def test_the_cluster_is_asked_where_one_is_named(host: str, monkeypatch: pytest.MonkeyPatch) -> None:
    assert kubeflow().state == "fine"
    monkeypatch.setenv("KFP_HOST", f"http://{host}")
    monkeypatch.setenv("KFP_TOKEN", "old")
    refused = kubeflow()
    assert (refused.state, refused.remedy) == ("fails", "check KFP_HOST, and renew KFP_TOKEN")
    monkeypatch.setenv("KFP_HOST", f"http://{host}/login")
    assert "sends to a login page (302)" in kubeflow().finding
    monkeypatch.setenv("KFP_TOKEN", "good")
    assert kubeflow().state == "fine"
    monkeypatch.setenv("KFP_HOST", "http://127.0.0.1:9")
    assert "does not answer" in kubeflow().finding
    monkeypatch.setenv("KFP_HOST", "file:///etc/passwd")
    assert "no address of HTTP" in kubeflow().finding


def test_remotes_are_those_of_the_settings(tmp_path: Path) -> None:
    assert list(remotes(None)) == []
    assert list(remotes(load_config(CAPSTONE))) == []
    assert list(remotes(load_config(CAPSTONE, [f"publish.remote={tmp_path}"]))) == [str(tmp_path)]
    assert remote(str(tmp_path)).state == "fine"
    gone = remote(str(tmp_path / "none"))
    assert (gone.state, gone.remedy) == ("fails", f"mkdir -p {tmp_path / 'none'}")
