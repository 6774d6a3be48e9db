"""The record of runs in MLflow: one parent run per trial, a child per stage and arm.

Without MLFLOW_TRACKING_URI, runs are recorded in `mlflow.db` and `mlruns/` of the working folder. A run that the caller
made (MLFLOW_RUN_ID: `mlflow run`, a cluster's plugin) is adopted, and one that was killed is resumed by the next
attempt; in further processes of one training (RANK, LOCAL_RANK above 0) nothing is recorded twice.
"""

from __future__ import annotations

import logging
import os
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING

from nephrite.commit import code_state
from nephrite.config import Config, TrackingSettings
from nephrite.errors import ConfigError, DataError, ModelNotRegisteredError, OutputError, TrackingError
from nephrite.lineage import cluster_facts, library_versions, stage_settings, trial_id
from nephrite.mlflow_arms import NAME, PARENT, parts_of
from nephrite.mlflow_client import as_key, connect, find_runs, first_contact, tracking_errors
from nephrite.mlflow_run import LONGEST_TAG, MlflowRun
from nephrite.processes import still_runs, this_host, this_process
from nephrite.recording import NOTE, Run, SilentRun
from nephrite.redaction import reason_of
from nephrite.spool import Head, LastingRun, send, spool_of
from nephrite.tracking_address import (
    keep_files_here,
    one_at_a_time,
    short_patience,
    tracking_uri,
)

if TYPE_CHECKING:
    from mlflow.entities import Run as RunEntity
    from mlflow.tracking import MlflowClient

logger = logging.getLogger(__name__)
APART = ("predict",)  # not part of a trial, whose result they use: no parent run, never superseded
REFUSALS = (ConfigError, DataError, OutputError, ModelNotRegisteredError)  # input that a stage refuses
UNENDED = ("RUNNING", "SCHEDULED")
HOST, PROCESS = "nephrite.host", "nephrite.process"
COMMIT, SOURCE = "mlflow.source.git.commit", "mlflow.source.name"
KIND = ("mlflow.experimentKind", "custom_model_development")  # else MLflow's page asks whether it is about agents


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
    with _ended(run, started):
        unit = None if stage in APART else config.arm or config.painter
        started.settings({**stage_settings(config, stage), **parts_of(unit)})
        started.keep_settings(config)
        yield run


@contextmanager
def open_apart(command: str, settings: Mapping[str, object], output: Path, experiment: str) -> Iterator[Run]:
    """Record a command that belongs to no trial and has no params file; the run ends as the block ends.

    Args:
        command: its name.
        settings: what it was asked for, without paths.
        output: what it writes; where the store fails later, the record is kept beside it: see `spool`.
        experiment: that holds the run.

    Raises:
        TrackingUnreachableError: the store does not answer; raised before the block starts.
    """
    client = first_contact(TrackingSettings().patience)
    with tracking_errors():
        place = _experiment(client, experiment)
        started = MlflowRun(client, client.create_run(place, tags=_tags(command)), None, command)
    run = LastingRun(started, started.head, spool_of(output))
    with _ended(run, started):
        started.settings(settings)
        yield run


@contextmanager
def _ended(run: LastingRun, started: MlflowRun) -> Iterator[None]:
    """End a run as the block ends."""
    try:
        yield
    except BaseException as error:
        with suppress(Exception), short_patience():  # the error itself matters more than its record
            _end_failed(run, started, error)
        raise
    run.end("FINISHED")


def _end_failed(run: LastingRun, started: MlflowRun, error: BaseException) -> None:
    # refused input is no failed experiment
    if isinstance(error, REFUSALS) and not (run.keeps or started.holds):
        started.discard()
        return
    # a stage that fails leaves nothing behind to be sent, unless something is there already
    killed = isinstance(error, KeyboardInterrupt | SystemExit)
    (run if run.keeps else started).end("KILLED" if killed else "FAILED", reason=reason_of(error))


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
        found = find_runs(client, experiment, {"nephrite.trial_id": trial, **facts})
        runs = [run for run in found if run.data.tags["nephrite.stage"] != "trial"]
        # what still runs was killed
        for run in runs:
            if run.info.status in UNENDED:
                client.set_terminated(run.info.run_id, "KILLED")
        # the trial is finished if every stage is
        last = {(run.data.tags["nephrite.stage"], run.data.tags["nephrite.arm"]): run.info.status for run in runs}
        finished = ("report", "") in last and set(last.values()) == {"FINISHED"}
        status = "FINISHED" if finished else "FAILED"
        for run in find_runs(client, experiment, {"nephrite.trial_id": trial, "nephrite.stage": "trial"}):
            client.set_terminated(run.info.run_id, status)
    return status


def _start(config: Config, stage: str, facts: Mapping[str, str]) -> MlflowRun:
    client, trial = first_contact(config.tracking.patience), None if stage in APART else trial_id(config)
    # what describes the run
    lineage = {f"nephrite.{as_key(key)}": value[:LONGEST_TAG] for key, value in facts.items() if value}
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
                adopted = adopted or _interrupted(client, experiment, tags)
                child = _adopt(client, adopted, tags) if adopted else client.create_run(experiment, tags=tags)
            for key, value in lineage.items():
                if key != "nephrite.pod":
                    client.set_tag(parent, key, value)
        else:
            child = _adopt(client, adopted, tags) if adopted else client.create_run(experiment, tags=tags)
    started = MlflowRun(client, child, parent, stage)
    started.holds = adopted is not None or bool(facts)  # a pipeline tells some, and its page leads to its runs
    return started


def _end_orphans(client: MlflowClient, experiment: str) -> None:
    """End runs of processes of this host that were killed: they could not say so."""
    for run in find_runs(client, experiment, {HOST: this_host()}, "attributes.status = 'RUNNING'"):
        if not still_runs(run.data.tags.get(PROCESS, "")):
            for run_id in filter(None, (run.info.run_id, run.data.tags.get(PARENT))):
                client.set_terminated(run_id, "KILLED")


def _child_tags(config: Config, stage: str, trial: str | None) -> dict[str, str]:
    """Tags to search runs by. The tag 'arm' is what the stage works on: an arm, a painter, or nothing."""
    arm = (config.arm or config.painter) if trial else None
    parts = arm.model_dump() if arm else {}
    return {
        **_tags(stage, str(arm or "")),
        **({"nephrite.trial_id": trial} if trial else {}),
        **{f"nephrite.{part}": str(value) for part, value in parts.items()},
    }


def _tags(stage: str, arm: str = "") -> dict[str, str]:
    """What every run tells: its stage, by what code and libraries, where it runs."""
    code = code_state()
    return {
        NAME: f"{stage} {arm}" if arm else stage,
        SOURCE: f"nephrite {stage.replace('_', '-')}",
        **({COMMIT: code.commit, "nephrite.git_dirty": str(code.dirty).lower()} if code.commit else {}),
        **{"nephrite.stage": stage, "nephrite.arm": arm, HOST: this_host(), PROCESS: this_process()},
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
    found = find_runs(client, experiment, {key: tags[key] for key in same if key in tags})
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
            experiment = client.create_experiment(name, tags=dict([KIND]))
            keep_files_here(tracking_uri())
            return str(experiment)
        found = client.get_experiment_by_name(name)
    if found is None or found.lifecycle_stage == "deleted":
        raise TrackingError(f"experiment '{name}'", "is deleted", "restore it, or name another 'tracking.experiment'")
    if KIND[0] not in found.tags:  # made by an older version, or by hand
        client.set_experiment_tag(found.experiment_id, *KIND)
    return str(found.experiment_id)


def _parent(client: MlflowClient, experiment: str, config: Config, trial: str) -> str:
    """The trial's run: found, or made. Of several that were made at once every process takes the oldest."""
    wanted = {"nephrite.trial_id": trial, "nephrite.stage": "trial"}
    found = find_runs(client, experiment, wanted)
    if not found:
        client.create_run(experiment, tags={**wanted, NAME: config.trial.name, NOTE: _note(config, trial)})
        found = find_runs(client, experiment, wanted)
    return str(found[0].info.run_id)


def _note(config: Config, trial: str) -> str:
    plan = config.trial
    return (
        f"**{plan.name}**: does synthetic data make the segmenter better? {len(plan.arms)} arms, judged by the "
        f"per-patient Dice of *{plan.primary}* against `{plan.reference}`.\n\nBelow it are its stages, one run per "
        f"arm where a stage works on one. Metrics here are those of `report`. Trial id `{trial}`."
    )
