from __future__ import annotations

import json
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from urllib.parse import unquote

import pytest
import requests
from click.testing import CliRunner
from mlflow.exceptions import MlflowException
from mlflow.tracking import MlflowClient

from nephrite.config import Config
from nephrite.errors import TrackingError
from nephrite.tracking import open_run
from nephrite.ui_command import ARMS, COLUMNS, HOST, VIEW, VIEWS, check_port, page_address, save_view, ui_command
from tests.conftest import record_stage

Load = Callable[..., Config]


@pytest.fixture
def free_port() -> int:
    with socket.socket() as probe:
        probe.bind((HOST, 0))
        return int(probe.getsockname()[1])


def test_a_port_that_is_taken_is_refused_with_another() -> None:
    with socket.socket() as other:
        other.bind((HOST, 0))
        other.listen()
        port = other.getsockname()[1]
        with pytest.raises(TrackingError, match=rf"port {port}: is taken, .*: --port {port + 1}"):
            check_port(port)
    check_port(port)


def test_the_address_filters_the_arms(record: str, load: Load) -> None:
    with open_run(load("arm=real/light/1.0/0"), "evaluate") as run:
        run.metrics({"dice": 0.0}, step=0)
    with open_run(load("arm=real/light/1.0/0"), "train_segmenter") as other:
        other.metrics({"validation_dice": 0.5}, step=0)
    assert f"?searchFilter={ARMS}&" in unquote(page_address("http://here", "7"))
    client = MlflowClient(record)
    experiments = [found.experiment_id for found in client.search_experiments()]
    assert [run.info.run_id for run in client.search_runs(experiments, ARMS)] == [run.id]
    assert page_address("http://here", None) == "http://here"


def test_the_view_is_kept_with_the_record_unless_one_may_only_read(
    record: str, load: Load, monkeypatch: pytest.MonkeyPatch
) -> None:
    record_stage(load(), "prepare")
    client = MlflowClient(record)
    found = client.get_experiment_by_name(load().tracking.experiment)
    assert found
    assert save_view(client, found.experiment_id)
    view = json.loads(client.get_experiment(found.experiment_id).tags[f"{VIEWS}{VIEW}"])
    assert (view["searchFilter"], view["orderByKey"], view["selectedColumns"]) == (ARMS, COLUMNS[0], list(COLUMNS))
    assert page_address("http://here", "7", saved=True) == f"http://here/#/experiments/7/runs?viewStateShareKey={VIEW}"

    def refuse(*_: object) -> None:
        raise MlflowException("Permission denied")

    monkeypatch.setattr(client, "set_experiment_tag", refuse)
    assert not save_view(client, found.experiment_id)


def test_a_server_has_its_page_already(monkeypatch: pytest.MonkeyPatch) -> None:
    class Client:
        def get_experiment_by_name(self, name: str) -> None:
            assert name == "kidneys"

    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://mlflow.example:5000/")
    monkeypatch.setattr("nephrite.mlflow_client.connect", Client)
    shown = CliRunner().invoke(ui_command(), ["--experiment", "kidneys"])
    assert shown.output == "http://mlflow.example:5000\n"


@pytest.mark.servers
@pytest.mark.slow
def test_the_page_answers_at_the_address_that_is_told(record: str, load: Load, free_port: int, tmp_path: Path) -> None:
    record_stage(load(), "prepare")
    command = [sys.executable, "-m", "nephrite", "ui", "--port", str(free_port)]
    with subprocess.Popen(command, cwd=tmp_path, stdout=subprocess.PIPE, text=True) as page:
        try:
            assert page.stdout
            told = page.stdout.readline().strip()
            assert told.startswith(f"http://{HOST}:{free_port}/#/experiments/1/runs?viewStateShareKey=nephrite-arms")
            deadline = time.monotonic() + 240
            while time.monotonic() < deadline:
                try:
                    answer = requests.get(told.partition("#")[0], timeout=5)
                    assert "<title>MLflow</title>" in answer.text
                    break
                except requests.ConnectionError:
                    time.sleep(0.2)
            else:
                pytest.fail("no answer within four minutes")
        finally:
            page.terminate()
