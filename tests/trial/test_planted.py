"""The judge with real trainings: fakes that must hurt are found to hurt, and planted leaks are refused."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Literal

import numpy as np
import pytest

from nephrite.config import Config
from nephrite.errors import LeakageError
from nephrite.recording import SilentRun
from nephrite.stages.evaluate import evaluate
from nephrite.stages.report import read_arms, trial_plan
from nephrite.stages.train_segmenter import train_segmenter
from nephrite.store.arrays import create_arrays
from nephrite.store.slices import PairStore, Patient, Provenance, finish_store, write_patient
from nephrite.verdict.comparisons import judge_trial
from nephrite.verdict.trial import Trial

Load = Callable[..., Config]
SIZE, SLICES = 32, 6
SPLIT = {"train": 4, "validation": 2, "test": 10}
TRAINING = tuple(f"train{number}" for number in range(SPLIT["train"]))
TRUTHFUL = Provenance("train0", tuple(range(SLICES)), (None,) * SLICES, "planted", TRAINING)
SETTINGS = (
    *("trial.segmenters=[light]", "trial.cells=[0, 1, 2]", "trial.reference=real"),
    *("train_segmenter.epochs=4", "train_segmenter.steps_per_epoch=50", "train_segmenter.learning_rate=0.01"),
    "trial.training_sets={real: [real], "
    "synthetic: [{name: real+synthetic, synthesizer: pix2pix, way: mix, share: 1.0}]}",
)


@pytest.fixture
def real(tmp_path: Path) -> Path:
    """Patients with a bright square of tumor in a kidney, enough of them for a verdict."""
    splits = {f"{split}{number}": split for split, count in SPLIT.items() for number in range(count)}
    for number, patient in enumerate(splits):
        image, label = _drawn(np.random.default_rng(number))
        _write(tmp_path / "real", Patient(patient, (4.0, 2.0, 2.0), "IPL", (-200.0, 200.0)), image, label)
    return _finished(tmp_path / "real", "real", splits)


def _drawn(generator: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    label = np.zeros((SLICES, SIZE, SIZE), np.uint8)
    for number in range(SLICES):
        row, column = generator.integers(2, SIZE - 14, 2)
        label[number, row : row + 12, column : column + 12] = 1
        label[number, row + 3 : row + 9, column + 3 : column + 9] = 2
    return (generator.normal(-50, 20, label.shape) + 60.0 * label).astype(np.int16), label


def _write(root: Path, patient: Patient, image: np.ndarray, label: np.ndarray) -> None:
    images, labels = create_arrays(root, patient.patient, (len(image), SIZE, SIZE))
    images[:], labels[:] = image, label
    write_patient(root, patient)


def _finished(root: Path, kind: Literal["real", "synthetic"], splits: Mapping[str, str]) -> Path:
    finish_store(
        root,
        kind=kind,
        splits=dict(splits),
        split_settings={},
        classes={1: "kidney", 2: "tumor"},
        channels={"kidney": (1,), "tumor": (2,)},
        size=SIZE,
        version="test",
    )
    return root


def _fakes(real: Path, target: Path, shift: int) -> Path:
    """Copies of the training slices, each with the label map of the slice `shift` further on."""
    store = PairStore(real)
    for name in TRAINING:
        patient = replace(
            store.patient(name), patient=f"synthetic-{name}", provenance=replace(TRUTHFUL, source_patient=name)
        )
        _write(target, patient, np.asarray(store.image(name)), np.roll(store.label(name), shift, axis=0))
    return _finished(target, "synthetic", {f"synthetic-{name}": "train" for name in TRAINING})


def test_nothing_but_fakes_with_shuffled_labels_is_found_to_hurt(load: Load, real: Path, tmp_path: Path) -> None:
    fakes = _fakes(real, tmp_path / "fakes", shift=3)
    trial = load(*SETTINGS).trial
    for arm in trial.arms:
        config, segmenter = load(*SETTINGS, f"arm={arm}"), tmp_path / "segmenters" / str(arm)
        synthetic = fakes if trial.painter(arm) else None
        train_segmenter(config, SilentRun(), pairs=real, segmenter=segmenter, synthetic=synthetic)
        scores = tmp_path / "scores" / f"{arm}.json"
        evaluate(config, SilentRun(), pairs=real, segmenter=segmenter, scores=scores)
    judged = Trial(trial_plan(load(*SETTINGS)), tuple(read_arms(load(*SETTINGS), tmp_path / "scores")))
    found = judge_trial(judged).headline
    assert found is not None
    assert found.verdict.word == "hurts"
    assert (found.patients, found.cells) == (10, (0, 1, 2))
    assert found.interval.mean < -0.2


@pytest.mark.parametrize(
    ("planted", "patient"),
    [
        (replace(TRUTHFUL, source_patient="test3"), "test3"),
        (replace(TRUTHFUL, training_patients=(*TRAINING, "test0")), "test0"),
        (replace(TRUTHFUL, training_patients=(*TRAINING, "validation1")), "validation1"),
        (replace(TRUTHFUL, unlabeled_patients=("test7",)), "test7"),
    ],
)
def test_a_planted_leak_is_refused_before_anything_is_trained(
    load: Load, real: Path, tmp_path: Path, planted: Provenance, patient: str
) -> None:
    store = PairStore(real)
    leaky = replace(store.patient("train0"), patient="synthetic-train0", provenance=planted)
    _write(tmp_path / "leaky", leaky, np.asarray(store.image("train0")), np.asarray(store.label("train0")))
    fakes = _finished(tmp_path / "leaky", "synthetic", {"synthetic-train0": "train"})
    config = load(*SETTINGS, "arm=real+synthetic/light/1.0/0")
    with pytest.raises(LeakageError, match=f"synthetic slices know patient {patient} outside the 4 training patients"):
        train_segmenter(config, SilentRun(), pairs=real, synthetic=fakes, segmenter=tmp_path / "segmenter")
    assert not list(tmp_path.glob("segmenter*"))
