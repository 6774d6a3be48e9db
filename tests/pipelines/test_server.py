"""Talking to Kubeflow: what is sent, and what is said when the answer is no, late, or none."""

from __future__ import annotations

import contextlib
import socket
from pathlib import Path
from typing import Any

import pytest

from nephrite_kubeflow import server
from nephrite_kubeflow.errors import ServerError
from nephrite_kubeflow.package import Package
from nephrite_kubeflow.server import ATTEMPTS, Server, find_token
from tests.pipelines.conftest import API, TOKEN, Kubeflow

FIRST = [
    "GET /healthz",
    "GET /runs",
    "GET /experiments",
    "POST /experiments",
    "GET /pipelines",
    "POST /pipelines/upload",
    "GET /pipelines/pipeline-1/versions",
    "POST /pipelines/upload_version",
    "POST /runs",
]


def submit(kubeflow: Kubeflow, package: Package, limit: float = 5, account: str | None = "nephrite-runner") -> str:
    """Check the server and start a run."""
    talking = Server(kubeflow.host, "nephrite", (limit, limit))
    talking.check()
    return talking.start(package, "trials", account)


def task(number: int, name: str, state: str) -> dict[str, Any]:
    """A task as the API describes it."""
    return {"task_id": str(number), "display_name": name, "state": state}


def test_first_submission_makes_experiment_pipeline_and_version(kubeflow: Kubeflow, compiled: Package) -> None:
    assert submit(kubeflow, compiled) == "run-1"
    assert kubeflow.calls() == FIRST
    assert (kubeflow.experiments, kubeflow.pipelines) == (["trials"], ["augmentation"])
    assert kubeflow.versions == [compiled.version]


def test_second_submission_makes_nothing_but_a_run(kubeflow: Kubeflow, compiled: Package) -> None:
    submit(kubeflow, compiled)
    kubeflow.requests.clear()
    submit(kubeflow, compiled)
    assert [call for call in kubeflow.calls() if call.startswith("POST")] == ["POST /runs"]
    assert kubeflow.runs[0]["pipeline_version_reference"] == kubeflow.runs[1]["pipeline_version_reference"]


def test_run_carries_arguments_version_account_and_name(kubeflow: Kubeflow, compiled: Package) -> None:
    submit(kubeflow, compiled)
    (run,) = kubeflow.runs
    assert run["runtime_config"] == {"parameters": compiled.arguments}
    assert run["pipeline_version_reference"] == {"pipeline_id": "pipeline-1", "pipeline_version_id": "version-1"}
    assert run["service_account"] == "nephrite-runner"
    assert run["display_name"].startswith(f"augmentation {compiled.version} ")


def test_uploads_carry_the_file_itself(kubeflow: Kubeflow, compiled: Package) -> None:
    submit(kubeflow, compiled)
    uploads = [request for request in kubeflow.requests if "upload" in request.path]
    assert all(compiled.path.read_bytes() in request.body for request in uploads)
    assert len(uploads) == 2


def test_every_request_carries_the_token(kubeflow: Kubeflow, compiled: Package) -> None:
    submit(kubeflow, compiled)
    assert {request.headers["authorization"] for request in kubeflow.requests} == {f"Bearer {TOKEN}"}
    assert not [request for request in kubeflow.requests if TOKEN in request.path + str(request.query)]


def test_namespace_is_given_only_where_there_are_several(kubeflow: Kubeflow, compiled: Package) -> None:
    kubeflow.multi_user = False
    submit(kubeflow, compiled)
    assert not [request for request in kubeflow.requests if "namespace" in request.query]
    assert len(kubeflow.runs) == 1


def test_token_of_the_service_account_is_read_anew_for_every_request(
    kubeflow: Kubeflow, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    token = tmp_path / "token"
    token.write_text("an-old-one\n")
    monkeypatch.delenv("KFP_TOKEN")
    monkeypatch.setattr(server, "TOKEN_FILE", token)
    talking = Server(kubeflow.host, "nephrite")
    with pytest.raises(ServerError, match="refuses the token"):
        talking.check()
    token.write_text(f"{TOKEN}\n")
    talking.check()
    assert kubeflow.requests[-1].headers["authorization"] == f"Bearer {TOKEN}"


def test_without_any_token_none_is_sent(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, kubeflow: Kubeflow) -> None:
    monkeypatch.delenv("KFP_TOKEN")
    monkeypatch.setattr(server, "TOKEN_FILE", tmp_path / "absent")
    assert find_token() is None
    with pytest.raises(ServerError, match="set KFP_TOKEN"):
        Server(kubeflow.host, "nephrite").check()
    assert "authorization" not in kubeflow.requests[0].headers


@pytest.mark.parametrize(
    ("status", "told"),
    [
        (401, "refuses the token; set KFP_TOKEN to a valid one"),
        (302, "asks for a login instead of answering; set KFP_TOKEN"),
        (403, "gives you no rights here; ask its administrator"),
        (404, f"does not know GET {API}/healthz; check --host"),
        (500, f"answers GET {API}/healthz with 500: in trouble; see the log"),
    ],
)
def test_refusal_is_one_line_with_remedy_and_is_not_repeated(kubeflow: Kubeflow, status: int, told: str) -> None:
    kubeflow.trouble = [status]
    with pytest.raises(ServerError) as error:
        Server(kubeflow.host, "nephrite").check()
    assert str(error.value).startswith(f"{kubeflow.host}: {told}")
    assert TOKEN not in str(error.value)
    assert len(kubeflow.requests) == 1


def test_namespace_without_rights_is_refused_before_anything_is_made(kubeflow: Kubeflow, compiled: Package) -> None:
    kubeflow.namespaces = ("another",)
    with pytest.raises(ServerError, match="namespace nephrite: gives you no rights here"):
        submit(kubeflow, compiled)
    assert kubeflow.calls() == ["GET /healthz", "GET /runs"]


def test_version_and_kind_of_installation_are_what_the_server_says(kubeflow: Kubeflow) -> None:
    kubeflow.version, kubeflow.multi_user = "2.16.1", False
    server = Server(kubeflow.host, "kubeflow")
    server.check()
    assert (server.version, server.multi_user) == ("2.16.1", False)


def test_busy_server_is_asked_again(kubeflow: Kubeflow, compiled: Package) -> None:
    kubeflow.trouble = [503, 503]
    assert submit(kubeflow, compiled) == "run-1"
    assert kubeflow.calls() == ["GET /healthz", "GET /healthz", *FIRST]


def test_server_that_stays_busy_is_given_up(kubeflow: Kubeflow) -> None:
    kubeflow.trouble = [502] * 9
    with pytest.raises(ServerError, match=f"answers 502 still after {ATTEMPTS} attempts; try again later"):
        Server(kubeflow.host, "nephrite").check()
    assert len(kubeflow.requests) == ATTEMPTS


@pytest.mark.parametrize(("status", "tries"), [(503, 2), (502, 1)])
def test_run_is_asked_for_again_only_if_the_first_try_cannot_have_started_it(
    kubeflow: Kubeflow, compiled: Package, status: int, tries: int
) -> None:
    kubeflow.failing = {"POST /runs": [status]}
    with contextlib.nullcontext() if tries == 2 else pytest.raises(ServerError, match=r"POST .* with 502"):
        submit(kubeflow, compiled)
    assert kubeflow.calls().count("POST /runs") == tries


def test_server_that_answers_too_late_is_given_up(kubeflow: Kubeflow) -> None:
    kubeflow.delay = 0.4
    with pytest.raises(ServerError, match=r"did not answer within 0\.05 s; raise --timeout"):
        Server(kubeflow.host, "nephrite", (0.05, 0.05)).check()
    assert len(kubeflow.requests) == ATTEMPTS


def test_run_that_is_answered_too_late_is_not_started_twice(kubeflow: Kubeflow, compiled: Package) -> None:
    kubeflow.late = {"POST /runs": 0.9}
    with pytest.raises(ServerError, match="did not answer"):
        submit(kubeflow, compiled, limit=0.6)
    assert kubeflow.calls().count("POST /runs") == 1


def test_server_that_is_not_there_is_one_line(monkeypatch: pytest.MonkeyPatch, kubeflow: Kubeflow) -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        host = f"http://127.0.0.1:{free.getsockname()[1]}"
    with pytest.raises(ServerError, match=f"{host}: cannot be reached .*; check --host and the network"):
        Server(host, "nephrite").check()


def test_host_without_scheme_is_refused() -> None:
    with pytest.raises(ServerError, match="is no URL; write it with http"):
        Server("kubeflow.example.org", "nephrite")


def test_following_a_run_tells_every_change_once(kubeflow: Kubeflow) -> None:
    kubeflow.progress = [
        {"state": "RUNNING", "run_details": {"task_details": [task(1, "acquire", "RUNNING")]}},
        {
            "state": "RUNNING",
            "run_details": {"task_details": [task(1, "acquire", "RUNNING"), task(2, "a-driver", "RUNNING")]},
        },
        {"state": "FAILED", "run_details": {"task_details": [task(1, "acquire", "FAILED")]}},
    ]
    pauses: list[float] = []
    told = list(Server(kubeflow.host, "nephrite").follow("run-1", 7, sleep=pauses.append))
    assert told == [("acquire", "RUNNING"), ("acquire", "FAILED"), ("run", "FAILED")]
    assert pauses == [7, 7]


def test_unknown_run_is_one_line(kubeflow: Kubeflow) -> None:
    with pytest.raises(ServerError, match=r"does not know GET .*; check --host, the run's id"):
        Server(kubeflow.host, "nephrite").states("run-9")
