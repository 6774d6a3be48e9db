"""What the runs of arms kept, fetched into the layout of one machine."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from nephrite.config import Config
from nephrite.errors import TrackingError
from nephrite.run_artifacts import fetch_arms
from nephrite.tracking import open_run

Load = Callable[..., Config]
ARMS = ("real/light/1.0/0", "real+geometric/fpn/1.0/0")


def kept(load: Load, arm: str, folder: Path, *, stage: str = "evaluate", content: str = "scores") -> str:
    """A run of one arm that kept a file; its id."""
    with open_run(load(f"arm={arm}"), stage) as run:
        file = folder / "any-name"
        file.write_text(f"{content} of {arm}")
        run.artifact(file, folder=content)
        assert run.id
        return run.id


def test_scores_of_all_arms_lie_as_on_one_machine(record: str, load: Load, tmp_path: Path) -> None:
    ids = [kept(load, arm, tmp_path) for arm in ARMS]
    found = fetch_arms("scores", f"runs:{json.dumps(ids[:1])}{json.dumps(ids[1:])}", tmp_path / "scores", load())
    assert {str(path.relative_to(found)): path.read_text() for path in found.rglob("*.json")} == {
        f"{arm}.json": f"scores of {arm}" for arm in ARMS
    }


def test_segmenter_is_a_folder(record: str, load: Load, tmp_path: Path) -> None:
    run_id = kept(load, ARMS[0], tmp_path, stage="train_segmenter", content="segmenter")
    found = fetch_arms("segmenters", f"runs:{run_id}", tmp_path / "segmenters", load())
    assert (found / ARMS[0] / "any-name").read_text() == f"segmenter of {ARMS[0]}"


def test_label_maps_are_a_folder_and_only_some_runs_keep_them(record: str, load: Load, tmp_path: Path) -> None:
    ids = [kept(load, ARMS[0], tmp_path, content="predictions"), kept(load, ARMS[1], tmp_path)]
    found = fetch_arms("predictions", f"runs:{json.dumps(ids)}", tmp_path / "predictions", load())
    assert [path.relative_to(found) for path in found.rglob("any-name")] == [Path(ARMS[0], "any-name")]
    assert fetch_arms("predictions", f"runs:{ids[1]}", tmp_path / "none", load()).is_dir()


def test_run_of_another_stage_is_refused(record: str, load: Load, tmp_path: Path) -> None:
    run_id = kept(load, ARMS[0], tmp_path)
    with pytest.raises(TrackingError, match=f"run {run_id}: is a run of 'evaluate', not of 'train_segmenter'"):
        fetch_arms("segmenters", f"runs:{run_id}", tmp_path / "segmenters", load())


def test_run_that_kept_nothing_is_named(record: str, load: Load, tmp_path: Path) -> None:
    with open_run(load(f"arm={ARMS[0]}"), "evaluate") as run:
        pass
    with pytest.raises(TrackingError, match=f"run {run.id}: its 'scores' cannot be fetched"):
        fetch_arms("scores", f"runs:{run.id}", tmp_path / "scores", load())


@pytest.mark.parametrize(("text", "finding"), [("runs:[]", "names no run"), (f"runs:{'a' * 32}", "MLflow refused")])
def test_wrong_run_is_refused(record: str, load: Load, tmp_path: Path, text: str, finding: str) -> None:
    with pytest.raises(TrackingError, match=finding):
        fetch_arms("scores", text, tmp_path / "scores", load())


def test_arms_of_other_pipelines_of_the_trial_are_found_by_the_trial(record: str, load: Load, tmp_path: Path) -> None:
    own = kept(load, ARMS[0], tmp_path)
    kept(load, ARMS[0], tmp_path)  # a later one, which the given run goes before
    for text in ("old", "new"):
        with open_run(load(f"arm={ARMS[1]}"), "evaluate") as run:
            (tmp_path / "file").write_text(text)
            run.artifact(tmp_path / "file", folder="scores")
    with pytest.raises(KeyError), open_run(load(f"arm={ARMS[1]}"), "evaluate"):  # the newest one failed
        raise KeyError("failed")
    found = fetch_arms("scores", f'trial:["{own}"]', tmp_path / "scores", load())
    assert {str(path.relative_to(found)): path.read_text() for path in found.rglob("*.json")} == {
        f"{ARMS[0]}.json": f"scores of {ARMS[0]}",
        f"{ARMS[1]}.json": "new",
    }


def test_runs_of_other_trials_are_left_alone(record: str, load: Load, tmp_path: Path) -> None:
    kept(load, ARMS[0], tmp_path)
    found = fetch_arms("scores", "trial:[]", tmp_path / "scores", load("trial.name=another", "evaluate.batch_size=3"))
    assert not list(found.rglob("*.json")) if found.exists() else True
