"""The arms of a trial side by side on MLflow's page: same metrics, and what they are as parameters.

An arm that an earlier trial trained and scored has its runs below that trial. A run in its place, with the same
parameters and metrics, stands below each further trial that uses it.
"""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from nephrite.config import Arm, GeneratorRun
from nephrite.mlflow_client import as_key, find_runs
from nephrite.recording import NOTE, ArmRow

if TYPE_CHECKING:
    from mlflow.entities import Run as RunEntity
    from mlflow.tracking import MlflowClient

REUSED = "reused"  # the stage of a run that stands for an arm of an earlier trial
SUPERSEDED, DIGEST = "nephrite.superseded_by", "nephrite.segmenter_digest"
PARENT, NAME = "mlflow.parentRunId", "mlflow.runName"


def parts_of(unit: Arm | GeneratorRun | None) -> dict[str, object]:
    """What a run works on, as parameters by which MLflow groups and compares runs; nothing for the whole trial."""
    parts = unit.model_dump() if unit else {}
    return {"replicate" if name == "cell" else name: value for name, value in parts.items()}


def show_arms(client: MlflowClient, experiment: str, parent: str, trial: str, rows: Sequence[ArmRow]) -> int:
    """Give every arm that has no run below a trial's own one that stands for it; gives how many were made.

    Args:
        client: of the store.
        experiment: that holds the trial.
        parent: id of the trial's run.
        trial: id of the trial.
        rows: all arms that were judged.
    """
    known = {stage: _newest(client, experiment, {"nephrite.trial_id": trial}, stage) for stage in ("evaluate", REUSED)}
    made = 0
    for row in rows:
        stood = [runs[row["arm"]] for runs in known.values() if row["arm"] in runs]
        if any(run.data.tags.get(DIGEST, "") == row["digest"] for run in stood):
            continue
        run_id = _stand_in(client, experiment, parent, trial, row)
        for run in stood:  # of another segmenter than the one that was judged
            client.set_tag(run.info.run_id, SUPERSEDED, run_id)
        made += 1
    return made


def _newest(client: MlflowClient, experiment: str, tags: Mapping[str, str], stage: str) -> dict[str, RunEntity]:
    """The newest finished run of a stage, by arm."""
    found = find_runs(client, experiment, {**tags, "nephrite.stage": stage}, "attributes.status = 'FINISHED'")
    return {run.data.tags.get("nephrite.arm", ""): run for run in found}


def _stand_in(client: MlflowClient, experiment: str, parent: str, trial: str, row: ArmRow) -> str:
    from mlflow.entities import Metric, Param

    # where it was scored first, if this store knows
    wanted = {DIGEST: row["digest"], "nephrite.arm": row["arm"], "nephrite.stage": "evaluate"}
    first = find_runs(client, experiment, wanted) if row["digest"] else []
    source = first[-1].info.run_id if first else ""
    parts = Arm.parse(row["arm"]).model_dump()
    tags = {
        **{PARENT: parent, NAME: f"evaluate {row['arm']} (earlier)", "nephrite.trial_id": trial},
        **{"nephrite.stage": REUSED, "nephrite.arm": row["arm"], DIGEST: row["digest"]},
        **{f"nephrite.{part}": str(value) for part, value in parts.items()},
        **({"nephrite.reused_from": source} if source else {}),
        NOTE: "Trained and scored by an earlier trial" + (f", in run `{source}`." if source else "."),
    }
    run_id: str = client.create_run(experiment, tags=tags).info.run_id
    now = int(time.time() * 1000)
    params = [Param(key, str(value)) for key, value in parts_of(Arm.parse(row["arm"])).items()]
    metrics = [Metric(as_key(key), value, now, 0) for key, value in row["metrics"].items()]
    client.log_batch(run_id, metrics=metrics, params=params)
    client.set_terminated(run_id, "FINISHED")
    return run_id
