from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from mlflow.exceptions import MlflowException
from mlflow.tracking import MlflowClient

from nephrite.config import Config
from nephrite.errors import TrackingError
from nephrite.tracking import open_run
from tests.conftest import runs

Load = Callable[..., Config]
ARM = "arm=real+geometric/light/1.0/0"


def test_metrics_keep_their_step(record: str, load: Load) -> None:
    with open_run(load(), "train_gan") as run:
        run.metrics({"loss": 2.0}, step=10)
        run.metrics({"loss": 1.0}, step=20)
    history = MlflowClient(record).get_metric_history(str(run.id), "loss")
    assert [(metric.step, metric.value) for metric in history] == [(10, 2.0), (20, 1.0)]


def test_plus_in_a_metric_name_becomes_a_dash(record: str, load: Load) -> None:
    with open_run(load(), "evaluate") as run:
        run.metrics({"real+synthetic/dice": 0.5}, step=0)
    assert MlflowClient(record).get_run(str(run.id)).data.metrics == {"real-synthetic/dice": 0.5}


def test_metrics_of_the_report_reach_the_parent(record: str, load: Load) -> None:
    with open_run(load(), "evaluate") as run:
        run.metrics({"dice": 0.4}, step=0)
    with open_run(load(), "report") as run:
        run.metrics({"difference": 0.1}, step=0)
    (parent,) = runs(record, stage="trial")
    assert (parent.data.metrics, parent.info.status) == ({"difference": 0.1}, "FINISHED")


def test_long_setting_is_cut(record: str, load: Load) -> None:
    with open_run(load(), "prepare") as run:
        run.settings({"patients": {"train": "x" * 7000}})
    assert len(MlflowClient(record).get_run(str(run.id)).data.params["patients.train"]) == 6000


def test_folder_is_kept_with_its_content(record: str, load: Load, tmp_path: Path) -> None:
    (tmp_path / "samples.partial").mkdir()
    (tmp_path / "samples.partial" / "sheet.png").write_bytes(b"png")
    with open_run(load(), "train_gan") as run:
        run.artifact(tmp_path / "samples.partial", folder="samples")
    kept = MlflowClient(record).list_artifacts(str(run.id), "samples")
    assert [item.path for item in kept] == ["samples/sheet.png"]


def test_dataset_carries_digest_and_dvc_hash(record: str, load: Load) -> None:
    Path("dvc.lock").write_text("stages: {prepare: {outs: [{path: data/prepared, md5: abc.dir}]}}", encoding="utf-8")
    with open_run(load(), "train_gan") as run:
        run.dataset(Path("data/prepared"), name="pairs", digest="d" * 64)
    inputs = MlflowClient(record).get_run(str(run.id)).inputs
    assert inputs
    (entry,) = inputs.dataset_inputs
    assert (entry.dataset.name, entry.dataset.digest) == ("pairs", "d" * 36)
    assert '"dvc_md5": "abc.dir"' in entry.dataset.source


def test_data_set_that_two_arms_describe_at_once_is_recorded_by_both(
    record: str, load: Load, monkeypatch: pytest.MonkeyPatch
) -> None:
    log_inputs, refusals = MlflowClient.log_inputs, iter(["UNIQUE constraint failed: datasets.name"])

    def sometimes(*arguments: Any, **named: Any) -> None:
        for refusal in refusals:
            raise MlflowException(refusal)
        log_inputs(*arguments, **named)

    monkeypatch.setattr(MlflowClient, "log_inputs", sometimes)
    with open_run(load(), "prepare") as run:
        run.dataset(Path("data"), name="pairs", digest="d")
    inputs = MlflowClient(record).get_run(str(run.id)).inputs
    assert inputs
    assert [entry.dataset.name for entry in inputs.dataset_inputs] == ["pairs"]


def test_other_refusals_of_a_data_set_are_told_at_once(
    record: str, load: Load, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*arguments: Any, **named: Any) -> None:
        raise MlflowException("read only")

    monkeypatch.setattr(MlflowClient, "log_inputs", refuse)
    with open_run(load(), "prepare") as run, pytest.raises(TrackingError, match="read only"):
        run.dataset(Path("data"), name="pairs", digest="d")
