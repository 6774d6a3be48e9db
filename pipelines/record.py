"""The page of a trial in MLflow: its runs carry the id of the Kubeflow run that made them."""

from __future__ import annotations

import os
from typing import Any
from urllib.parse import urlsplit, urlunsplit

import requests

LIMITS = (3, 10)  # seconds to connect, and to wait for an answer
TAG = "nephrite.kubeflow_run"


def trial_page(tracking_uri: str, kubeflow_run: str) -> str:
    """Address of the trial's run in MLflow; of the list of experiments, with the reason, if it cannot be found (yet).

    Name and password come from MLFLOW_TRACKING_USERNAME and MLFLOW_TRACKING_PASSWORD, as in MLflow itself.
    """
    parts = urlsplit(tracking_uri)
    base = urlunsplit(parts._replace(netloc=parts.netloc.rpartition("@")[2])).rstrip(
        "/"
    )  # no password in what is shown
    # search all experiments for a run of this Kubeflow run
    try:
        experiments = _search(base, "experiments", {"max_results": 1000}).get("experiments", ())
        ids = [experiment["experiment_id"] for experiment in experiments]
        asked = {"experiment_ids": ids, "filter": f"tags.`{TAG}` = '{kubeflow_run}'", "max_results": 1}
        found = _search(base, "runs", asked).get("runs", ()) if ids else ()
    except (requests.RequestException, ValueError) as error:
        return f"{base}/#/experiments (not looked up: {type(error).__name__})"
    if not found:
        return f"{base}/#/experiments (nothing recorded yet; later: 'nephrite-pipeline status {kubeflow_run}')"
    # its parent is the trial
    tags = {tag["key"]: tag["value"] for tag in found[0]["data"].get("tags", ())}
    trial = tags.get("mlflow.parentRunId", found[0]["info"]["run_id"])
    return f"{base}/#/experiments/{found[0]['info']['experiment_id']}/runs/{trial}"


def _search(base: str, kind: str, asked: dict[str, Any]) -> dict[str, Any]:
    user, password = (os.environ.get(f"MLFLOW_TRACKING_{name}", "") for name in ("USERNAME", "PASSWORD"))
    address = f"{base}/api/2.0/mlflow/{kind}/search"
    answer = requests.post(address, json=asked, auth=(user, password) if user else None, timeout=LIMITS)
    answer.raise_for_status()
    content: dict[str, Any] = answer.json()
    return content
