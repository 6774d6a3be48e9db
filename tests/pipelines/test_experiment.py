"""Settings on their way to the cluster, read by the package itself, and what no cluster could run."""

from __future__ import annotations

import math
from pathlib import Path

import pytest

from nephrite.config import Config, load_config
from nephrite.errors import ConfigError
from nephrite_kubeflow import experiment
from nephrite_kubeflow.cluster import CLUSTER_FILE, load_cluster
from nephrite_kubeflow.errors import ClusterError, ExperimentError
from nephrite_kubeflow.experiment import (
    MOST_ARMS,
    MOST_PAINTERS,
    Experiment,
    check_apart,
    check_fit,
    check_image,
    check_scans,
    read_experiment,
)

PARAMS = Path(__file__).resolve().parents[2] / "configs" / "capstone-phantom.yaml"
GPU_FILE = CLUSTER_FILE.with_name("gpu.yaml")


def with_compute(**compute: object) -> Config:
    """The project's settings with other devices."""
    return load_config(PARAMS, [f"compute.{name}={value}" for name, value in compute.items()])


def test_settings_are_read_with_their_arms() -> None:
    read = read_experiment(PARAMS, ["trial.cells=[0, 1]", "train_gan.pix2pix.epochs=3"])
    assert read.config.train_gan["pix2pix"].epochs == 3
    assert load_config(PARAMS, text=read.text) == read.config
    assert len(read.real_arms) == len(read.synthetic_arms) == 2 * 3 * 2
    assert (read.real_arms[0], read.synthetic_arms[-1]) == ("real/light/1.0/0", "real+synthetic+geometric/fpn/1.0/1")
    assert [painting.painter for painting in read.paintings] == ["pix2pix/1.0/0", "pix2pix/1.0/1"]


def test_every_arm_stands_once_and_under_its_painter(grown: list[str]) -> None:
    ours = Experiment(load_config(PARAMS, grown))
    trial = ours.config.trial
    assert sorted([*ours.real_arms, *ours.synthetic_arms]) == sorted(str(arm) for arm in trial.arms)
    assert [painting.painter for painting in ours.paintings] == [str(painter) for painter in trial.painters]
    painted = {arm: painting.painter for painting in ours.paintings for arm in painting.arms}
    assert painted == {str(arm): str(painter) for arm in trial.arms if (painter := trial.painter(arm))}


def test_wrong_settings_are_refused_with_their_remedy() -> None:
    with pytest.raises(ConfigError, match=r"trial\.seeed: unknown key; did you mean 'seed'\?"):
        read_experiment(PARAMS, ["trial.seeed=3"])


def test_folder_is_refused_since_no_pod_sees_it() -> None:
    with pytest.raises(ExperimentError, match="no pod can see; push the folder with 'nephrite publish'"):
        read_experiment(PARAMS, ["acquire.source=folder", "acquire.folder.path=/scans"])


def test_a_split_file_of_this_machine_is_refused_since_no_pod_sees_it() -> None:
    with pytest.raises(ExperimentError, match=r"prepare\.split\.file: is the file 'mine\.csv', which no pod can see"):
        read_experiment(PARAMS, ["prepare.split.file=mine.csv"])


def test_a_table_of_patients_of_this_machine_is_refused_and_a_rule_is_not() -> None:
    with pytest.raises(
        ExperimentError, match=r"acquire\.patients\.table: is the file 'mine\.csv', which no pod can see"
    ):
        read_experiment(PARAMS, ["acquire.patients.table=mine.csv"])
    assert read_experiment(PARAMS, ["acquire.patients.rule=case_000(..)"]).config.acquire.patients.rule


@pytest.mark.parametrize("name", ["unlabeled", "lesion_free", "external.path", "synthetic.maisi.path"])
def test_further_scans_of_this_machine_are_refused_since_no_pod_sees_them(name: str) -> None:
    told = f"{name}: is the folder '/scans', which no pod can see; run 'nephrite acquire' here, push its output"
    with pytest.raises(ExperimentError, match=told):
        read_experiment(PARAMS, [f"acquire.{name}=/scans"])


@pytest.mark.parametrize("cells", [1, 16, 17, 100])
def test_trial_is_split_by_whole_cells_that_one_pipeline_takes(cells: int) -> None:
    whole = read_experiment(PARAMS, [f"trial.cells={list(range(cells))}"])
    parts = whole.split()
    assert len(parts) == math.ceil(cells / 16)  # twelve arms in each cell
    assert [part.part for part in parts] == list(range(1, len(parts) + 1))
    assert {part.parts for part in parts} == {len(parts)}
    # every arm and painter stands in one part, and the settings are those of the whole trial
    for found in ("real_arms", "synthetic_arms", "paintings"):
        assert sorted(each for part in parts for each in getattr(part, found)) == sorted(getattr(whole, found))
    assert {part.text for part in parts} == {whole.text}
    for part in parts:
        assert len(part.paintings) <= MOST_PAINTERS
        assert len(part.real_arms) + len(part.synthetic_arms) <= MOST_ARMS


def test_cell_that_no_cluster_stores_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(experiment, "MOST_ARMS", 11)
    with pytest.raises(ExperimentError, match=r"trial\.cells: 0: makes 12 arms; one pipeline takes 11; name fewer"):
        read_experiment(PARAMS, ["trial.cells=[0, 1]"]).split()


def test_chosen_arms_become_a_trial_of_their_own(grown: list[str]) -> None:
    sets = ("real+geometric", "real+other+geometric")
    chosen = [f"{name}/{net}/0.25/{cell}" for name in sets for net in ("light", "fpn") for cell in (1, 0)]
    read = read_experiment(PARAMS, grown, chosen)
    assert {*read.real_arms, *read.synthetic_arms} == set(chosen)
    assert [painting.painter for painting in read.paintings] == ["other/0.25/1", "other/0.25/0"]
    assert read.config.trial.training_sets.synthetic[0].share == 0.5


def test_arms_without_synthetic_slices_need_no_painter() -> None:
    read = read_experiment(PARAMS, arms=["real+geometric/fpn/1.0/0", "real/fpn/1.0/0"])
    assert (len(read.real_arms), read.paintings, read.config.trial.synthesizers) == (2, [], ())


def test_one_set_of_each_kind_is_a_trial() -> None:
    read = read_experiment(PARAMS, arms=["real+geometric/fpn/1.0/0", "real+synthetic/fpn/1.0/0"])
    assert (read.real_arms, read.synthetic_arms) == (["real+geometric/fpn/1.0/0"], ["real+synthetic/fpn/1.0/0"])
    assert read.config.trial.segmenters == ("fpn",)


def test_arm_may_be_named_twice_and_its_fraction_written_otherwise() -> None:
    arms = ["real+geometric/fpn/1.0/0", "real+geometric/fpn/1/0", "real/fpn/1.0/0"]
    assert read_experiment(PARAMS, arms=arms).real_arms == ["real/fpn/1.0/0", "real+geometric/fpn/1.0/0"]


@pytest.mark.parametrize(
    ("arms", "told"),
    [
        (["real/huge/1.0/0"], "--arm real/huge/1.0/0: is no arm of the trial; choose from real/light/1.0/0, "),
        (["real/fpn"], "--arm real/fpn: is no arm of the trial; choose from real/light/1.0/0, "),
        (["real/fpn/many/0"], "--arm real/fpn/many/0: is no arm of the trial; choose from real/light/1.0/0, "),
        (
            ["real+geometric/fpn/1.0/0", "real+synthetic/light/1.0/0"],
            "2 arms are no grid of 2 sets x 2 segmenters x 1 fractions x 1 cells",
        ),
    ],
)
def test_unknown_arms_or_arms_that_are_no_grid_are_refused(arms: list[str], told: str) -> None:
    with pytest.raises(ExperimentError) as error:
        read_experiment(PARAMS, arms=arms)
    assert told in str(error.value)


def test_arms_that_make_no_trial_are_refused_by_the_settings() -> None:
    with pytest.raises(ConfigError, match=r"reference 'real\+geometric' is not among the training sets"):
        read_experiment(PARAMS, arms=["real/fpn/1.0/0", "real+synthetic/fpn/1.0/0"])


def test_gpus_without_use_are_refused() -> None:
    with pytest.raises(ClusterError, match=r"gpu\.yaml: asks for GPUs, but compute\.accelerator is 'cpu'"):
        check_fit(with_compute(accelerator="cpu"), load_cluster(GPU_FILE), GPU_FILE)


@pytest.mark.parametrize(
    ("file", "accelerator", "devices", "told"),
    [
        (CLUSTER_FILE, "gpu", 1, "gives 0 accelerators, .* want 1"),
        (CLUSTER_FILE, "gpu", "auto", "gives 0 accelerators, .* want 1"),
        (GPU_FILE, "gpu", 4, "gives 1 accelerators, .* want 4"),
        (GPU_FILE, "auto", 2, "gives 1 accelerators, .* want 2"),
    ],
)
def test_gpus_that_are_not_there_are_refused(file: Path, accelerator: str, devices: int | str, told: str) -> None:
    wanted = with_compute(accelerator=accelerator, devices=devices)
    with pytest.raises(ClusterError, match=f"steps.train_gan: {told}"):
        check_fit(wanted, load_cluster(file), file)


@pytest.mark.parametrize(
    ("file", "accelerator"), [(CLUSTER_FILE, "auto"), (CLUSTER_FILE, "cpu"), (GPU_FILE, "gpu"), (GPU_FILE, "auto")]
)
def test_devices_that_fit_are_accepted(file: Path, accelerator: str) -> None:
    check_fit(with_compute(accelerator=accelerator), load_cluster(file), file)


def test_an_image_is_for_a_segmenter_that_is_there(tmp_path: Path) -> None:
    file = tmp_path / "cluster.yaml"
    file.write_text(f"{CLUSTER_FILE.read_text()}\nimages: {{light: own, nnunet: own}}\n")
    with pytest.raises(ClusterError, match=r"images: names 'nnunet', and the segmenters are \['fpn', 'heavy', 'light'"):
        check_fit(with_compute(), load_cluster(file), file)


def test_prediction_takes_one_gpu_however_many_train() -> None:
    several = with_compute(accelerator="gpu", devices=4)
    check_fit(several, load_cluster(GPU_FILE), GPU_FILE, ["predict"])
    with pytest.raises(ClusterError, match=r"steps\.predict: gives 0 accelerators, .* want 1 "):
        check_fit(several, load_cluster(CLUSTER_FILE), CLUSTER_FILE, ["predict"])


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


def test_data_version_is_the_revision_or_changes_with_the_settings() -> None:
    def version(*overrides: str) -> str:
        return Experiment(load_config(PARAMS, overrides)).data_version

    folder = f"{'0' * 32}.dir"
    wanted = f"acquire.dvc={{remote: 's3://dvc/nephrite', version: {folder}}}"
    assert version("acquire.source=kits19", "acquire.kits19.revision=4f2a") == "kits19@4f2a"
    assert version("acquire.source=dvc", wanted) == f"dvc@{folder}"
    assert version().startswith("phantom@")
    assert version("acquire.phantom.seed=1") != version("acquire.phantom.seed=2")


APART = '{"kind": "command", "command": ["segment"], "takes": ["synthetic", "augmentation"], "own_image": "%s"}'
OWN = "registry.example/mine@sha256:" + "7" * 64


def with_program(image: str, *overrides: str) -> Experiment:
    """A trial whose second segmenter is a program in an image of its own."""
    known = f"train_segmenter.segmenters.mine={APART % image}"
    return read_experiment(PARAMS, [known, "trial.segmenters=[light, mine]", *overrides])


def test_an_arm_with_an_image_of_its_own_counts_as_three() -> None:
    assert with_program(OWN).apart == {"mine": OWN}
    cells = f"trial.cells={[*range(MOST_ARMS // 16 + 1)]}"  # 4 arms of one segmenter in a cell: 4 and 12
    assert "arms" in with_program(OWN, cells).excess()
    assert with_program(OWN, f"trial.cells={[*range(MOST_ARMS // 16)]}").excess() == ""


@pytest.mark.parametrize(
    ("image", "override", "told"),
    [
        ("registry.example/mine:1", "promote.rescore=false", r"own_image: registry\.example/mine:1: has no digest"),
        (OWN, "promote.rescore=true", r"promote\.rescore: is on: .* 'mine' lies in .*add --no-promote"),
    ],
)
def test_an_image_that_may_change_and_a_rescoring_without_the_program_are_refused(
    image: str, override: str, told: str
) -> None:
    with pytest.raises(ExperimentError, match=told):
        check_apart(with_program(image, override), PARAMS, promote=True, allow_tag=False)
    check_apart(with_program(image, override), PARAMS, promote=False, allow_tag=True)


def test_two_images_for_one_segmenter_are_refused(tmp_path: Path) -> None:
    file = tmp_path / "cluster.yaml"
    file.write_text(f"{CLUSTER_FILE.read_text()}\nimages: {{mine: {OWN}}}\n")
    with pytest.raises(ClusterError, match=r"images: names an image for 'mine', and its 'own_image' is registry"):
        check_fit(with_program(OWN).config, load_cluster(file), file)
