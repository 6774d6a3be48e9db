"""Runs as MLflow shows them, in a database of the test's own."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import pytest
from mlflow.exceptions import MlflowException
from mlflow.tracking import MlflowClient

from nephrite.config import Config
from nephrite.errors import ProgramError, StoreError, TrackingError, TrackingUnreachableError
from nephrite.processes import this_process
from nephrite.recording import SilentRun
from nephrite.spool import find_spools
from nephrite.tracking import close_trial, open_apart, open_run, send_records
from tests.conftest import CAPSTONE, record_stage, runs

Load = Callable[..., Config]
ARM = "arm=real+geometric/light/1.0/0"


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


def test_error_ends_the_run_as_failed_and_says_why(record: str, load: Load) -> None:
    with pytest.raises(ProgramError), open_run(load(), "prepare"):
        raise ProgramError("Doe", "wrote nothing", "mend it")
    (child,) = runs(record, stage="prepare")
    assert child.info.status == "FAILED"
    assert child.data.tags["nephrite.error"].startswith("ProgramError: ")
    assert "(nephrite.tracking, line " in child.data.tags["nephrite.error"]


def refused(config: Config, *calls: str) -> None:
    """A stage that records some things and then refuses its input."""
    fail(config, StoreError("store.json", "is missing", "run 'prepare'"), *calls)


def fail(config: Config, error: BaseException, *calls: str) -> None:
    """A stage that records some things and then stops."""
    with suppress(type(error)), open_run(config, "prepare") as run:
        if "metrics" in calls:
            run.metrics({"slices": 3}, step=0)
        raise error


def test_refused_input_leaves_no_run_and_no_trial(record: str, load: Load) -> None:
    refused(load())
    assert runs(record) == []


def test_refused_input_leaves_the_other_stages_of_the_trial(record: str, load: Load) -> None:
    kept = record_stage(load(), "acquire")
    refused(load())
    assert {run.info.run_id for run in runs(record, stage="acquire")} == {kept}
    assert len(runs(record)) == 2  # with the trial


def test_a_stage_that_recorded_something_before_it_failed_stays(record: str, load: Load) -> None:
    refused(load(), "metrics")
    assert [run.info.status for run in runs(record)] == ["FAILED", "FAILED"]


def test_a_killed_run_that_goes_on_and_refuses_stays(record: str, load: Load) -> None:
    fail(load(), KeyboardInterrupt(), "metrics")
    refused(load())
    (child,) = runs(record, stage="prepare")
    assert (child.info.status, child.data.metrics) == ("FAILED", {"slices": 3})


def test_a_run_of_a_pipeline_stays_where_its_input_is_refused(
    record: str, load: Load, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("NEPHRITE_KUBEFLOW_RUN", "7")
    refused(load())
    assert [run.info.status for run in runs(record)] == ["FAILED", "FAILED"]


def test_the_experiment_opens_as_one_of_trainings(record: str, load: Load) -> None:
    client = MlflowClient(record)
    for name in ("made", "found"):
        if name == "found":
            client.create_experiment(name)
        record_stage(load(f"tracking.experiment={name}"), "prepare")
        experiment = client.get_experiment_by_name(name)
        assert experiment
        assert experiment.tags["mlflow.experimentKind"] == "custom_model_development"


def test_what_an_arm_is_stands_among_its_parameters(record: str, load: Load) -> None:
    record_stage(load(ARM), "evaluate")
    (child,) = runs(record, stage="evaluate")
    parts = {"training_set": "real+geometric", "segmenter": "light", "fraction": "1.0", "replicate": "0"}
    assert {name: child.data.params[name] for name in parts} == parts


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
    started = [subprocess.Popen([sys.executable, "-c", PROCESS, CAPSTONE, stage]) for stage in stages]
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


def test_a_command_that_belongs_to_no_trial_has_a_run_of_its_own(record: str, tmp_path: Path) -> None:
    with open_apart("judge", {"judge": {"patients": 3}}, tmp_path / "out", "nephrite") as run:
        run.tags({"verdict": "helps"})
    with suppress(StoreError), open_apart("judge", {}, tmp_path / "out", "nephrite"):
        raise StoreError("Doe.csv", "is broken", "mend it")
    with suppress(ProgramError), open_apart("judge", {}, tmp_path / "out", "nephrite"):
        raise ProgramError("Doe.csv", "is broken", "mend it")
    finished, failed = sorted(runs(record, stage="judge"), key=lambda found: found.info.start_time)
    assert (finished.info.status, failed.info.status) == ("FINISHED", "FAILED")
    assert finished.data.params == {"judge.patients": "3"}
    assert finished.data.tags["nephrite.verdict"] == "helps"
    assert "mlflow.parentRunId" not in finished.data.tags
    assert "Doe" not in str(failed.data.tags)
    assert not runs(record, stage="trial")
