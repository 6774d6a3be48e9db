"""Where a run comes from."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from nephrite.config import Config
from nephrite.errors import ConfigError, StoreError
from nephrite.lineage import (
    CLUSTER_VARIABLES,
    cluster_facts,
    dvc_hash,
    flatten,
    library_versions,
    parse_lineage,
    source_listing,
    stage_settings,
    trial_id,
)

Load = Callable[..., Config]


@pytest.fixture(autouse=True)
def _no_trial_from_outside(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("NEPHRITE_TRIAL", raising=False)


@pytest.mark.parametrize(
    "override",
    [
        "arm=real/light/1.0/0",
        "compute.precision=bf16-mixed",
        "tracking.experiment=x",
        "prepare.workers=7",
        "publish.remote=s3://a/b",
        "predict.alias=challenger",
    ],
)
def test_what_has_no_effect_on_results_keeps_the_trial(load: Load, override: str) -> None:
    assert trial_id(load(override)) == trial_id(load())


@pytest.mark.parametrize("override", ["trial.seed=8", "acquire.phantom.seed=3", "train_segmenter.epochs=9"])
def test_what_changes_results_is_another_trial(load: Load, override: str) -> None:
    assert trial_id(load(override)) != trial_id(load())


def test_new_files_in_the_source_folder_are_another_trial(load: Load, tmp_path: Path) -> None:
    config = load("acquire.source=folder", f"acquire.folder.path={tmp_path}")
    before = trial_id(config)
    (tmp_path / "case").mkdir()
    (tmp_path / "case" / "imaging.nii.gz").write_bytes(b"scan")
    assert trial_id(config) != before


def test_new_scans_without_labels_are_another_trial(load: Load, tmp_path: Path) -> None:
    config = load(f"acquire.unlabeled={tmp_path}")
    before = trial_id(config)
    (tmp_path / "scan.nii.gz").write_bytes(b"scan")
    assert trial_id(config) != before


def test_a_copy_of_the_source_folder_is_the_same_trial_made_at_another_time(load: Load, tmp_path: Path) -> None:
    config = load("acquire.source=folder", f"acquire.folder.path={tmp_path}")
    (tmp_path / "labels.nii").write_bytes(b"one")
    before = [source_listing(config, times=times) for times in (False, True)]
    os.utime(tmp_path / "labels.nii", (1, 1))
    after = [source_listing(config, times=times) for times in (False, True)]
    assert after[0] == before[0]
    assert after[1] != before[1]


def test_trial_can_be_given_from_outside(load: Load, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NEPHRITE_TRIAL", "abc")
    assert trial_id(load()) == "abc"


LOCK = """
schema: '2.0'
stages:
  prepare:
    cmd: nephrite prepare
    outs:
    - {path: data/prepared, hash: md5, md5: abc.dir, size: 9, nfiles: 3}
"""


@pytest.mark.parametrize(
    ("path", "expected"), [("data/prepared", "abc.dir"), ("data/prepared/patients/a", "abc.dir"), ("data/raw", None)]
)
def test_hash_is_that_of_the_output_that_holds_the_path(tmp_path: Path, path: str, expected: str | None) -> None:
    (tmp_path / "dvc.lock").write_text(LOCK, encoding="utf-8")
    assert dvc_hash(tmp_path / path, tmp_path / "dvc.lock") == expected


def test_without_dvc_there_is_no_hash(tmp_path: Path) -> None:
    assert dvc_hash(tmp_path, tmp_path / "dvc.lock") is None


def test_versions_name_this_package_and_torch() -> None:
    assert {"nephrite", "torch", "numpy", "mlflow"} <= library_versions().keys()


def test_settings_of_an_arm_name_its_segmenter_only(load: Load) -> None:
    shown = stage_settings(load("arm=real/light/1.0/0"), "train_segmenter")
    assert shown.keys() == {"trial", "train_segmenter"}
    names = flatten(shown)
    assert names["train_segmenter.segmenter.kind"] == "unet"
    assert not any(name.startswith("train_segmenter.segmenters") for name in names)


def test_nested_settings_get_dotted_names() -> None:
    assert flatten({"a": {"b": {"c": 1}, "d": [1, 2]}, "e": None}) == {"a.b.c": "1", "a.d": "[1, 2]", "e": "None"}


def test_pod_is_known_by_what_the_pipeline_sets(monkeypatch: pytest.MonkeyPatch) -> None:
    for variable in CLUSTER_VARIABLES.values():
        monkeypatch.delenv(variable, raising=False)
    assert cluster_facts() == {}
    monkeypatch.setenv("NEPHRITE_POD", "pod-7")
    assert cluster_facts() == {"pod": "pod-7"}


@pytest.mark.parametrize("text", ["{", "[1]", '{"commit": 4}'])
def test_lineage_that_is_no_object_of_texts_is_refused(text: str) -> None:
    with pytest.raises(ConfigError, match="is not a JSON object of texts"):
        parse_lineage(text)


@pytest.mark.parametrize(
    "text", ["{", "3", "stages: 3", "stages: {a: {outs: 3}}", "stages: {a: {outs: [{md5: 3}]}}", "[1]"]
)
def test_a_lock_that_dvc_did_not_write_is_one_line(text: str, tmp_path: Path) -> None:
    (tmp_path / "dvc.lock").write_text(text)
    with pytest.raises(StoreError, match=r"dvc\.lock: .*; restore it, or delete it and run 'dvc repro'"):
        dvc_hash(tmp_path, tmp_path / "dvc.lock")


def test_a_changed_set_of_another_program_is_another_trial(load: Load, tmp_path: Path) -> None:
    config = load(f"acquire.synthetic={{maisi: {{path: {tmp_path}}}}}")
    before = trial_id(config)
    (tmp_path / "a_image.nii.gz").write_bytes(b"scan")
    assert trial_id(config) != before
