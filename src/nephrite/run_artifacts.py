"""Scores and segmenters of many arms, fetched from the runs that made them.

In a cluster every arm works in a pod of its own. The stages that look at all arms get the ids of their runs, and take
their files from MLflow: a folder of scores would not fit into the arguments of a pod.
"""

from __future__ import annotations

import re
import shutil
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

from nephrite.config import Config
from nephrite.errors import TrackingError
from nephrite.lineage import trial_id
from nephrite.mlflow_client import connect, find_runs, tracking_errors
from nephrite.tracking_address import shown, tracking_uri

if TYPE_CHECKING:
    from mlflow.tracking import MlflowClient

PREFIX, OF_TRIAL = "runs:", "trial:"
STAGES = {"scores": "evaluate", "predictions": "evaluate", "segmenters": "train_segmenter"}
KEPT = {"scores": "scores", "predictions": "predictions", "segmenters": "segmenter"}  # folder among a run's artifacts
OF_SOME = ("predictions",)  # what only some runs keep: those of the arms that the report shows


def names_runs(text: str) -> bool:
    """Whether an option names runs, and no folder."""
    return text.startswith((PREFIX, OF_TRIAL))


def fetch_arms(kind: str, text: str, target: Path, config: Config) -> Path:
    """Fetch what the named runs kept, laid out as on one machine.

    Args:
        kind: 'scores', 'predictions' or 'segmenters'.
        text: 'runs:' and MLflow run ids, in any punctuation; JSON lists, one after the other, are fine. 'trial:' and
            ids, or none: those, and for every other arm of the trial the newest run that has finished, as when
            several pipelines share a trial.
        config: of the trial.
        target: folder that gets `<training set>/<segmenter>/<fraction>/<cell>/`, of scores `<cell>.json`.

    Returns:
        `target`.

    Raises:
        TrackingError: no run is named, MLflow does not know one, or one is of another stage or kept nothing.
    """
    ids = re.findall(r"\b[0-9a-f]{32}\b", text)
    whole = text.startswith(OF_TRIAL)
    if not ids and not whole:
        raise TrackingError(f"--{kind} {shown(text)}", "names no run", f"give the ids of runs of '{STAGES[kind]}'")
    client = connect()
    target.mkdir(parents=True, exist_ok=True)
    arms = {_fetch(client, kind, run_id, target) for run_id in dict.fromkeys(ids)}
    for arm, run_id in _of_trial(client, kind, config).items() if whole else ():
        if arm not in arms:
            _fetch(client, kind, run_id, target)
    return target


def _of_trial(client: MlflowClient, kind: str, config: Config) -> dict[str, str]:
    """The newest finished run of every arm of the trial that has one."""
    with tracking_errors():
        experiment = client.get_experiment_by_name(config.tracking.experiment)
        if experiment is None:
            return {}
        wanted = {"nephrite.trial_id": trial_id(config), "nephrite.stage": STAGES[kind]}
        runs = find_runs(client, experiment.experiment_id, wanted, "attributes.status = 'FINISHED'")
    newest = {run.data.tags.get("nephrite.arm", ""): run.info.run_id for run in runs}
    return {str(arm): newest[str(arm)] for arm in config.trial.arms if str(arm) in newest}


def _fetch(client: MlflowClient, kind: str, run_id: str, target: Path) -> str:
    """Fetch what one run kept; gives its arm."""
    with tracking_errors():
        tags = client.get_run(run_id).data.tags
        absent = kind in OF_SOME and not client.list_artifacts(run_id, KEPT[kind])
    # it must be a run of the stage that makes this
    stage, arm = tags.get("nephrite.stage"), tags.get("nephrite.arm")
    if stage != STAGES[kind] or not arm:
        finding = f"is a run of '{stage or 'another program'}', not of '{STAGES[kind]}'"
        raise TrackingError(f"run {run_id}", finding, f"give the runs that made the {kind}")
    if absent:
        return arm
    # download apart, then move to the arm's place
    with tempfile.TemporaryDirectory() as folder:
        found = _download(run_id, KEPT[kind], Path(folder))
        if kind == "scores":
            place = target / f"{arm}.json"
            (found,) = found.iterdir()
        else:
            place = target / arm
        place.parent.mkdir(parents=True, exist_ok=True)
        shutil.move(found, place)
    return str(arm)


def _download(run_id: str, folder: str, target: Path) -> Path:
    from mlflow.artifacts import download_artifacts

    try:
        found = download_artifacts(
            run_id=run_id, artifact_path=folder, dst_path=str(target), tracking_uri=tracking_uri()
        )
    except Exception as error:  # each kind of store raises its own
        finding = f"its '{folder}' cannot be fetched ({type(error).__name__}: {shown(str(error))})"
        raise TrackingError(f"run {run_id}", finding, "mend the artifact store, or run the stage again") from error
    return Path(found)
