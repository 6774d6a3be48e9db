"""From a Kubeflow run to its trial in MLflow."""

from __future__ import annotations

import base64
from collections.abc import Iterator
from typing import Any

import pytest

from nephrite_kubeflow.record import trial_page
from tests.pipelines.conftest import Answer, Request, serve

API = "/api/2.0/mlflow"


class Tracking:
    """MLflow's two searches, behind a password."""

    def __init__(self) -> None:
        self.requests: list[Request] = []
        self.runs: list[dict[str, Any]] = []
        self.host = ""

    def answer(self, request: Request) -> Answer:
        """What MLflow would say."""
        self.requests.append(request)
        if request.headers.get("authorization") != f"Basic {base64.b64encode(b'ann:secret').decode()}":
            return 401, {}
        if request.path == f"{API}/experiments/search":
            return 200, {"experiments": [{"experiment_id": "3"}]}
        assert request.path == f"{API}/runs/search"
        assert request.json["experiment_ids"] == ["3"]
        return 200, {"runs": self.runs} if self.runs else {}


@pytest.fixture
def tracking(monkeypatch: pytest.MonkeyPatch) -> Iterator[Tracking]:
    """A server of MLflow's API, and its password in the environment."""
    state = Tracking()
    running = serve(state.answer)
    state.host = f"127.0.0.1:{running.server_port}"
    monkeypatch.setenv("MLFLOW_TRACKING_USERNAME", "ann")
    monkeypatch.setenv("MLFLOW_TRACKING_PASSWORD", "secret")
    yield state
    running.shutdown()
    running.server_close()


def recorded(**tags: str) -> dict[str, Any]:
    """A run of MLflow with tags."""
    told = [{"key": key.replace("__", "."), "value": value} for key, value in tags.items()]
    return {"info": {"run_id": "child", "experiment_id": "3"}, "data": {"tags": told}}


@pytest.mark.parametrize(("tags", "page"), [({"mlflow__parentRunId": "trial"}, "trial"), ({}, "child")])
def test_page_is_that_of_the_trial(tracking: Tracking, tags: dict[str, str], page: str) -> None:
    tracking.runs = [recorded(**tags)]
    assert trial_page(f"http://{tracking.host}/", "run-1") == f"http://{tracking.host}/#/experiments/3/runs/{page}"
    assert tracking.requests[-1].json["filter"] == "tags.`nephrite.kubeflow_run` = 'run-1'"


def test_run_without_a_record_yet_gets_the_list_and_the_command_for_later(tracking: Tracking) -> None:
    shown = trial_page(f"http://{tracking.host}", "run-1")
    assert shown.startswith(f"http://{tracking.host}/#/experiments (nothing recorded yet;")
    assert "nephrite-pipeline status run-1" in shown


def test_refused_password_is_no_error_and_shows_none(tracking: Tracking, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_PASSWORD", "wrong")
    shown = trial_page(f"http://user:hidden@{tracking.host}", "run-1")
    assert shown == f"http://{tracking.host}/#/experiments (not looked up: HTTPError)"


def test_absent_server_is_no_error() -> None:
    assert trial_page("http://127.0.0.1:9", "run-1").endswith("(not looked up: ConnectionError)")
