"""Settings on their way to the cluster, read by the package itself, and what no cluster could run."""

from __future__ import annotations

import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

from nephrite.config import Config
from nephrite_kubeflow.cluster import CLUSTER_FILE, load_cluster
from nephrite_kubeflow.errors import ClusterError, ExperimentError
from nephrite_kubeflow.experiment import (
    MOST_PAINTERS,
    Experiment,
    check_fit,
    check_image,
    check_scans,
    find_commit,
    read_experiment,
    read_settings,
)

PARAMS = Path(__file__).resolve().parents[2] / "params.yaml"
GPU_FILE = CLUSTER_FILE.with_name("gpu.yaml")


def with_compute(settings: dict[str, Any], **compute: object) -> Experiment:
    """The settings with other devices."""
    return Experiment("", {**settings, "compute": {**settings["compute"], **compute}})


def test_package_resolves_the_settings_and_their_arms() -> None:
    read = read_experiment(PARAMS, ["trial.cells=[0, 1]", "train_gan.pix2pix.epochs=3"])
    assert read.settings["train_gan"]["pix2pix"]["epochs"] == 3
    assert yaml.safe_load(read.text) == read.settings
    assert len(read.real_arms) == len(read.synthetic_arms) == 2 * 3 * 2
    assert (read.real_arms[0], read.synthetic_arms[-1]) == ("real/light/1.0/0", "real+synthetic+geometric/fpn/1.0/1")
    assert [painting.painter for painting in read.paintings] == ["pix2pix/1.0/0", "pix2pix/1.0/1"]


def test_arms_and_painters_are_those_of_the_package(grown: dict[str, Any]) -> None:
    ours, trial = Experiment("", grown), Config.model_validate(grown).trial
    assert {*ours.real_arms, *ours.synthetic_arms} == {str(arm) for arm in trial.arms}
    assert [painting.painter for painting in ours.paintings] == [str(painter) for painter in trial.painters]
    painted = {arm: painting.painter for painting in ours.paintings for arm in painting.arms}
    assert painted == {str(arm): str(painter) for arm in trial.arms if (painter := trial.painter(arm))}


def test_refusal_of_the_package_is_handed_on_with_its_remedy() -> None:
    with pytest.raises(ExperimentError, match=r"trial\.seeed: unknown key; did you mean 'seed'\?"):
        read_experiment(PARAMS, ["trial.seeed=3"])


def test_settings_of_another_version_are_refused(tmp_path: Path, settings: dict[str, Any]) -> None:
    old = tmp_path / "old.yaml"
    old.write_text(yaml.safe_dump({name: told for name, told in settings.items() if name != "compute"}))
    with pytest.raises(ExperimentError, match="compute: is missing; add it"):
        read_experiment(old)


def test_folder_is_refused_since_no_pod_sees_it() -> None:
    with pytest.raises(ExperimentError, match="no pod can see; push the folder with 'nephrite publish'"):
        read_experiment(PARAMS, ["acquire.source=folder", "acquire.folder.path=/scans"])


def test_unlabelled_scans_of_this_machine_are_refused_since_no_pod_sees_them() -> None:
    told = "unlabelled: is the folder '/scans', which no pod can see; run 'nephrite acquire' here, push its output"
    with pytest.raises(ExperimentError, match=told):
        read_experiment(PARAMS, ["acquire.unlabelled=/scans"])


@pytest.mark.parametrize(
    ("cells", "told"),
    [
        (MOST_PAINTERS + 1, f"makes {MOST_PAINTERS + 1} painters; one pipeline takes"),
        (20, "makes 240 arms; one pipeline"),
    ],
)
def test_trial_that_no_cluster_stores_is_refused(cells: int, told: str) -> None:
    with pytest.raises(ExperimentError, match=f"trial: {told} .*; name fewer synthesizers, label fractions or cells"):
        read_experiment(PARAMS, [f"trial.cells={list(range(cells))}"])


def test_chosen_arms_become_a_trial_of_their_own(grown: dict[str, Any], tmp_path: Path) -> None:
    (tmp_path / "grown.yaml").write_text(yaml.safe_dump(grown))
    sets = ("real+geometric", "real+other+geometric")
    chosen = [f"{name}/{net}/0.25/{cell}" for name in sets for net in ("light", "fpn") for cell in (1, 0)]
    read = read_experiment(tmp_path / "grown.yaml", arms=chosen)
    assert {*read.real_arms, *read.synthetic_arms} == set(chosen)
    assert [painting.painter for painting in read.paintings] == ["other/0.25/1", "other/0.25/0"]
    assert read.settings["trial"]["training_sets"]["synthetic"][0]["share"] == 0.5


def test_arms_without_synthetic_slices_need_no_painter() -> None:
    read = read_experiment(PARAMS, arms=["real+geometric/fpn/1.0/0", "real/fpn/1.0/0"])
    assert (len(read.real_arms), read.paintings, read.settings["trial"]["synthesizers"]) == (2, [], [])


def test_one_set_of_each_kind_is_a_trial() -> None:
    read = read_experiment(PARAMS, arms=["real+geometric/fpn/1.0/0", "real+synthetic/fpn/1.0/0"])
    assert (read.real_arms, read.synthetic_arms) == (["real+geometric/fpn/1.0/0"], ["real+synthetic/fpn/1.0/0"])
    assert read.settings["trial"]["segmenters"] == ["fpn"]


@pytest.mark.parametrize(
    ("arms", "told"),
    [
        (["real/huge/1.0/0"], "--arm real/huge/1.0/0: is no arm of the trial; choose from real/light/1.0/0, "),
        (
            ["real+geometric/fpn/1.0/0", "real+synthetic/light/1.0/0"],
            "2 arms are no grid of 2 sets x 2 segmenters x 1 fractions x 1 cells",
        ),
        (["real/fpn/1.0/0", "real+synthetic/fpn/1.0/0"], "real+geometric"),
    ],
)
def test_unknown_arms_or_arms_that_make_no_trial_are_refused(arms: list[str], told: str) -> None:
    with pytest.raises(ExperimentError) as error:
        read_experiment(PARAMS, arms=arms)
    assert told in str(error.value)


def test_package_that_cannot_be_run_is_one_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    broken = subprocess.CompletedProcess("", 1, "", "Traceback\nModuleNotFoundError: No module named 'nephrite'")
    monkeypatch.setattr(subprocess, "run", lambda *_, **__: broken)
    with pytest.raises(ExperimentError, match="cannot be read: ModuleNotFoundError: No module named 'nephrite'"):
        read_experiment(PARAMS)


def test_gpus_without_use_are_refused(settings: dict[str, Any]) -> None:
    with pytest.raises(ClusterError, match=r"gpu\.yaml: asks for GPUs, but compute\.accelerator is 'cpu'"):
        check_fit(with_compute(settings, accelerator="cpu"), load_cluster(GPU_FILE), GPU_FILE)


@pytest.mark.parametrize(
    ("file", "accelerator", "devices", "told"),
    [
        (CLUSTER_FILE, "gpu", 1, "gives 0 accelerators, .* want 1"),
        (CLUSTER_FILE, "gpu", "auto", "gives 0 accelerators, .* want 1"),
        (GPU_FILE, "gpu", 4, "gives 1 accelerators, .* want 4"),
        (GPU_FILE, "auto", 2, "gives 1 accelerators, .* want 2"),
    ],
)
def test_gpus_that_are_not_there_are_refused(
    settings: dict[str, Any], file: Path, accelerator: str, devices: Any, told: str
) -> None:
    wanted = with_compute(settings, accelerator=accelerator, devices=devices)
    with pytest.raises(ClusterError, match=f"steps.train_gan: {told}"):
        check_fit(wanted, load_cluster(file), file)


@pytest.mark.parametrize(
    ("file", "accelerator"), [(CLUSTER_FILE, "auto"), (CLUSTER_FILE, "cpu"), (GPU_FILE, "gpu"), (GPU_FILE, "auto")]
)
def test_devices_that_fit_are_accepted(settings: dict[str, Any], file: Path, accelerator: str) -> None:
    check_fit(with_compute(settings, accelerator=accelerator), load_cluster(file), file)


def test_prediction_takes_one_gpu_however_many_train(settings: dict[str, Any]) -> None:
    several = with_compute(settings, accelerator="gpu", devices=4)
    check_fit(several, load_cluster(GPU_FILE), GPU_FILE, ["predict"])
    with pytest.raises(ClusterError, match=r"steps\.predict: gives 0 accelerators, .* want 1 "):
        check_fit(several, load_cluster(CLUSTER_FILE), CLUSTER_FILE, ["predict"])


def test_settings_alone_need_no_trial_and_no_data_that_pods_see() -> None:
    read = read_settings(PARAMS, ["acquire.source=folder", "acquire.folder.path=/scans"])
    assert read.settings["acquire"]["source"] == "folder"


@pytest.mark.parametrize("scans", ["s3://bucket/a", "s3://my.bucket-2/a/b", "s3://bucket/a/"])
def test_folder_of_an_object_store_is_accepted(scans: str) -> None:
    assert check_scans(scans) == scans.rstrip("/")


@pytest.mark.parametrize(
    "scans", ["/data/scans", "gs://bucket/a", "s3://bucket", "s3:///a", "s3://b/a?b=1", "s3://B_/a"]
)
def test_folder_elsewhere_is_refused(scans: str) -> None:
    with pytest.raises(ExperimentError, match="is no s3:// folder; copy the scans into an object store"):
        check_scans(scans)


def test_image_needs_a_digest_unless_told_otherwise() -> None:
    check_image("nephrite@sha256:" + "0" * 64, allow_tag=False)
    check_image("localhost/nephrite:latest", allow_tag=True)
    for image in ("localhost/nephrite:latest", "nephrite@sha256:123", "nephrite"):
        with pytest.raises(ExperimentError, match="has no digest"):
            check_image(image, allow_tag=False)


def test_data_version_is_the_revision_or_changes_with_the_settings(settings: dict[str, Any]) -> None:
    def version(**acquire: object) -> str:
        return Experiment("", {"acquire": {**settings["acquire"], **acquire}}).data_version

    assert version(source="kits19") == f"kits19@{settings['acquire']['kits19']['revision']}"
    assert version(source="dvc", dvc={"version": "abc.dir"}) == "dvc@abc.dir"
    assert version().startswith("phantom@")
    assert version(phantom={"seed": 1}) != version(phantom={"seed": 2})


def test_commit_says_whether_files_differ_from_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("GIT_CEILING_DIRECTORIES", str(tmp_path.parent))
    monkeypatch.delenv("NEPHRITE_COMMIT", raising=False)
    assert find_commit() == "unknown"
    identity = ["-c", "user.name=t", "-c", "user.email=t@example.org"]
    for words in (["init", "-q"], [*identity, "commit", "-q", "--allow-empty", "-m", "first"]):
        subprocess.run(["git", *words], check=True)
    commit = find_commit()
    assert len(commit) == 40
    (tmp_path / "new.txt").touch()
    assert find_commit() == f"{commit}-dirty"
