"""A recording server with the manners of Kubeflow's API v2beta1, and a compiled pipeline to send to it."""

from __future__ import annotations

import inspect
import json
import re
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import partial
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from urllib.parse import parse_qsl, urlsplit

import pytest
import tenacity
from kfp.dsl import pipeline_task

from nephrite.config import load_config
from nephrite_kubeflow import server
from nephrite_kubeflow.cluster import CLUSTER_FILE, load_cluster
from nephrite_kubeflow.experiment import Experiment
from nephrite_kubeflow.package import Package, read_package, write_inference, write_package

TOKEN = "a-good-token"  # noqa: S105 - known to the recording server alone
API = "/apis/v2beta1"
DIGEST = "sha256:" + "5" * 64
IMAGE = f"registry.example/nephrite@{DIGEST}"
SCANS = "s3://clinic/scans/may"
ROOT = Path(__file__).resolve().parents[2]
PARAMS = ROOT / "configs" / "capstone-phantom.yaml"
Answer = tuple[int, dict[str, Any]]


@dataclass
class Request:
    """What the client sent."""

    method: str
    path: str
    query: dict[str, str]
    headers: dict[str, str]
    body: bytes

    @property
    def json(self) -> dict[str, Any]:
        """The body as JSON."""
        content: dict[str, Any] = json.loads(self.body)
        return content

    @property
    def wanted_name(self) -> str:
        """The name that a filter asks for."""
        (predicate,) = json.loads(self.query["filter"])["predicates"]
        assert (predicate["operation"], predicate["key"]) == ("EQUALS", "display_name")
        return str(predicate["stringValue"])


@dataclass
class Kubeflow:
    """State of the server: what it holds, what it was asked, and how it misbehaves."""

    multi_user: bool = True
    version: str = "2.17.0"
    namespaces: tuple[str, ...] = ("nephrite",)
    trouble: list[int] = field(default_factory=list)  # statuses of the next answers
    failing: dict[str, list[int]] = field(default_factory=dict)  # the same, of one call
    late: dict[str, float] = field(default_factory=dict)  # seconds that a call takes
    delay: float = 0
    requests: list[Request] = field(default_factory=list)
    experiments: list[str] = field(default_factory=list)
    pipelines: list[str] = field(default_factory=list)
    versions: list[str] = field(default_factory=list)
    runs: list[dict[str, Any]] = field(default_factory=list)
    progress: list[dict[str, Any]] = field(default_factory=list)  # answers to looks at a run, the last one stays
    host: str = ""

    def calls(self) -> list[str]:
        """'METHOD /path' of every request, the prefix of the API left out."""
        return [f"{request.method} {request.path.removeprefix(API)}" for request in self.requests]

    def answer(self, request: Request) -> Answer:
        """Refuse what the real server refuses, then do what was asked."""
        self.requests.append(request)
        call = self.calls()[-1]
        time.sleep(self.late.get(call, self.delay))
        trouble = self.failing.get(call) or self.trouble
        if trouble:
            return trouble.pop(0), {"message": "in trouble"}
        if request.headers.get("authorization") != f"Bearer {TOKEN}":
            return 401, {"message": "Request header error: there is no user identity header."}
        return self._refusal_of_namespace(request) or self._route(request)

    def _refusal_of_namespace(self, request: Request) -> Answer | None:
        lists = request.method == "GET" and request.path in (f"{API}/experiments", f"{API}/runs")
        made = request.json if request.method == "POST" and request.path == f"{API}/experiments" else None
        given = (made or request.query).get("namespace")
        if not self.multi_user and given is not None:
            return 400, {"message": "In single-user mode, a namespace is not accepted."}
        if self.multi_user and (lists or made) and given not in self.namespaces:
            return 403, {"message": f"User is not authorized with reason: namespace {given}"}
        return None

    def _route(self, request: Request) -> Answer:
        route = f"{request.method} {request.path.removeprefix(API)}"
        if route.startswith("GET /runs/"):
            return (200, self._look()) if route == "GET /runs/run-1" else (404, {"message": "no such run"})
        routes: dict[str, Callable[[Request], dict[str, Any]]] = {
            "GET /healthz": lambda _: {"tag_name": self.version, "multi_user": self.multi_user},
            "GET /experiments": lambda r: self._found("experiments", "experiment_id", self.experiments, r),
            "POST /experiments": self._make_experiment,
            "GET /pipelines": lambda r: self._found("pipelines", "pipeline_id", self.pipelines, r),
            "POST /pipelines/upload": lambda r: self._upload(self.pipelines, "pipeline_id", r),
            "GET /pipelines/pipeline-1/versions": lambda r: self._found(
                "pipeline_versions", "pipeline_version_id", self.versions, r
            ),
            "POST /pipelines/upload_version": lambda r: self._upload(self.versions, "pipeline_version_id", r),
            "GET /runs": lambda _: {"runs": []},
            "POST /runs": self._make_run,
        }
        return (200, routes[route](request)) if route in routes else (404, {"message": "page not found"})

    def _found(self, kind: str, key: str, held: list[str], request: Request) -> dict[str, Any]:
        names = [name for name in held if name == request.wanted_name]
        return {kind: [{key: self._id(key, held.index(name)), "display_name": name} for name in names]} if names else {}

    def _id(self, key: str, number: int) -> str:
        return f"{key.removesuffix('_id').rpartition('_')[2]}-{number + 1}"

    def _make_experiment(self, request: Request) -> dict[str, Any]:
        self.experiments.append(request.json["display_name"])
        return {"experiment_id": "experiment-1", **request.json}

    def _upload(self, held: list[str], key: str, request: Request) -> dict[str, Any]:
        assert request.headers["content-type"].startswith("multipart/form-data")
        assert re.search(rb'name="uploadfile"; filename="(augmentation|inference)[\w-]*\.yaml"', request.body)
        if key == "pipeline_version_id":
            assert request.query["pipelineid"] == "pipeline-1"
        held.append(request.query["name"])
        return {"pipeline_id": "pipeline-1", key: self._id(key, len(held) - 1)}

    def _make_run(self, request: Request) -> dict[str, Any]:
        wanted = request.json
        assert wanted["experiment_id"] == "experiment-1"
        assert set(wanted["pipeline_version_reference"]) == {"pipeline_id", "pipeline_version_id"}
        self.runs.append(wanted)
        return {**wanted, "run_id": "run-1", "state": "PENDING"}

    def _look(self) -> dict[str, Any]:
        return self.progress.pop(0) if len(self.progress) > 1 else self.progress[0]


def serve(answer: Callable[[Request], Answer]) -> ThreadingHTTPServer:
    """A server in a thread that gives every request to `answer`."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            parts = urlsplit(self.path)
            body = self.rfile.read(int(self.headers.get("content-length", 0)))
            headers = {name.lower(): value for name, value in self.headers.items()}
            status, content = answer(Request(self.command, parts.path, dict(parse_qsl(parts.query)), headers, body))
            told = json.dumps(content).encode()
            try:
                self.send_response(status)
                self.send_header("Content-Type", "application/json")
                self.send_header("Content-Length", str(len(told)))
                self.end_headers()
                self.wfile.write(told)
            except ConnectionError:
                pass  # the client has given up, as the tests of time limits want

        def do_POST(self) -> None:
            self.do_GET()

        def log_message(self, *_: object) -> None:
            """Keep quiet."""

    started = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=started.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True).start()
    return started


@pytest.fixture
def kubeflow(monkeypatch: pytest.MonkeyPatch) -> Iterator[Kubeflow]:
    """The recording server, a good token in the environment, and no pauses between attempts."""
    state = Kubeflow()
    running = serve(state.answer)
    state.host = f"http://127.0.0.1:{running.server_port}"
    monkeypatch.setattr(server, "PAUSES", tenacity.wait_none())
    monkeypatch.setenv("KFP_TOKEN", TOKEN)
    yield state
    running.shutdown()
    running.server_close()


@pytest.fixture(scope="session", autouse=True)
def quick_stack() -> Iterator[None]:
    """Each setting of a task has kfp ask for its caller, with lines of source that it does not need.

    To find these, `inspect` looks through all modules: minutes, in a process that has imported a whole test suite.
    """
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(pipeline_task, "inspect", SimpleNamespace(stack=partial(inspect.stack, 0)))
        yield


@pytest.fixture(scope="session")
def compiled(tmp_path_factory: pytest.TempPathFactory) -> Package:
    """The table of the capstone, compiled for the default cluster."""
    return compile_for(tmp_path_factory.mktemp("package"), CLUSTER_FILE)


@pytest.fixture(scope="session")
def compiled_gpu(tmp_path_factory: pytest.TempPathFactory) -> Package:
    """The table of the capstone, compiled for the cluster with GPUs."""
    return compile_for(tmp_path_factory.mktemp("gpu"), CLUSTER_FILE.with_name("gpu.yaml"))


@pytest.fixture(scope="session")
def compiled_workspace(tmp_path_factory: pytest.TempPathFactory) -> Package:
    """The table of the capstone, compiled for the default cluster with a workspace."""
    folder = tmp_path_factory.mktemp("workspace")
    return compile_for(folder, with_workspace(folder))


@pytest.fixture(scope="session")
def grown() -> list[str]:
    """Overrides for eight painters: two synthesizers, 'other' with one set of fakes, two label fractions, two cells."""
    config = load_config(PARAMS)
    sets = config.trial.training_sets.model_dump()
    sets["synthetic"] += ({"name": "real+other+geometric", "synthesizer": "other", "way": "mix", "share": 0.5},)
    return [
        f"train_gan.other={config.train_gan['pix2pix'].model_dump_json()}",
        f"trial.training_sets={json.dumps(sets)}",
        "trial.synthesizers=[pix2pix, other]",
        "trial.label_fractions=[0.25, 1.0]",
        "trial.cells=[0, 1]",
    ]


@pytest.fixture(scope="session")
def compiled_grown(tmp_path_factory: pytest.TempPathFactory, grown: list[str]) -> Package:
    """The trial of eight painters, compiled for the default cluster."""
    return compile_for(tmp_path_factory.mktemp("grown"), CLUSTER_FILE, grown)


@pytest.fixture(scope="session")
def compiled_grown_workspace(tmp_path_factory: pytest.TempPathFactory, grown: list[str]) -> Package:
    """The trial of eight painters, compiled for the default cluster with a workspace."""
    folder = tmp_path_factory.mktemp("grown")
    return compile_for(folder, with_workspace(folder), grown)


@pytest.fixture(scope="session")
def compiled_inference(tmp_path_factory: pytest.TempPathFactory) -> Package:
    """The champion's pipeline, compiled for the default cluster."""
    return compile_for(tmp_path_factory.mktemp("inference"), CLUSTER_FILE, scans=SCANS)


def with_workspace(folder: Path) -> Path:
    """The default cluster's file with a workspace, written into the folder."""
    wanted = "workspace: {size: 200Gi, storage_class: shared}"
    text = CLUSTER_FILE.read_text(encoding="utf-8").replace("workspace: null", wanted)
    (folder / "own.yaml").write_text(text, encoding="utf-8")
    return folder / "own.yaml"


def compile_for(folder: Path, cluster: Path, overrides: Sequence[str] = (), scans: str | None = None) -> Package:
    """Compile the table of the capstone, or the champion's pipeline for scans, at a commit that is always the same."""
    experiment = Experiment(load_config(PARAMS, overrides))
    output = folder / ("inference.yaml" if scans else "augmentation.yaml")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("NEPHRITE_COMMIT", "0123456789abcdef0123")
        if scans:
            write_inference(output, experiment, load_cluster(cluster), IMAGE, scans=scans)
        else:
            write_package(output, experiment, load_cluster(cluster), IMAGE, publish=False, promote=True)
    return read_package(output)
