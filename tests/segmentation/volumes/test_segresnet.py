from __future__ import annotations

import shutil
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

from nephrite.config import Config
from nephrite.errors import ConfigError, StoreError
from nephrite.imaging.recipe import Recipe
from nephrite.imaging.sources import find_scans, open_scan
from nephrite.recording import Run, SilentRun
from nephrite.segmentation.artifacts import WEIGHTS, load_segmenter
from nephrite.segmentation.backend import StoredScan
from nephrite.segmentation.fit_task import Cohort
from nephrite.segmentation.serving import check_servable, find_labels
from nephrite.segmentation.volumes.segresnet import SegResNetBackend, SegResNetSettings, _volumes
from nephrite.stages.evaluate import evaluate
from nephrite.stages.train_segmenter import train_segmenter
from nephrite.store.arrays import create_arrays
from nephrite.store.slices import PairStore, Patient, Provenance, write_patient
from tests.conftest import CHANNELS, CLASSES, SIZE, finish, write_case

Load = Callable[..., Config]
DEEP = "train_segmenter.segmenters.heavy={kind: segresnet_3d, blocks: [1, 1], patch: [4, 16, 16], batch: 2}"
PACE = ("trial.segmenters=[light, heavy]", "train_segmenter.epochs=2", "train_segmenter.steps_per_epoch=2")


def small(load: Load, arm: str = "real", *overrides: str) -> Config:
    return load(DEEP, *PACE, f"arm={arm}/heavy/1.0/0", *overrides)


def train(config: Config, pairs: Path, folder: Path, **others: Any) -> Path:
    train_segmenter(config, others.pop("run", SilentRun()), pairs=pairs, segmenter=folder, **others)
    return folder


def same_weights(one: Path, other: Path) -> bool:
    first, second = load_file(one / WEIGHTS), load_file(other / WEIGHTS)
    return all(torch.equal(first[name], second[name]) for name in first)


def painted(root: Path, positions: tuple[int, ...]) -> Path:
    """A synthetic store of slices of 'a1'."""
    provenance = Provenance("a1", positions, (None,) * len(positions), "synthesizer-1", ("a1", "a2", "a3"))
    patient = Patient("synthetic-a1", (4.0, 2.0, 2.0), "IPL", (-200.0, 200.0), provenance=provenance)
    image, label = create_arrays(root, patient.patient, (len(positions), SIZE, SIZE))
    image[:] = np.random.default_rng(5).normal(-50, 20, image.shape)
    label[:, 4:12, 4:12] = 2
    write_patient(root, patient)
    finish(root, "synthetic", {patient.patient: "train"})
    return root


def test_it_learns(load: Load, pairs: Path, tmp_path: Path) -> None:
    pace = ("train_segmenter.epochs=2", "train_segmenter.steps_per_epoch=25", "train_segmenter.learning_rate=0.01")
    config = small(load, "real", *pace, "train_segmenter.loss=dice_and_cross_entropy")
    history = load_segmenter(train(config, pairs, tmp_path / "s")).trained.history
    assert [row["step"] for row in history] == [25, 50]
    assert history[-1]["train_loss"] < history[0]["train_loss"] - 0.1
    assert history[-1]["validation_dice"] > 0.4


def test_it_comes_back_and_is_evaluated_as_any_segmenter_is(load: Load, pairs: Path, tmp_path: Path) -> None:
    config = small(load)
    folder = train(config, pairs, tmp_path / "s")
    loaded = load_segmenter(folder)
    trained, scan = loaded.trained, StoredScan(PairStore(pairs), "c1")
    assert isinstance(loaded.card.settings, SegResNetSettings)
    found = trained.backend.predict(trained, scan)
    assert found.labels.shape == (6, SIZE, SIZE)
    assert found.probabilities is not None
    assert found.probabilities.shape == (6, 2, SIZE, SIZE)
    mirrored = trained.backend.ready(trained, config.compute, batch_size=1, mirroring=True)
    again = trained.backend.predict(mirrored, scan).probabilities
    assert again is not None
    assert not np.allclose(again, found.probabilities, atol=1e-6)
    scores = evaluate(config, SilentRun(), pairs=pairs, segmenter=folder, scores=tmp_path / "scores.json")
    assert all(np.isfinite(value) for value in scores.values())


def test_it_is_no_graph_so_its_folder_is_kept_and_segments_new_scans(load: Load, pairs: Path, tmp_path: Path) -> None:
    config = small(load)
    found = load_segmenter(train(config, pairs, tmp_path / "s"))
    assert found.card.objection is None
    assert found.trained.backend.exported(found.trained, SIZE) is None
    check_servable(found, "model")
    write_case(tmp_path / "raw" / "new", 1)
    (scan,) = find_scans(tmp_path / "raw")
    recipe = Recipe(CLASSES, CHANNELS, config.prepare.intensity, config.prepare.in_plane, 0.5)
    (mask,) = find_labels(found.trained, {"new": open_scan(scan)}, recipe, scratch=tmp_path, block=2)
    assert mask.shape == (5, 40, 48)
    assert {*np.unique(mask)} <= {0, *CLASSES}


def test_one_seed_gives_one_network_and_a_killed_training_ends_as_an_undisturbed_one(
    load: Load, pairs: Path, tmp_path: Path
) -> None:
    class KilledError(Exception):
        pass

    class Killing(SilentRun):
        def metrics(self, values: Mapping[str, float], *, step: int) -> None:
            raise KilledError

    config = small(load, "real+geometric")
    whole, again = train(config, pairs, tmp_path / "a"), train(config, pairs, tmp_path / "b")
    assert same_weights(whole, again)
    run: Run = Killing()
    with pytest.raises(KilledError):
        train(config, pairs, tmp_path / "c", run=run)
    resumed = train(config, pairs, tmp_path / "c")
    assert same_weights(whole, resumed)
    assert len(load_segmenter(resumed).trained.history) == 2
    other = train(small(load, "real+geometric", "trial.seed=99"), pairs, tmp_path / "d")
    assert not same_weights(whole, other)


def test_painted_runs_are_volumes_and_change_what_is_learned(
    load: Load, pairs: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    fakes = painted(tmp_path / "fakes", (0, 1, *range(10, 18)))
    config = small(load, "real+synthetic")
    with_fakes = train(config, pairs, tmp_path / "a", synthetic=fakes)
    assert "2 of 10 synthetic slices are left out: they have fewer than 8 neighbors in a row" in caplog.text
    assert not same_weights(with_fakes, train(small(load), pairs, tmp_path / "b"))


def test_scattered_slices_are_refused_before_anything_is_written(load: Load, pairs: Path, tmp_path: Path) -> None:
    fakes = painted(tmp_path / "fakes", (0, 2, 4, 6, 8, 10, 12, 14))
    with pytest.raises(StoreError, match=r"at most 1 neighboring slices, and arm real\+synthetic/heavy"):
        train(small(load, "real+synthetic"), pairs, tmp_path / "s", synthetic=fakes)
    assert not list(tmp_path.glob("s*"))


def test_a_patch_that_cannot_be_halved_is_refused() -> None:
    with pytest.raises(ValueError, match=r"'patch' has a side of 66, which cannot be halved 2 times"):
        SegResNetSettings(kind="segresnet_3d", patch=(16, 64, 66))


def test_lesions_cannot_be_pasted_into_volumes_and_several_devices_are_refused(
    load: Load, pairs: Path, tmp_path: Path
) -> None:
    sets = "trial.training_sets.real=[real, real+geometric, real+geometric+copy_paste]"
    pasting = small(load, "real+geometric+copy_paste", "prepare.lesions={tumor: kidney}", sets)
    with pytest.raises(ConfigError, match=r"takes slices with lesions pasted into them, and 'heavy' of kind"):
        train(pasting, pairs, tmp_path / "s")
    with pytest.raises(ConfigError, match=r"is trained by one process, and 'compute.devices' is 2; set it to 1"):
        train(small(load, "real", "compute.devices=2"), pairs, tmp_path / "s")
    assert not list(tmp_path.glob("s*"))


def test_where_few_slices_are_asked_for_they_come_from_few_whole_patients(pairs: Path) -> None:
    store = PairStore(pairs)
    cohort = Cohort(store, store.patients("train"))
    assert len(_volumes(cohort)) == 3
    assert len(_volumes(replace(cohort, most=13))) == 2
    assert len(_volumes(replace(cohort, most=1))) == 1


def test_a_folder_without_weights_is_one_line(load: Load, pairs: Path, tmp_path: Path) -> None:
    folder = train(small(load), pairs, tmp_path / "s")
    wide = SegResNetBackend(SegResNetSettings(kind="segresnet_3d", width=16, blocks=(1, 1), patch=(4, 16, 16)))
    with pytest.raises(StoreError, match=r"weights\.safetensors: cannot be loaded"):
        wide.load(folder, {"kidney": (1,), "tumor": (2,)}, 0.5)
    shutil.rmtree(folder)
