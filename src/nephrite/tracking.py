"""The record of runs in MLflow: one parent run per trial, a child per stage and arm.

The only module, beside registry.py, that uses MLflow. Without MLFLOW_TRACKING_URI, runs are recorded in `mlflow.db`
and `mlruns/` of the working folder. A run that the caller made (MLFLOW_RUN_ID: `mlflow run`, a cluster's plugin) is
adopted, and one that was killed is resumed by the next attempt; in further processes of one training
(RANK, LOCAL_RANK above 0) nothing is recorded twice.
"""

from __future__ import annotations

import json
import logging
import os
import re
import time
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING

from tenacity import (
    RetryCallState,
    Retrying,
    retry_if_exception,
    stop_after_attempt,
    stop_after_delay,
    wait_exponential,
    wait_random,
)

from nephrite.commit import code_state
from nephrite.config import Config
from nephrite.errors import TrackingError, TrackingUnreachableError
from nephrite.lineage import cluster_facts, dvc_hash, flatten, library_versions, stage_settings, trial_id
from nephrite.processes import still_runs, this_host, this_process
from nephrite.recording import Run, SilentRun
from nephrite.redaction import hidden_path, reason_of, settings_without_paths
from nephrite.spool import Head, LastingRun, send, spool_of
from nephrite.tracking_address import (
    REMEDY,
    check_address,
    keep_files_here,
    one_at_a_time,
    short_patience,
    shown,
    tracking_uri,
    unreachable,
)

if TYPE_CHECKING:
    from mlflow.entities import Run as RunEntity
    from mlflow.tracking import MlflowClient

BATCH = 100  # MLflow's limit on parameters and tags per call
LONGEST_PARAMETER, LONGEST_TAG, LONGEST_DIGEST = 6000, 5000, 36
CLOSING_STAGES = ("report", "promote")
logger = logging.getLogger(__name__)
MEND = "mend the store or its credentials"
APART = ("predict",)  # not part of a trial, whose result they use: no parent run, never superseded
UNENDED = ("RUNNING", "SCHEDULED")
HOST, PROCESS = "nephrite.host", "nephrite.process"
PARENT, NAME, NOTE, COMMIT, SOURCE = (
    f"mlflow.{name}" for name in ("parentRunId", "runName", "note.content", "source.git.commit", "source.name")
)


def prepare_mlflow() -> None:
    """Set what MLflow reads when it is imported: no telemetry, no pickled models, no log messages."""
    os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")
    os.environ.setdefault("MLFLOW_LOGGING_LEVEL", "WARNING")
    os.environ["MLFLOW_ALLOW_PICKLE_DESERIALIZATION"] = "false"


def connect() -> MlflowClient:
    """A client of a store that has just answered.

    Raises:
        TrackingUnreachableError: it did not, within seconds.
    """
    # quick checks before the slow import
    prepare_mlflow()
    uri = tracking_uri()
    check_address(uri)
    from mlflow.exceptions import MlflowException
    from mlflow.tracking import MlflowClient

    with one_at_a_time(uri), short_patience():  # two processes must not make the tables of one database
        try:
            client = MlflowClient(uri, registry_uri=os.environ.get("MLFLOW_REGISTRY_URI") or uri)
            client.search_experiments(max_results=1)
            keep_files_here(uri)
        except MlflowException as error:
            raise unreachable(uri, _reason(str(error))) from None
    return client


@contextmanager
def tracking_errors() -> Iterator[None]:
    """Turn what MLflow raises into one line."""
    from mlflow.exceptions import MlflowException

    try:
        yield
    except MlflowException as error:
        raise TrackingError(shown(tracking_uri()), f"MLflow refused ({shown(str(error))})", REMEDY) from error


@contextmanager
def open_run(
    config: Config, stage: str, facts: Mapping[str, str] | None = None, output: Path | None = None
) -> Iterator[Run]:
    """Record a stage, and the arm that it works on, as a child of the trial's run; it ends as the block ends.

    Args:
        config: settings.
        stage: its name.
        facts: further facts of the run's origin (image, data version, ...); tags of the run and of its trial.
        output: of the stage; where the store fails later, the record is kept beside it: see `spool`.

    Raises:
        TrackingUnreachableError: the store does not answer; raised before the block starts.
        TrackingError: MLflow refused something, and there is no `output`.
    """
    # one process of a training records
    if any(os.environ.get(rank, "0") != "0" for rank in ("RANK", "LOCAL_RANK", "SLURM_PROCID")):
        yield SilentRun()
        return
    cluster = cluster_facts()
    started = _start(config, stage, {**(facts or {}), **cluster})
    # what lies in a pod is lost with it
    run = LastingRun(started, started.head, spool_of(output) if output and not cluster else None)
    # the run ends as the stage does
    try:
        started.settings(stage_settings(config, stage))
        started.keep_settings(config)
        yield run
    except BaseException as error:
        killed = isinstance(error, KeyboardInterrupt | SystemExit)
        with suppress(Exception), short_patience():  # the error itself matters more than its record
            # a stage that fails leaves nothing behind to be sent, unless something is there already
            (run if run.keeps else started).end("KILLED" if killed else "FAILED", reason=reason_of(error))
        raise
    run.end("FINISHED")


class MlflowRun:
    """A run in MLflow; made by `open_run`.

    Args:
        client: of a store that answers.
        child: the run of this stage and arm.
        parent: id of the trial's run; None for a run that belongs to none.
        stage: name of the stage.
    """

    def __init__(self, client: MlflowClient, child: RunEntity, parent: str | None, stage: str) -> None:
        self._client, self._child, self._parent, self._stage = client, child, parent, stage
        self._id: str = child.info.run_id

    @property
    def head(self) -> Head:
        """By which a later process finds the run."""
        return Head(self._id, self._parent, self._stage)

    @property
    def id(self) -> str:
        """The run's id."""
        return self._id

    def settings(self, values: Mapping[str, object]) -> None:
        """Record settings as parameters, flattened to dotted names; long values are cut."""
        from mlflow.entities import Param

        params = [Param(_name(key), value[:LONGEST_PARAMETER]) for key, value in flatten(values).items()]
        with tracking_errors():
            for start in range(0, len(params), BATCH):
                self._client.log_batch(self._id, params=params[start : start + BATCH])

    def metrics(self, values: Mapping[str, float], *, step: int) -> None:
        """Record a batch of metrics in one call; those of the report are shown at the trial's run, too."""
        from mlflow.entities import Metric

        now = int(time.time() * 1000)
        metrics = [Metric(_name(key), float(value), now, step) for key, value in values.items()]
        with tracking_errors():
            for run_id in (self._id, self._parent) if self._parent and self._stage == "report" else (self._id,):
                self._client.log_batch(run_id, metrics=metrics)

    def artifact(self, path: Path, *, folder: str = "") -> None:
        """Keep a file in `folder`; of a folder the content goes into `folder`, or under its own name without one."""
        try:
            if path.is_dir():
                self._client.log_artifacts(self._id, str(path), folder or path.name)
            else:
                self._client.log_artifact(self._id, str(path), folder or None)
        except Exception as error:  # each kind of store raises its own
            place = f"artifact store of {shown(tracking_uri())}"
            raise TrackingError(place, f"takes no files ({type(error).__name__}: {shown(str(error))})", MEND) from error

    def tags(self, values: Mapping[str, str]) -> None:
        """Record short facts to search runs by, as tags under 'nephrite.'."""
        self._tag({f"nephrite.{key}": value for key, value in values.items()})

    def dataset(self, path: Path, *, name: str, digest: str) -> None:
        """Record an input data set with its digest, its DVC hash and the commit that was checked out, not its path."""
        from mlflow.entities import Dataset, DatasetInput, InputTag

        commit = code_state().commit
        source = {"uri": hidden_path(path), "digest": digest, "dvc_md5": dvc_hash(path), "git_commit": commit}
        entity = Dataset(name, digest[:LONGEST_DIGEST], source_type="local", source=json.dumps(source))
        context = InputTag("mlflow.data.context", self._stage)
        with tracking_errors():
            for attempt in _when_others_came_first():
                with attempt:
                    self._client.log_inputs(self._id, [DatasetInput(entity, tags=[context])])

    def keep_settings(self, config: Config) -> None:
        """Keep all settings, paths hidden, as the first artifact: a broken store of files shows before a training.

        Raises:
            TrackingUnreachableError: the store takes no files.
        """
        try:
            with short_patience():
                self._client.log_dict(self._id, settings_without_paths(config), "settings.yaml")
        except Exception as error:  # each kind of store raises its own
            place = f"artifact store of {shown(tracking_uri())}"
            finding = f"takes no files ({type(error).__name__}: {shown(str(error))})"
            raise TrackingUnreachableError(place, finding, MEND) from error

    def end(self, status: str, *, reason: str = "") -> None:
        """Close the run; a finished one supersedes earlier runs of the same stage and arm."""
        with tracking_errors():
            if reason:
                self._tag({"nephrite.error": reason})
            self._client.set_terminated(self._id, status)
            if self._parent is None:
                return
            if status == "FINISHED":
                self._supersede()
            if status != "FINISHED" or self._stage in CLOSING_STAGES:
                self._client.set_terminated(self._parent, status)

    def _supersede(self) -> None:
        same = ("nephrite.trial_id", "nephrite.stage", "nephrite.arm")
        for run in _find(
            self._client, self._child.info.experiment_id, {key: self._child.data.tags[key] for key in same}
        ):
            if run.info.run_id != self._id and "nephrite.superseded_by" not in run.data.tags:
                self._client.set_tag(run.info.run_id, "nephrite.superseded_by", self._id)

    def _tag(self, values: Mapping[str, str]) -> None:
        from mlflow.entities import RunTag

        tags = [RunTag(_name(key), value[:LONGEST_TAG]) for key, value in values.items()]
        with tracking_errors():
            self._client.log_batch(self._id, tags=tags)


def send_records(spools: Iterable[Path]) -> int:
    """Send what could not be sent when it was recorded; gives the number of runs.

    Raises:
        TrackingError: MLflow does not answer or refuses; what was not sent stays.
        StoreError: a spool is damaged.
    """
    found = list(spools)
    client = connect() if found else None

    def open_again(head: Head) -> MlflowRun:
        assert client is not None
        with tracking_errors():
            return MlflowRun(client, client.get_run(head.run_id), head.parent, head.stage)

    for spool in found:
        send(spool, open_again)
    return len(found)


def close_trial(config: Config) -> str:
    """End what a cluster left open: runs of pods that were killed, and the trial's own run.

    The trial is finished if its report is there and the last attempt at each stage and arm has finished, else failed.
    For the end of a pipeline, whatever happened before.

    Returns:
        the status that the trial's run now has.
    """
    client, trial = connect(), trial_id(config)
    with tracking_errors():
        # all runs of the trial but its parent
        experiment = _experiment(client, config.tracking.experiment)
        facts = {f"nephrite.{key}": value for key, value in cluster_facts().items() if key == "kubeflow_run"}
        found = _find(client, experiment, {"nephrite.trial_id": trial, **facts})
        runs = [run for run in found if run.data.tags["nephrite.stage"] != "trial"]
        # what still runs was killed
        for run in runs:
            if run.info.status in UNENDED:
                client.set_terminated(run.info.run_id, "KILLED")
        # the trial is finished if every stage is
        last = {(run.data.tags["nephrite.stage"], run.data.tags["nephrite.arm"]): run.info.status for run in runs}
        finished = ("report", "") in last and set(last.values()) == {"FINISHED"}
        status = "FINISHED" if finished else "FAILED"
        for run in _find(client, experiment, {"nephrite.trial_id": trial, "nephrite.stage": "trial"}):
            client.set_terminated(run.info.run_id, status)
    return status


def _when_others_came_first() -> Retrying:
    """Retries of a request that fails because another arm records the same data at the same time."""
    from mlflow.exceptions import MlflowException

    def collided(error: BaseException) -> bool:
        return isinstance(error, MlflowException) and bool(re.search("(?i)unique|duplicate", str(error)))

    return Retrying(
        retry=retry_if_exception(collided), stop=stop_after_attempt(5), wait=wait_random(0, 0.5), reraise=True
    )


def _start(config: Config, stage: str, facts: Mapping[str, str]) -> MlflowRun:
    client, trial = _first_contact(config.tracking.patience), None if stage in APART else trial_id(config)
    # what describes the run
    lineage = {f"nephrite.{_name(key)}": value[:LONGEST_TAG] for key, value in facts.items() if value}
    tags = {**_child_tags(config, stage, trial), **lineage}
    with tracking_errors():
        # a run that was opened for us is adopted
        adopted = _adoptable(client, tags)
        experiment = adopted.info.experiment_id if adopted else _experiment(client, config.tracking.experiment)
        _end_orphans(client, experiment)
        # runs of a trial stand under one parent; an interrupted run goes on
        parent = None
        if trial:
            with one_at_a_time(tracking_uri()):
                parent = (adopted and adopted.data.tags.get(PARENT)) or _parent(client, experiment, config, trial)
            tags[PARENT] = parent
            for key, value in lineage.items():
                if key != "nephrite.pod":
                    client.set_tag(parent, key, value)
            adopted = adopted or _interrupted(client, experiment, tags)
        child = _adopt(client, adopted, tags) if adopted else client.create_run(experiment, tags=tags)
    return MlflowRun(client, child, parent, stage)


def _may_pass(error: BaseException) -> bool:
    """Whether a server may answer later: not to a wrong password."""
    return isinstance(error, TrackingUnreachableError) and not re.search(r"error code 40[13]\b", str(error))


def _first_contact(patience: float) -> MlflowClient:
    """Connect; a server may be starting again, a file on this machine is not."""
    if tracking_uri().startswith(("sqlite", "file")) or patience == 0:
        return connect()

    def say(state: RetryCallState) -> None:
        if state.attempt_number == 1 and state.outcome:
            logger.warning("%s; asking again for %g seconds", state.outcome.exception(), patience)

    asked = Retrying(
        retry=retry_if_exception(_may_pass),
        stop=stop_after_delay(patience),
        wait=wait_exponential(max=5),
        before_sleep=say,
        reraise=True,
    )
    return asked(connect)


def _end_orphans(client: MlflowClient, experiment: str) -> None:
    """End runs of processes of this host that were killed: they could not say so."""
    for run in _find(client, experiment, {HOST: this_host()}, "attributes.status = 'RUNNING'"):
        if not still_runs(run.data.tags.get(PROCESS, "")):
            for run_id in filter(None, (run.info.run_id, run.data.tags.get(PARENT))):
                client.set_terminated(run_id, "KILLED")


def _child_tags(config: Config, stage: str, trial: str | None) -> dict[str, str]:
    """Tags to search runs by. The tag 'arm' is what the stage works on: an arm, a painter, or nothing."""
    code, arm = code_state(), (config.arm or config.painter) if trial else None
    parts = arm.model_dump() if arm else {}
    return {
        NAME: f"{stage} {arm}" if arm else stage,
        SOURCE: f"nephrite {stage.replace('_', '-')}",
        **({COMMIT: code.commit, "nephrite.git_dirty": str(code.dirty).lower()} if code.commit else {}),
        **({"nephrite.trial_id": trial} if trial else {}),
        **{"nephrite.stage": stage, "nephrite.arm": str(arm or ""), HOST: this_host(), PROCESS: this_process()},
        **{f"nephrite.{part}": str(value) for part, value in parts.items()},
        **{f"version.{library}": version for library, version in library_versions().items()},
    }


def _adoptable(client: MlflowClient, tags: Mapping[str, str]) -> RunEntity | None:
    """The run that the caller made for this stage; not one that another stage has taken already."""
    run_id = os.environ.get("MLFLOW_RUN_ID")
    if not run_id:
        return None
    run = client.get_run(run_id)
    taken = any(run.data.tags.get(key, tags[key]) != tags[key] for key in ("nephrite.stage", "nephrite.arm"))
    return None if taken else run


def _interrupted(client: MlflowClient, experiment: str, tags: Mapping[str, str]) -> RunEntity | None:
    """The last attempt at the same stage, arm and commit, if it was killed: the same run goes on.

    A pod that vanished could not say so: its run still counts as running, and its retry has the same Kubeflow run.
    """
    same = ("nephrite.trial_id", "nephrite.stage", "nephrite.arm", COMMIT)
    found = _find(client, experiment, {key: tags[key] for key in same if key in tags})
    if not found:
        return None
    last, kubeflow_run = found[-1], tags.get("nephrite.kubeflow_run")
    vanished = kubeflow_run and last.data.tags.get("nephrite.kubeflow_run") == kubeflow_run
    return last if last.info.status == "KILLED" or (vanished and last.info.status in UNENDED) else None


def _adopt(client: MlflowClient, run: RunEntity, tags: Mapping[str, str]) -> RunEntity:
    from mlflow.entities import RunTag

    client.log_batch(run.info.run_id, tags=[RunTag(key, value) for key, value in tags.items()])
    client.update_run(run.info.run_id, status="RUNNING")
    return client.get_run(run.info.run_id)


def _experiment(client: MlflowClient, name: str) -> str:
    from mlflow.exceptions import MlflowException

    found = client.get_experiment_by_name(name)
    if found is None:
        with suppress(MlflowException):  # another process made it meanwhile
            experiment = client.create_experiment(name)
            keep_files_here(tracking_uri())
            return str(experiment)
        found = client.get_experiment_by_name(name)
    if found is None or found.lifecycle_stage == "deleted":
        raise TrackingError(f"experiment '{name}'", "is deleted", "restore it, or name another 'tracking.experiment'")
    return str(found.experiment_id)


def _parent(client: MlflowClient, experiment: str, config: Config, trial: str) -> str:
    """The trial's run: found, or made. Of several that were made at once every process takes the oldest."""
    wanted = {"nephrite.trial_id": trial, "nephrite.stage": "trial"}
    found = _find(client, experiment, wanted)
    if not found:
        client.create_run(experiment, tags={**wanted, NAME: config.trial.name, NOTE: _note(config, trial)})
        found = _find(client, experiment, wanted)
    return str(found[0].info.run_id)


def _find(client: MlflowClient, experiment: str, tags: Mapping[str, str], *conditions: str) -> list[RunEntity]:
    """Runs that carry all of these tags and meet the conditions, the oldest first."""
    query = " and ".join([*(f"tags.`{key}` = '{value}'" for key, value in tags.items()), *conditions])
    return list(
        client.search_runs([experiment], query, order_by=["attributes.start_time ASC", "attributes.run_id ASC"])
    )


def _note(config: Config, trial: str) -> str:
    plan = config.trial
    return (
        f"**{plan.name}**: does synthetic data make the segmenter better? {len(plan.arms)} arms, judged by the "
        f"per-patient Dice of *{plan.primary}* against `{plan.reference}`.\n\nBelow it are its stages, one run per "
        f"arm where a stage works on one. Metrics here are those of `report`. Trial id `{trial}`."
    )


def _reason(text: str) -> str:
    """The innermost error of a failed request, out of those that MLflow chains, e.g. 'Connection refused'."""
    return text.rsplit(": ", 1)[-1].partition(" (")[0].rstrip('.)"') if "failed with exception" in text else text


def _name(key: str) -> str:
    """MLflow refuses '+' and other signs in names."""
    return re.sub(r"[^\w./ :-]", "-", key)
