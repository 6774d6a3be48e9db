"""Looks at test patients, kept in an MLflow experiment of their own: one run per look, its content in tags."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from nephrite.mlflow_client import connect, find_runs, tracking_errors
from nephrite.tracking_address import keep_files_here, tracking_uri

if TYPE_CHECKING:
    from mlflow.tracking import MlflowClient

EXPERIMENT = "nephrite-looks"
PART, LONGEST = "nephrite.look.", 4000  # tags of a run, and how much of the look's JSON each takes


def kept_looks() -> list[dict[str, Any]]:
    """Every look that MLflow knows, the oldest first.

    Raises:
        TrackingUnreachableError: MLflow does not answer.
        TrackingError: it refused something, or a look was changed there.
    """
    client = connect()
    with tracking_errors():
        experiment = client.get_experiment_by_name(EXPERIMENT)
        runs = find_runs(client, str(experiment.experiment_id), {}) if experiment else []
    return [json.loads(_joined(run.data.tags)) for run in runs]


def keep_look(look: Mapping[str, Any]) -> None:
    """Add a look.

    Raises:
        TrackingUnreachableError: MLflow does not answer.
        TrackingError: it refused something.
    """
    client = connect()
    text = json.dumps(look, sort_keys=True)
    parts = [text[start : start + LONGEST] for start in range(0, len(text), LONGEST)]
    tags = {f"{PART}{number}": part for number, part in enumerate(parts)}
    with tracking_errors():
        run = client.create_run(_experiment(client), tags={**tags, "mlflow.runName": f"look {look['number']}"})
        client.set_terminated(run.info.run_id)


def _experiment(client: MlflowClient) -> str:
    from mlflow.exceptions import MlflowException

    found = client.get_experiment_by_name(EXPERIMENT)
    if found is None:
        try:
            made = client.create_experiment(EXPERIMENT)
        except MlflowException:  # another process made it meanwhile, or it is deleted
            found = client.get_experiment_by_name(EXPERIMENT)
            if found is None:
                raise
        else:
            keep_files_here(tracking_uri())
            return str(made)
    return str(found.experiment_id)


def _joined(tags: Mapping[str, str]) -> str:
    names = sorted((name for name in tags if name.startswith(PART)), key=lambda name: int(name.removeprefix(PART)))
    return "".join(tags[name] for name in names)
