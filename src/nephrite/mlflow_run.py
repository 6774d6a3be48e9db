"""One run in MLflow: what a stage records, call by call."""

from __future__ import annotations

import json
import re
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from tenacity import Retrying, retry_if_exception, stop_after_attempt, wait_random

from nephrite.commit import code_state
from nephrite.config import Config
from nephrite.errors import TrackingError, TrackingUnreachableError
from nephrite.lineage import dvc_hash, flatten
from nephrite.mlflow_arms import NAME, PARENT, show_arms
from nephrite.mlflow_client import LONGEST_DIGEST, as_key, find_runs, tracking_errors
from nephrite.recording import NOTE, ArmRow
from nephrite.redaction import hidden_path, settings_without_paths
from nephrite.spool import Head
from nephrite.tracking_address import one_at_a_time, short_patience, shown, tracking_uri

if TYPE_CHECKING:
    from mlflow.entities import Run as RunEntity
    from mlflow.tracking import MlflowClient

BATCH = 100  # MLflow's limit on parameters and tags per call
LONGEST_PARAMETER, LONGEST_TAG = 6000, 5000
CLOSING_STAGES = ("report", "promote")
MEND = "mend the store or its credentials"


class MlflowRun:
    """A run in MLflow; made by `open_run`.

    Args:
        client: of a store that answers.
        child: the run of this stage and arm.
        parent: id of the trial's run; None for a run that belongs to none.
        stage: name of the stage.

    Attributes:
        holds: whether something but settings was recorded.
    """

    def __init__(self, client: MlflowClient, child: RunEntity, parent: str | None, stage: str) -> None:
        self._client, self._child, self._parent, self._stage = client, child, parent, stage
        self._id: str = child.info.run_id
        self.holds = False

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

        params = [Param(as_key(key), value[:LONGEST_PARAMETER]) for key, value in flatten(values).items()]
        with tracking_errors():
            for start in range(0, len(params), BATCH):
                self._client.log_batch(self._id, params=params[start : start + BATCH])

    def metrics(self, values: Mapping[str, float], *, step: int) -> None:
        """Record a batch of metrics in one call; those of the report are shown at the trial's run, too."""
        from mlflow.entities import Metric

        self.holds = True
        now = int(time.time() * 1000)
        metrics = [Metric(as_key(key), float(value), now, step) for key, value in values.items()]
        with tracking_errors():
            for run_id in (self._id, self._parent) if self._parent and self._stage == "report" else (self._id,):
                self._client.log_batch(run_id, metrics=metrics)

    def artifact(self, path: Path, *, folder: str = "") -> None:
        """Keep a file in `folder`; of a folder the content goes into `folder`, or under its own name without one."""
        self.holds = True
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

    def judged(self, title: str, note: str, arms: Sequence[ArmRow]) -> None:
        """Name the trial's run by its verdict, and show below it all arms that were judged, earlier ones, too."""
        if self._parent is None:
            return
        experiment, trial = self._child.info.experiment_id, self._child.data.tags["nephrite.trial_id"]
        with tracking_errors():
            self._client.set_tag(self._parent, NAME, title)
            self._client.set_tag(self._parent, NOTE, note[:LONGEST_TAG])
            show_arms(self._client, experiment, self._parent, trial, arms)

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

    def discard(self) -> None:
        """Delete a run that holds nothing, and the trial's run if there is no other below it."""
        with tracking_errors():
            self._client.delete_run(self._id)
            if self._parent is None:
                return
            with one_at_a_time(tracking_uri()):
                if not find_runs(self._client, self._child.info.experiment_id, {PARENT: self._parent}):
                    self._client.delete_run(self._parent)

    def _supersede(self) -> None:
        same = ("nephrite.trial_id", "nephrite.stage", "nephrite.arm")
        for run in find_runs(
            self._client, self._child.info.experiment_id, {key: self._child.data.tags[key] for key in same}
        ):
            if run.info.run_id != self._id and "nephrite.superseded_by" not in run.data.tags:
                self._client.set_tag(run.info.run_id, "nephrite.superseded_by", self._id)

    def _tag(self, values: Mapping[str, str]) -> None:
        from mlflow.entities import RunTag

        tags = [RunTag(as_key(key), value[:LONGEST_TAG]) for key, value in values.items()]
        with tracking_errors():
            self._client.log_batch(self._id, tags=tags)


def _when_others_came_first() -> Retrying:
    """Retries of a request that fails because another arm records the same data at the same time."""
    from mlflow.exceptions import MlflowException

    def collided(error: BaseException) -> bool:
        return isinstance(error, MlflowException) and bool(re.search("(?i)unique|duplicate", str(error)))

    return Retrying(
        retry=retry_if_exception(collided), stop=stop_after_attempt(5), wait=wait_random(0, 0.5), reraise=True
    )
