"""Runs as MLflow shows them, in a database of the test's own."""

from __future__ import annotations

import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from mlflow.entities import Run as RunEntity
from mlflow.exceptions import MlflowException
from mlflow.tracking import MlflowClient

from nephrite.config import Config
from nephrite.errors import StoreError, TrackingError, TrackingUnreachableError
from nephrite.processes import this_process
from nephrite.recording import SilentRun
from nephrite.spool import find_spools
from nephrite.tracking import close_trial, connect, open_run, send_records

Load = Callable[..., Config]
ARM = "arm=real+geometric/light/1.0/0"


def runs(uri: str, **tags: str) -> list[RunEntity]:
    """All runs whose 'nephrite.' tags have these values, the oldest first."""
    client = MlflowClient(uri)
    found = client.search_runs(
        [e.experiment_id for e in client.search_experiments()], order_by=["attributes.start_time ASC"]
    )
    return [run for run in found if all(run.data.tags.get(f"nephrite.{key}") == value for key, value in tags.items())]


def record_stage(config: Config, stage: str) -> str:
    """Record a stage that does nothing; the id of its run."""
    with open_run(config, stage) as run:
        assert run.id
        return run.id


def test_stages_of_one_trial_share_a_parent(record: str, load: Load) -> None:
    record_stage(load(), "prepare")
    record_stage(load(ARM), "train_segmenter")
    (parent,) = runs(record, stage="trial")
    children = [*runs(record, stage="prepare"), *runs(record, stage="train_segmenter")]
    assert [child.data.tags["mlflow.parentRunId"] for child in children] == [parent.info.run_id] * 2


def test_other_settings_are_another_trial(record: str, load: Load) -> None:
    record_stage(load(), "prepare")
    record_stage(load("train_gan.pix2pix.epochs=9"), "prepare")
    assert len(runs(record, stage="trial")) == 2


def test_run_is_named_after_stage_and_arm(record: str, load: Load) -> None:
    record_stage(load(ARM), "train_segmenter")
    (child,) = runs(record, segmenter="light", training_set="real+geometric", cell="0")
    assert child.info.run_name == "train_segmenter real+geometric/light/1.0/0"


def test_settings_of_the_stage_are_parameters(record: str, load: Load) -> None:
    record_stage(load(ARM, "train_segmenter.batch_size=3"), "train_segmenter")
    (child,) = runs(record, stage="train_segmenter")
    assert child.data.params["train_segmenter.batch_size"] == "3"
    assert child.data.params["train_segmenter.segmenter.base_width"] == "4"
    assert not any(key.startswith("train_gan") for key in child.data.params)


def test_versions_of_libraries_are_tags(record: str, load: Load) -> None:
    record_stage(load(), "prepare")
    (child,) = runs(record, stage="prepare")
    assert child.data.tags["version.torch"].startswith("2.")


def test_use_of_the_champion_leaves_the_trial_alone(record: str, load: Load) -> None:
    record_stage(load(), "report")
    for fails in (False, True):
        with suppress(RuntimeError), open_run(load(), "predict", {"commit": "4f2a"}):
            if fails:
                raise RuntimeError("broken scan")
    (trial,) = runs(record, stage="trial")
    assert (trial.info.status, "nephrite.commit" in trial.data.tags) == ("FINISHED", False)
    finished, failed = runs(record, stage="predict")
    assert (finished.info.status, failed.info.status) == ("FINISHED", "FAILED")
    assert not {"nephrite.trial_id", "mlflow.parentRunId", "nephrite.superseded_by"} & set(finished.data.tags)
    assert not any(key.startswith("trial.") for key in finished.data.params)
    assert close_trial(load()) == "FINISHED"


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


def test_error_ends_the_run_as_failed_and_says_why(record: str, load: Load) -> None:
    with pytest.raises(StoreError), open_run(load(), "prepare"):
        raise StoreError("store.json", "is missing", "run 'prepare'")
    (child,) = runs(record, stage="prepare")
    assert child.info.status == "FAILED"
    assert (
        child.data.tags["nephrite.error"]
        == (
            "StoreError: A store, model or score file that is missing, broken or of another version."
            " (nephrite.tracking, line "
        )
        + child.data.tags["nephrite.error"].rpartition(" ")[2]
    )


@pytest.mark.parametrize("signal", [KeyboardInterrupt(), SystemExit(143)])
def test_interruption_ends_the_run_as_killed(record: str, load: Load, signal: BaseException) -> None:
    with pytest.raises(type(signal)), open_run(load(), "prepare"):
        raise signal
    assert [run.info.status for run in runs(record)] == ["KILLED", "KILLED"]


def test_second_execution_supersedes_the_first_of_the_same_arm(record: str, load: Load) -> None:
    other = record_stage(load("arm=real/light/1.0/0"), "evaluate")
    first, second = record_stage(load(ARM), "evaluate"), record_stage(load(ARM), "evaluate")
    superseded = {
        run.info.run_id: run.data.tags.get("nephrite.superseded_by") for run in runs(record, stage="evaluate")
    }
    assert superseded == {other: None, first: second, second: None}


def test_run_made_by_the_caller_is_adopted(record: str, load: Load, monkeypatch: pytest.MonkeyPatch) -> None:
    made = MlflowClient(record).create_run("0").info.run_id
    monkeypatch.setenv("MLFLOW_RUN_ID", made)
    assert record_stage(load(), "prepare") == made
    (parent,) = runs(record, stage="trial")
    assert MlflowClient(record).get_run(made).data.tags["mlflow.parentRunId"] == parent.info.run_id


def test_run_that_another_stage_took_is_not_adopted(record: str, load: Load, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MLFLOW_RUN_ID", MlflowClient(record).create_run("0").info.run_id)
    assert record_stage(load(), "prepare") != record_stage(load(), "train_gan")


def test_further_processes_of_a_training_record_nothing(
    record: str, load: Load, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LOCAL_RANK", "1")
    with open_run(load(), "train_gan") as run:
        assert isinstance(run, SilentRun)
    assert not runs(record)


PROCESS = """
import sys
from pathlib import Path
from nephrite.config import load_config
from nephrite.tracking import open_run
with open_run(load_config(Path(sys.argv[1])), sys.argv[2]):
    pass
"""


@pytest.mark.slow
def test_processes_that_start_together_make_one_database_and_one_parent(
    record: str, root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    new = f"sqlite:///{tmp_path / 'new.db'}"
    monkeypatch.setenv("MLFLOW_TRACKING_URI", new)
    stages = ("acquire", "prepare")
    started = [subprocess.Popen([sys.executable, "-c", PROCESS, root / "params.yaml", stage]) for stage in stages]
    assert [process.wait() for process in started] == [0, 0]
    assert len(runs(new, stage="trial")) == 1
    assert len(runs(new)) == 3


def test_experiment_that_was_deleted_is_named(record: str, load: Load) -> None:
    client = MlflowClient(record)
    client.delete_experiment(client.create_experiment("gone"))
    with pytest.raises(TrackingError, match="experiment 'gone': is deleted; restore it"):
        record_stage(load("tracking.experiment=gone"), "prepare")


def test_broken_artifact_store_shows_before_the_stage(record: str, load: Load, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    MlflowClient(record).create_experiment("broken", artifact_location=str(tmp_path / "file" / "below"))
    with pytest.raises(TrackingUnreachableError, match="takes no files"):
        record_stage(load("tracking.experiment=broken"), "prepare")
    assert [run.info.status for run in runs(record, stage="prepare")] == ["FAILED"]


@pytest.fixture
def closed_port() -> int:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        return int(taken.getsockname()[1])


@pytest.fixture
def mute_port() -> Iterator[int]:
    """A port that takes connections and never answers."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield int(server.getsockname()[1])


def test_closed_port_is_unreachable_at_once(closed_port: int, load: Load, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"http://user:secret@127.0.0.1:{closed_port}")
    start = time.monotonic()
    with pytest.raises(TrackingUnreachableError) as caught:
        record_stage(load(), "prepare")
    line = str(caught.value)
    assert line.startswith(f"http://127.0.0.1:{closed_port}: the record of runs does not answer (")
    assert "Connection refused); start the server, mend MLFLOW_TRACKING_URI, or unset it" in line
    assert "secret" not in line
    assert time.monotonic() - start < 5  # MLflow alone would retry for minutes


def test_mute_server_is_unreachable(mute_port: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("nephrite.tracking_address.PATIENCE", 1)
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"http://127.0.0.1:{mute_port}")
    with pytest.raises(TrackingUnreachableError, match=r"does not answer \(Read timed out\)"):
        connect()


def test_folder_of_files_is_no_record(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", str(tmp_path))
    with pytest.raises(TrackingUnreachableError, match="does not answer"):
        connect()


def killed(config: Config, stage: str, error: BaseException) -> None:
    """Record a stage that ends by an error."""

    def attempt() -> None:
        with open_run(config, stage) as run:
            run.metrics({"loss": 2.0}, step=1)
            raise error

    with pytest.raises(type(error)):
        attempt()


def test_attempt_after_a_kill_goes_on_in_the_same_run(record: str, load: Load) -> None:
    killed(load(ARM), "train_segmenter", SystemExit(143))
    with open_run(load(ARM), "train_segmenter") as run:
        run.metrics({"loss": 1.0}, step=2)
    (child,) = runs(record, stage="train_segmenter")
    assert (child.info.run_id, child.info.status) == (run.id, "FINISHED")
    assert [m.step for m in MlflowClient(record).get_metric_history(child.info.run_id, "loss")] == [1, 2]


def test_attempt_after_a_failure_is_a_run_of_its_own(record: str, load: Load) -> None:
    killed(load(ARM), "train_segmenter", KeyError("defect"))
    record_stage(load(ARM), "train_segmenter")
    assert [run.info.status for run in runs(record, stage="train_segmenter")] == ["FAILED", "FINISHED"]


@pytest.mark.parametrize(("kubeflow_run", "count"), [("one", 1), ("other", 2)])
def test_pod_that_vanished_is_followed_by_the_retry_of_its_own_pipeline(
    record: str, load: Load, monkeypatch: pytest.MonkeyPatch, kubeflow_run: str, count: int
) -> None:
    monkeypatch.setenv("NEPHRITE_KUBEFLOW_RUN", "one")
    first = record_stage(load(), "prepare")
    MlflowClient(record).update_run(first, status="RUNNING")
    monkeypatch.setenv("NEPHRITE_KUBEFLOW_RUN", kubeflow_run)
    record_stage(load(), "prepare")
    assert len(runs(record, stage="prepare")) == count


def test_run_and_trial_lead_to_pipeline_image_commit_and_data(
    record: str, load: Load, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in (("COMMIT", "4f2a"), ("KUBEFLOW_RUN", "kfp-1"), ("POD", "pod-1")):
        monkeypatch.setenv(f"NEPHRITE_{name}", value)
    with open_run(load(), "prepare", {"image": "nephrite@sha256:1", "data": "abc.dir"}):
        pass
    known = {"kubeflow_run": "kfp-1", "image": "nephrite@sha256:1", "data": "abc.dir"}
    assert len(runs(record, stage="trial", **known)) == 1
    (child,) = runs(record, pod="pod-1", **known)
    assert child.data.tags["mlflow.source.git.commit"] == "4f2a"


@pytest.mark.parametrize(
    ("left", "ended", "status"),
    [
        ("FINISHED", "FINISHED", "FINISHED"),
        ("RUNNING", "KILLED", "FAILED"),  # its pod vanished, and no retry came
        ("FAILED", "FAILED", "FAILED"),  # a promotion that failed is no finished trial, though the report is there
    ],
)
def test_closing_the_trial_ends_what_a_cluster_left_open(
    record: str, load: Load, left: str, ended: str, status: str
) -> None:
    client = MlflowClient(record)
    record_stage(load(), "report")
    promotion = record_stage(load(), "promote")
    client.update_run(promotion, status=left)
    assert close_trial(load()) == status
    (trial,) = runs(record, stage="trial")
    assert [client.get_run(run).info.status for run in (promotion, trial.info.run_id)] == [ended, status]


def test_trial_without_its_report_has_failed(record: str, load: Load) -> None:
    record_stage(load(), "evaluate")
    assert close_trial(load()) == "FAILED"


def test_stage_that_failed_and_was_repeated_does_not_fail_the_trial(record: str, load: Load) -> None:
    killed(load(), "report", KeyError("defect"))
    record_stage(load(), "report")
    assert close_trial(load()) == "FINISHED"


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


def test_run_of_a_killed_process_ends_at_the_next_start_and_goes_on(record: str, load: Load) -> None:
    client = MlflowClient(record)
    orphan, other = record_stage(load(), "prepare"), record_stage(load(ARM), "evaluate")
    for run_id, process in ((orphan, "1 1000"), (other, this_process())):
        client.update_run(run_id, status="RUNNING")
        client.set_tag(run_id, "nephrite.process", process)
    record_stage(load(), "acquire")
    assert [client.get_run(run_id).info.status for run_id in (orphan, other)] == ["KILLED", "RUNNING"]
    (parent,) = runs(record, stage="trial")
    assert parent.info.status == "KILLED"
    assert record_stage(load(), "prepare") == orphan  # an interrupted run goes on
    assert client.get_run(orphan).info.status == "FINISHED"


def test_run_of_another_machine_is_left_alone(record: str, load: Load) -> None:
    client = MlflowClient(record)
    run_id = record_stage(load(), "prepare")
    client.update_run(run_id, status="RUNNING")
    client.set_tag(run_id, "nephrite.process", "1 1000")
    client.set_tag(run_id, "nephrite.host", "another")
    record_stage(load(), "acquire")
    assert client.get_run(run_id).info.status == "RUNNING"


def test_record_that_fails_under_way_is_sent_later(
    record: str, load: Load, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object, **__: object) -> None:
        raise MlflowException("API request failed with exception: Connection refused")

    (tmp_path / "card.json").write_text("{}")
    with open_run(load(ARM), "train_segmenter", output=tmp_path / "segmenter") as run, monkeypatch.context() as outage:
        for call in ("log_batch", "log_artifact", "set_terminated"):
            outage.setattr(MlflowClient, call, fail)
        run.metrics({"dice": 0.5}, step=3)
        run.artifact(tmp_path / "card.json")
    assert find_spools(tmp_path) == [tmp_path / "segmenter.record"]
    assert send_records(find_spools(tmp_path)) == 1
    client = MlflowClient(record)
    sent = client.get_run(str(run.id))
    assert (sent.info.status, sent.data.metrics) == ("FINISHED", {"dice": 0.5})
    assert [file.path for file in client.list_artifacts(str(run.id))] == ["card.json", "settings.yaml"]
    assert find_spools(tmp_path) == []


def test_server_that_starts_late_is_waited_for(load: Load, monkeypatch: pytest.MonkeyPatch, record: str) -> None:
    found, answers = connect(), iter([TrackingUnreachableError("http://mlflow", "does not answer", "start it"), None])

    def late() -> MlflowClient:
        if error := next(answers):
            raise error
        return found

    monkeypatch.setattr("nephrite.tracking.tracking_uri", lambda: "http://mlflow")
    monkeypatch.setattr("nephrite.tracking.connect", late)
    record_stage(load("tracking.patience=20"), "prepare")
    assert len(runs(record, stage="prepare")) == 1


def test_wrong_password_is_told_at_once(load: Load, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[int] = []

    def refuse() -> MlflowClient:
        asked.append(1)
        raise TrackingUnreachableError("http://mlflow", "failed with error code 401 != 200", "mend the password")

    monkeypatch.setattr("nephrite.tracking.tracking_uri", lambda: "http://mlflow")
    monkeypatch.setattr("nephrite.tracking.connect", refuse)
    with pytest.raises(TrackingUnreachableError, match="401"):
        record_stage(load("tracking.patience=20"), "prepare")
    assert asked == [1]


def test_stage_that_fails_without_a_server_leaves_no_spool(
    record: str, load: Load, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object, **__: object) -> None:
        raise MlflowException("API request failed with exception: Connection refused")

    def stage() -> None:
        with open_run(load(), "prepare", output=tmp_path / "pairs"):
            for call in ("log_batch", "set_terminated"):
                monkeypatch.setattr(MlflowClient, call, fail)
            raise StoreError("pairs", "is broken", "run 'prepare' again")

    with pytest.raises(StoreError):
        stage()
    assert find_spools(tmp_path) == []
