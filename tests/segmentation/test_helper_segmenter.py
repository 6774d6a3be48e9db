from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from nephrite.config import Config
from nephrite.segmentation.backend import Prediction, Scan
from nephrite.segmentation.helper_segmenter import fit_helper, warn_of_lesions
from nephrite.segmentation.in_process.family import TrainedNetwork
from nephrite.segmentation.in_process.fitting import SegmentationModule, SegmentationTask
from nephrite.segmentation.in_process.networks import Segmenter
from nephrite.segmentation.in_process.unet import UNetBackend, UNetSettings
from nephrite.store.slices import PairStore, write_patient
from tests.conftest import CHANNELS, finish, hash_again

Load = Callable[..., Config]


def fitted(config: Config, pairs: Path, folder: Path, *, seed: int = 1, steps: int = 4) -> dict[str, torch.Tensor]:
    store = PairStore(pairs)
    patients = store.patients("train")
    trained = fit_helper(config, store, patients, folder, segmenter="light", steps=steps, seed=seed)
    assert isinstance(trained, TrainedNetwork)
    return trained.network.state_dict()


def test_helper_follows_from_the_seed_and_takes_so_many_steps(load: Load, pairs: Path, tmp_path: Path) -> None:
    first, again, other = (
        fitted(load(), pairs, tmp_path / f"{n}", seed=seed, steps=6) for n, seed in enumerate((1, 1, 2))
    )
    assert all(torch.equal(first[name], again[name]) for name in first)
    assert any(not torch.equal(first[name], other[name]) for name in first)
    (count,) = {int(value) for name, value in first.items() if name.endswith("num_batches_tracked")}
    assert 2 <= count <= 8  # of the state that was chosen, of four


def test_validation_and_test_slices_have_no_influence(load: Load, pairs: Path, tmp_path: Path) -> None:
    clean = fitted(load(), pairs, tmp_path / "clean")
    for patient in ("b1", "b2", "c1", "c2"):
        np.load(pairs / "patients" / patient / "image.npy", mmap_mode="r+")[:] = 1000
    hash_again(pairs)
    again = fitted(load(), pairs, tmp_path / "again")
    assert all(torch.equal(clean[name], again[name]) for name in clean)


def test_helper_is_augmented_from_outside_unless_its_kind_does_not_take_that(
    load: Load, pairs: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    tasks: list[SegmentationTask] = []

    class Spy(SegmentationModule):
        def __init__(self, network: Segmenter, task: SegmentationTask, *args: Any, **more: Any) -> None:
            tasks.append(task)
            super().__init__(network, task, *args, **more)

    monkeypatch.setattr("nephrite.segmentation.in_process.fitting.SegmentationModule", Spy)
    fitted(load(), pairs, tmp_path / "outside")
    monkeypatch.setattr(UNetSettings, "TAKES", UNetSettings.TAKES - {"augmentation"})
    fitted(load(), pairs, tmp_path / "own")
    assert [task.augmentation for task in tasks] == ["standard", "none"]


class Finder(UNetBackend):
    """Finds a tumor in the same pixels of every scan."""

    def predict(self, trained: TrainedNetwork, scan: Scan) -> Prediction:
        labels = np.zeros(scan.shape, np.uint8)
        labels[2, :2, :4] = 2
        return Prediction(labels)


@pytest.mark.usefixtures("pairs")
@pytest.mark.parametrize(("margin", "warned"), [(1, ["a3"]), (40, [])])
def test_lesion_free_scans_in_which_a_helper_finds_lesions_are_told(
    margin: float, warned: list[str], load: Load, synthetic: Path, caplog: pytest.LogCaptureFixture
) -> None:
    pairs = synthetic.with_name("pairs")
    config = load("prepare.lesions={kidney: null, tumor: null}", "prepare.lesion_free.training_patients=true",
                  f"prepare.lesion_free.margin={margin}")  # fmt: skip
    store, backend = PairStore(pairs), Finder(UNetSettings(kind="unet"))
    helper = TrainedNetwork(backend=backend, channels=CHANNELS, threshold=0.5, network=backend.build(2))
    painted = PairStore(synthetic)
    assert warn_of_lesions(config, helper, store, painted, ["a1", "a2"]) == []  # none was painted on such a scan
    (name,) = painted.patients()
    known = painted.patient(name)
    assert known.provenance is not None
    write_patient(synthetic, replace(known, provenance=replace(known.provenance, lesion_free=True)))
    painted = finish(synthetic, "synthetic", {name: "train"})
    assert warn_of_lesions(config, helper, store, painted, ["a1", "a2"]) == warned
    assert ("1 of 1 lesion-free scans hold lesions by the word" in caplog.text) == bool(warned)
