from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from nephrite.config import Config
from nephrite.segmentation.helper_segmenter import fit_helper
from nephrite.segmentation.in_process.family import TrainedNetwork
from nephrite.segmentation.in_process.fitting import SegmentationModule, SegmentationTask
from nephrite.segmentation.in_process.networks import Segmenter
from nephrite.segmentation.in_process.unet import UNetSettings
from nephrite.store.slices import PairStore
from tests.conftest import hash_again

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
