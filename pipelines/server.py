"""Kubeflow's server, spoken to with time limits, retries and errors that say what to do.

Uses the generated API client, not `kfp.Client`, which waits forever and prints while it works.
"""

from __future__ import annotations

import json
import os
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import kfp_server_api
import tenacity
import urllib3

from nephrite_kubeflow.errors import ServerError
from nephrite_kubeflow.package import Package

TOKEN_FILE = Path("/var/run/secrets/kubeflow/pipelines/token")
LIMITS = (5.0, 30.0)  # seconds to connect, and to wait for an answer
ATTEMPTS = 4
PAUSES = tenacity.wait_random_exponential(multiplier=1, max=10)
BUSY = {429, 502, 503, 504}
LOGIN = {301, 302, 303, 307}  # a login page instead of an answer
FINISHED = {"SUCCEEDED", "SKIPPED", "FAILED", "CANCELED"}


def find_token() -> str | None:
    """The token from KFP_TOKEN, else from the file that Kubeflow mounts into pods; read anew, since it expires."""
    told = os.environ.get("KFP_TOKEN")
    if told:
        return told
    return TOKEN_FILE.read_text(encoding="utf-8").strip() if TOKEN_FILE.is_file() else None


class PatientClient(kfp_server_api.ApiClient):  # type: ignore[misc] # the generated client ships no types
    """The generated client with time limits and retries for every call."""

    def __init__(self, host: str, limits: tuple[float, float] = LIMITS) -> None:
        configuration = kfp_server_api.Configuration(host=host)
        configuration.retries = urllib3.Retry(0, raise_on_redirect=False)
        configuration.api_key_prefix["authorization"] = "Bearer"
        configuration.refresh_api_key_hook = _put_token
        _put_token(configuration)  # without a first token the client would not ask for a second
        super().__init__(configuration)
        self.host, self.limits = host, limits

    def call_api(self, resource_path: str, method: str, *args: Any, **kwargs: Any) -> Any:
        """Call, again if the server was busy or out of reach for a moment.

        What changes something is repeated only if the first try cannot have done it.

        Raises:
            ServerError: no answer, or a refusal.
        """
        # failures that pass are retried
        attempts = tenacity.Retrying(
            stop=tenacity.stop_after_attempt(ATTEMPTS),
            wait=PAUSES,
            retry=tenacity.retry_if_exception(lambda error: _passes(error, method)),
            reraise=True,
        )
        kwargs["_request_timeout"] = self.limits
        # any other becomes an error of one line
        try:
            return attempts(super().call_api, resource_path, method, *args, **kwargs)
        except kfp_server_api.ApiException as error:
            raise _refusal(self.host, method, resource_path, error) from None
        except urllib3.exceptions.HTTPError as error:
            raise _silence(self.host, error, self.limits) from None


class Server:
    """What `nephrite-pipeline` asks of Kubeflow.

    Args:
        host: URL of the API, which is also that of the pages, e.g. 'https://kubeflow.example.org/pipeline'.
        namespace: where the runs go on a multi-user installation; a single-user installation has only one.
        limits: seconds to connect, and to wait for an answer.

    Attributes:
        version: of Kubeflow Pipelines, as `check` found it; 'unknown' where the server does not say.
        multi_user: whether it keeps namespaces apart, as `check` found it.
    """

    def __init__(self, host: str, namespace: str, limits: tuple[float, float] = LIMITS) -> None:
        if not host.startswith(("http://", "https://")):
            raise ServerError(f"--host {host}", "is no URL", "write it with http:// or https://")
        client = PatientClient(host.rstrip("/"), limits)
        self.host, self.namespace = client.host, namespace
        self.version, self.multi_user = "unknown", True
        self._scope: dict[str, str] = {}
        self._health = kfp_server_api.HealthzServiceApi(client)
        self._experiments = kfp_server_api.ExperimentServiceApi(client)
        self._pipelines = kfp_server_api.PipelineServiceApi(client)
        self._uploads = kfp_server_api.PipelineUploadServiceApi(client)
        self._runs = kfp_server_api.RunServiceApi(client)

    def check(self) -> None:
        """See whether the server answers and lets us look at runs in the namespace, before anything is changed."""
        # read as it comes: the generated client drops the version
        answer = self._health.healthz_service_get_healthz(_preload_content=False)
        try:
            health = dict(json.loads(answer.data))
        except (ValueError, TypeError):
            remedy = "check --host, and that this is Kubeflow Pipelines 2"
            raise ServerError(self.host, "does not answer as Kubeflow Pipelines does", remedy) from None
        self.version = str(health.get("tag_name") or "unknown")
        self.multi_user = bool(health.get("multi_user"))
        self._scope = {"namespace": self.namespace} if self.multi_user else {}
        try:
            self._runs.run_service_list_runs(page_size=1, **self._scope)
        except ServerError as error:
            raise ServerError(f"{error.place}, namespace {self.namespace}", error.finding, error.remedy) from None

    def experiment_id(self, name: str) -> str:
        """The experiment of this name, made if it is not there."""
        found = self._experiments.experiment_service_list_experiments(filter=_named(name), **self._scope).experiments
        if found:
            return str(found[0].experiment_id)
        wanted = kfp_server_api.V2beta1Experiment(display_name=name, **self._scope)
        return str(self._experiments.experiment_service_create_experiment(experiment=wanted).experiment_id)

    def pipeline_version(self, package: Package) -> tuple[str, str]:
        """Ids of the pipeline and of the version that this package is, each uploaded if it is not there."""
        # the pipeline, uploaded on first use
        found = self._pipelines.pipeline_service_list_pipelines(filter=_named(package.name), **self._scope).pipelines
        if found:
            pipeline = str(found[0].pipeline_id)
        else:
            answer = self._uploads.upload_pipeline(str(package.path), name=package.name, **self._scope)
            pipeline = str(answer.pipeline_id)
        # the version: an equal package is uploaded once
        versions = self._pipelines.pipeline_service_list_pipeline_versions(pipeline, filter=_named(package.version))
        if versions.pipeline_versions:
            return pipeline, str(versions.pipeline_versions[0].pipeline_version_id)
        uploaded = self._uploads.upload_pipeline_version(
            str(package.path), name=package.version, display_name=package.version, pipelineid=pipeline
        )
        return pipeline, str(uploaded.pipeline_version_id)

    def start(self, package: Package, experiment: str, service_account: str | None) -> str:
        """Start a run of the package in the experiment of this name; gives the run's id."""
        experiment_id = self.experiment_id(experiment)
        pipeline, version = self.pipeline_version(package)
        reference = kfp_server_api.V2beta1PipelineVersionReference(pipeline_id=pipeline, pipeline_version_id=version)
        wanted = kfp_server_api.V2beta1Run(
            experiment_id=experiment_id,
            display_name=f"{package.name} {package.version} {time.strftime('%Y-%m-%d %H:%M')}",
            pipeline_version_reference=reference,
            runtime_config=kfp_server_api.V2beta1RuntimeConfig(parameters=package.arguments),
            service_account=service_account,
        )
        return str(self._runs.run_service_create_run(run=wanted).run_id)

    def page_of(self, run_id: str) -> str:
        """Address of the run's page."""
        return f"{self.host}/#/runs/details/{run_id}"

    def states(self, run_id: str) -> tuple[str, dict[str, tuple[str, str]]]:
        """State of the run, and of its tasks: id -> (name, state)."""
        run = self._runs.run_service_get_run(run_id)
        tasks = (run.run_details and run.run_details.task_details) or ()
        named = {task.task_id: (task.display_name, task.state or "PENDING") for task in tasks if task.display_name}
        return run.state or "PENDING", {key: told for key, told in named.items() if not told[0].endswith("-driver")}

    def follow(
        self, run_id: str, pause: float, sleep: Callable[[float], None] = time.sleep
    ) -> Iterator[tuple[str, str]]:
        """Yield (task, state) whenever a task's state changes, and ('run', state) when the run has finished."""
        seen: dict[str, tuple[str, str]] = {}
        while True:
            state, tasks = self.states(run_id)
            yield from (told for key, told in tasks.items() if seen.get(key) != told)
            seen = tasks
            if state in FINISHED:
                yield "run", state
                return
            sleep(pause)


def _put_token(configuration: kfp_server_api.Configuration) -> None:
    token = find_token()
    if token:
        configuration.api_key["authorization"] = token


def _named(name: str) -> str:
    """A filter of the API for one name."""
    return json.dumps({"predicates": [{"operation": "EQUALS", "key": "display_name", "stringValue": name}]})


def _passes(error: BaseException, method: str) -> bool:
    """Whether a retry can help and is safe."""
    if isinstance(error, kfp_server_api.ApiException):
        return error.status in BUSY if method == "GET" else error.status in {429, 503}
    return isinstance(error, urllib3.exceptions.HTTPError) and (
        method == "GET" or isinstance(_cause(error), urllib3.exceptions.NewConnectionError)
    )


def _cause(error: urllib3.exceptions.HTTPError) -> BaseException:
    return error.reason or error if isinstance(error, urllib3.exceptions.MaxRetryError) else error


def _refusal(host: str, method: str, path: str, error: kfp_server_api.ApiException) -> ServerError:
    """The error for a status: what it means, and what to do about it."""
    # statuses with a known cause
    told = {
        401: ("refuses the token", "set KFP_TOKEN to a valid one"),
        403: (
            "gives you no rights here",
            "ask its administrator for the role kubeflow-edit, or name another --namespace",
        ),
        404: (f"does not know {method} {path}", "check --host, the run's id, and that this is Kubeflow Pipelines 2"),
        0: (f"cannot be trusted ({error.reason})", "check its certificate and --host"),
    }
    told |= dict.fromkeys(LOGIN, ("asks for a login instead of answering", "set KFP_TOKEN to a valid token"))
    # all others: worth another try, or not
    busy = (f"answers {error.status} still after {ATTEMPTS} attempts", "try again later")
    other = (f"answers {method} {path} with {error.status}: {_message(error)}", "see the log of its API server")
    return ServerError(host, *told.get(error.status, busy if _passes(error, method) else other))


def _message(error: kfp_server_api.ApiException) -> str:
    """The server's message, cut short: its first sentence is the most useful."""
    try:
        said = json.loads(error.body)["message"]
    except (TypeError, ValueError, KeyError):
        said = error.body or error.reason
    return str(said)[:300]


def _silence(host: str, error: urllib3.exceptions.HTTPError, limits: tuple[float, float]) -> ServerError:
    """The error for a server that does not answer: too slow, or not running."""
    cause = _cause(error)
    if isinstance(cause, urllib3.exceptions.TimeoutError) and not isinstance(
        cause, urllib3.exceptions.NewConnectionError
    ):
        finding = f"did not answer within {limits[1]:g} s"
        return ServerError(host, finding, "raise --timeout, or see whether it is overloaded")
    return ServerError(host, f"cannot be reached ({type(cause).__name__})", "check --host and the network")
