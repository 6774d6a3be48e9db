from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from nephrite.config import Config, LesionRule
from nephrite.errors import ConfigError, LeakageError, StoreError
from nephrite.evidence import sealed
from nephrite.files import read_json
from nephrite.metrics.lesions import find_lesions
from nephrite.metrics.scores import ArmScores
from nephrite.metrics.windows import windows_of
from nephrite.recording import SilentRun
from nephrite.stages.evaluate import evaluate
from nephrite.stages.train_segmenter import train_segmenter
from nephrite.store.slices import PairStore, finish_store
from tests.conftest import CLASSES, EXTERNAL_PATIENTS, SPLITS, finish, hash_again

Load = Callable[..., Config]
ARM = "arm=real/light/1.0/0"


@pytest.fixture
def segmenter(load: Load, pairs: Path, tmp_path: Path) -> Path:
    folder = tmp_path / "segmenter"
    train_segmenter(load(ARM, "train_segmenter.learning_rate=0.02"), SilentRun(), pairs=pairs, segmenter=folder)
    return folder


def edit_card(segmenter: Path, **changes: Any) -> None:
    path = segmenter / "segmenter.json"
    path.write_text(json.dumps(sealed(read_json(path) | changes)))


def score(load: Load, pairs: Path, segmenter: Path, *overrides: str) -> dict[str, float]:
    target = segmenter.parent / "scores.json"
    return evaluate(load(ARM, *overrides), SilentRun(), pairs=pairs, segmenter=segmenter, scores=target)


def test_scores_hold_each_test_patient_and_the_learning_curve(load: Load, pairs: Path, segmenter: Path) -> None:
    metrics = score(load, pairs, segmenter)
    path = segmenter.parent / "scores.json"
    scores = ArmScores.from_json(read_json(path), path)
    assert [patient.patient for patient in scores.patients] == ["c1", "c2"]
    assert list(scores.history) == read_json(segmenter / "history.json")
    assert metrics["tumor_dice"] == pytest.approx(np.mean([p.regions["tumor"].dice for p in scores.patients]))
    assert set(scores.patients[0].regions) == {"kidney_and_tumor", "tumor"}


def test_scores_name_the_patient_of_each_scan_and_the_record_counts_patients(
    load: Load, pairs: Path, tmp_path: Path
) -> None:
    persons = {"a1": "p", "a2": "p", "b1": "q", "b2": "q", "c1": "r", "c2": "r"}
    finish(pairs, "real", SPLITS, persons)
    config, folder = load(ARM, "train_segmenter.weights=best"), tmp_path / "segmenter"
    trained = train_segmenter(config, SilentRun(), pairs=pairs, segmenter=folder)
    assert trained["labels_used"] == 3
    edit_card(folder, masked_patients=["a1", "a2", "b1"])
    score(load, pairs, folder)
    path = tmp_path / "scores.json"
    scores = ArmScores.from_json(read_json(path), path)
    assert [(each.patient, each.person) for each in scores.patients] == [("c1", "r"), ("c2", "r")]
    assert (scores.training_patients, scores.choosing_patients, scores.masked_patients) == (2, 1, 2)


def test_dice_is_that_of_the_predicted_volume(load: Load, pairs: Path, segmenter: Path) -> None:
    metrics = score(load, pairs, segmenter, "evaluate.threshold=0")
    store = PairStore(pairs)
    tumor = [np.asarray(store.label(patient)) == 2 for patient in ("c1", "c2")]
    everywhere = [2 * mask.sum() / (mask.sum() + mask.size) for mask in tumor]
    assert metrics["tumor_dice"] == pytest.approx(np.mean(everywhere))


def test_segmenter_that_saw_a_test_patient_is_refused(load: Load, pairs: Path, segmenter: Path) -> None:
    edit_card(segmenter, training_patients=["a1", "c2"])
    with pytest.raises(LeakageError, match="was trained on patient c2"):
        score(load, pairs, segmenter)


@pytest.mark.parametrize(
    "changes",
    [
        {"pairs": "0" * 64},
        {"classes": {"1": "liver"}},
        {"channels": {"tumor": [2], "kidney": [1]}},
        {"arm": "real/heavy/1.0/0"},
    ],
)
def test_segmenter_of_other_data_or_arm_is_refused(
    load: Load, pairs: Path, segmenter: Path, changes: dict[str, Any]
) -> None:
    edit_card(segmenter, **changes)
    with pytest.raises(StoreError, match=f"has {next(iter(changes))}"):
        score(load, pairs, segmenter)
    assert not (segmenter.parent / "scores.json").exists()


def test_label_maps_are_kept_of_scans_alone(load: Load, pairs: Path, segmenter: Path, tmp_path: Path) -> None:
    paths = {"pairs": pairs, "segmenter": segmenter, "scores": tmp_path / "scores.json"}
    with pytest.raises(ConfigError, match=r"--predictions: .* name the raw data"):
        evaluate(load(ARM), SilentRun(), **paths, predictions=tmp_path / "kept")
    assert not (tmp_path / "kept").exists()


def test_evaluation_imports_no_lightning() -> None:
    modules = (
        "nephrite.stages.evaluate, nephrite.segmentation.in_process.inference, nephrite.segmentation.in_process.unet"
    )
    check = f"import sys, {modules}; sys.exit('lightning' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", check], check=False).returncode == 0


def test_a_region_that_no_test_patient_has_is_not_scored(
    load: Load, pairs: Path, segmenter: Path, take_away: Callable[[str, int], None]
) -> None:
    take_away("test", 2)
    edit_card(segmenter, pairs=PairStore(pairs).manifest.digest)
    with pytest.raises(
        ConfigError, match=r"trial.primary: 'tumor' with labels \[2\] is in none of the 2 test patients"
    ):
        score(load, pairs, segmenter)
    assert not (segmenter.parent / "scores.json").exists()


def test_a_lesion_that_vanished_on_the_grid_counts_as_missed(
    load: Load, pairs: Path, request: pytest.FixtureRequest
) -> None:
    path = pairs / "patients" / "c1" / "label.npy"
    label = np.load(path)
    np.save(path, np.where(label == 2, 1, label))
    meta = pairs / "patients" / "c1" / "meta.json"
    meta.write_text(json.dumps(read_json(meta) | {"volumes": {"tumor": [90.0, 0.0]}}))
    hash_again(pairs)
    segmenter: Path = request.getfixturevalue("segmenter")  # of the changed store
    score(load, pairs, segmenter)
    scores = ArmScores.from_json(read_json(segmenter.parent / "scores.json"), segmenter)
    region = scores.patients[0].regions["tumor"]
    assert (region.dice, region.surface_dice, region.hd95, region.truth_volume) == (0, 0, None, 0.09)
    assert scores.patients[0].regions["kidney_and_tumor"].truth_volume > 1


def test_windows_are_scored_as_one_volume_the_same_for_every_look(load: Load, pairs: Path, segmenter: Path) -> None:
    setting = "evaluate.windows={size: 16, count: 3, free: 0.34}"
    metrics = score(load, pairs, segmenter, setting, "evaluate.threshold=0")
    store, config = PairStore(pairs), load(ARM, setting)
    expected = []
    for patient in ("c1", "c2"):
        label = np.asarray(store.label(patient))
        parts = [window.cut(label) == 2 for window in windows_of(config, patient, label)]
        marked = np.count_nonzero(np.concatenate(parts))
        expected.append(2 * marked / (marked + 3 * len(label) * 16 * 16))
    assert metrics["tumor_dice"] == pytest.approx(np.mean(expected))
    path = segmenter.parent / "scores.json"
    scores = ArmScores.from_json(read_json(path), path)
    assert {patient.regions["tumor"].hd95 for patient in scores.patients} == {None}
    assert scores.patients[0].slices.slices == 3 * len(store.label("c1"))


def test_lesions_are_counted_one_by_one_where_the_settings_ask_for_it(load: Load, pairs: Path, segmenter: Path) -> None:
    score(load, pairs, segmenter, "evaluate.lesions={tumor: {dimensions: 2}}")
    path = segmenter.parent / "scores.json"
    read = ArmScores.from_json(read_json(path), path)
    label = np.asarray(PairStore(pairs).label("c1"))
    found = read.patients[0].lesions["tumor"]
    rule = LesionRule(dimensions=2)
    truth = find_lesions((label == 2).astype(float), label == 2, rule, PairStore(pairs).patient("c1").spacing)
    assert found.lesions == truth.lesions
    assert found.images == len(label)
    calibration = read.patients[0].calibration
    assert sum(calibration["tumor"].voxels) == label.size
    assert sum(calibration["kidney_and_tumor"].true) == np.count_nonzero(label)
    score(load, pairs, segmenter)
    assert ArmScores.from_json(read_json(path), path).patients[0].lesions == {}


def test_validation_patients_are_scored_for_development(load: Load, pairs: Path, segmenter: Path) -> None:
    score(load, pairs, segmenter, "trial.judged_on=validation")
    path = segmenter.parent / "scores.json"
    assert [patient.patient for patient in ArmScores.from_json(read_json(path), path).patients] == ["b1", "b2"]


def test_segmenter_that_was_trained_on_a_validation_patient_is_refused_for_development(
    load: Load, pairs: Path, segmenter: Path
) -> None:
    edit_card(segmenter, training_patients=["a1", "b2"])
    with pytest.raises(LeakageError, match="was trained on patient b2"):
        score(load, pairs, segmenter, "trial.judged_on=validation")


@pytest.fixture
def read(segmenter: Path) -> Callable[[], ArmScores]:
    """The scores that `score` wrote."""
    path = segmenter.parent / "scores.json"
    return lambda: ArmScores.from_json(read_json(path), path)


@pytest.mark.usefixtures("elsewhere")
def test_patients_of_another_hospital_are_scored_after_those_of_test(
    load: Load, pairs: Path, segmenter: Path, read: Callable[[], ArmScores]
) -> None:
    metrics = score(load, pairs, segmenter, "evaluate.threshold=0", "evaluate.lesions={tumor: {dimensions: 2}}")
    found, store = read(), PairStore(pairs)
    assert [patient.patient for patient in found.patients] == ["c1", "c2"]
    assert [patient.patient for patient in found.external] == ["e1", "e2", "e3"]
    tumor = [np.asarray(store.label(patient)) == 2 for patient in ("e1", "e2", "e3")]
    everywhere = [2 * mask.sum() / (mask.sum() + mask.size) for mask in tumor]
    assert metrics["external_tumor_dice"] == pytest.approx(np.mean(everywhere))
    assert found.external[0].recall == {"kidney_and_tumor": 1.0, "tumor": 1.0}
    assert found.external[0].lesions["tumor"].images == len(tumor[0])
    assert "tumor" in found.external[0].calibration


@pytest.mark.usefixtures("elsewhere")
def test_for_development_nobody_of_another_hospital_is_scored(
    load: Load, pairs: Path, segmenter: Path, read: Callable[[], ArmScores]
) -> None:
    score(load, pairs, segmenter, "trial.judged_on=validation")
    assert read().external == ()


@pytest.mark.usefixtures("elsewhere")
def test_windows_are_those_of_home(load: Load, pairs: Path, segmenter: Path, read: Callable[[], ArmScores]) -> None:
    score(load, pairs, segmenter, "evaluate.windows={size: 16, count: 3, free: 0.34}")
    assert [patient.slices.slices for patient in read().external] == [3 * 6] * 3


def take_away_elsewhere(pairs: Path, *values: int, segmenter: Path) -> None:
    """Make background of some label values in all label maps of another hospital."""
    for patient in ("e1", "e2", "e3"):
        path = pairs / "patients" / patient / "label.npy"
        label = np.load(path)
        np.save(path, np.where(np.isin(label, values), 0, label))
    finish(pairs, "real", SPLITS | dict.fromkeys(EXTERNAL_PATIENTS, "external"))
    edit_card(segmenter, pairs=PairStore(pairs).manifest.digest)


@pytest.mark.usefixtures("elsewhere")
def test_a_region_that_nobody_elsewhere_has_is_left_out_there_and_refused_as_headline(
    load: Load, pairs: Path, segmenter: Path, read: Callable[[], ArmScores]
) -> None:
    take_away_elsewhere(pairs, 2, segmenter=segmenter)
    score(load, pairs, segmenter)
    assert [*read().patients[0].regions] == ["kidney_and_tumor", "tumor"]
    assert [*read().external[0].regions] == ["kidney_and_tumor"]
    there = ("acquire.external.path=/theirs", "trial.where=external")
    with pytest.raises(
        ConfigError, match=r"trial.primary: 'tumor' with labels \[2\] is in none of the 3 external test"
    ):
        score(load, pairs, segmenter, *there)
    take_away_elsewhere(pairs, 1, segmenter=segmenter)
    with pytest.raises(ConfigError, match=r"acquire.external: none of the 3 external test patients of .* has any of"):
        score(load, pairs, segmenter)


def test_a_headline_about_another_hospital_needs_its_patients(load: Load, pairs: Path, segmenter: Path) -> None:
    there = ("acquire.external.path=/theirs", "trial.where=external")
    with pytest.raises(ConfigError, match=r"trial.where: is 'external', and .* has no patients of another hospital"):
        score(load, pairs, segmenter, *there)
    score(load, pairs, segmenter, *there, "trial.judged_on=validation")


@pytest.mark.usefixtures("elsewhere")
@pytest.mark.parametrize("field", ["training_patients", "masked_patients"])
def test_segmenter_that_knows_a_patient_of_another_hospital_is_refused(
    load: Load, pairs: Path, segmenter: Path, field: str
) -> None:
    edit_card(segmenter, **{field: ["a1", "e2"]})
    with pytest.raises(LeakageError, match="was trained on patient e2"):
        score(load, pairs, segmenter)


def test_of_a_part_the_recall_alone_is_scored(load: Load, pairs: Path, tmp_path: Path) -> None:
    kidneys = ("prepare.channels={kidney: [1, 2]}", "evaluate.regions={all: {labels: [1, 2]}}", "trial.primary=all")
    config = load(ARM, *kidneys, "evaluate.parts={tumor: [2]}", "evaluate.threshold=0")
    finish_store(
        pairs, kind="real", splits=SPLITS, split_settings={}, classes=CLASSES, channels={"kidney": (1, 2)}, size=32,
        version="test",
    )  # fmt: skip
    label = np.load(pairs / "patients" / "c2" / "label.npy")
    np.save(pairs / "patients" / "c2" / "label.npy", np.where(label == 2, 1, label))
    hash_again(pairs)
    folder, path = tmp_path / "segmenter", tmp_path / "scores.json"
    train_segmenter(config, SilentRun(), pairs=pairs, segmenter=folder)
    evaluate(config, SilentRun(), pairs=pairs, segmenter=folder, scores=path)
    found = ArmScores.from_json(read_json(path), path).patients
    assert [*found[0].regions] == ["all"]
    assert [one.recall for one in found] == [{"all": 1.0, "tumor": 1.0}, {"all": 1.0, "tumor": None}]
