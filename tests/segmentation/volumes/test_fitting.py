from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch

from nephrite.config import IGNORED, Augmentation, Config
from nephrite.seeds import derive_seed
from nephrite.segmentation.volumes.fitting import VolumeTask, VolumeTraining
from nephrite.segmentation.volumes.patches import VolumeBatch, Volumes
from nephrite.segmentation.volumes.segresnet import SegResNetBackend, SegResNetSettings
from nephrite.store.runs import volumes_of
from nephrite.store.slices import PairStore
from nephrite.training.mixing import Extra, MixedBatches, mix

Load = Callable[..., Config]
PATCH = (4, 16, 16)
SETTINGS = SegResNetSettings(kind="segresnet_3d", blocks=(1, 1), patch=PATCH, batch=2)


def training_of(config: Config, pairs: Path, folder: Path, augmentation: Augmentation = "none") -> VolumeTraining:
    store, settings = PairStore(pairs), config.train_segmenter
    training, validation = (volumes_of(store, store.patients(split)) for split in ("train", "validation"))
    task = VolumeTask(
        training=Volumes((store, training)),
        validation=Volumes((store, validation)),
        mixture=mix(np.ones(len(training), bool), [], steps=10, batch_size=2),
        patch=PATCH,
        batch=2,
        forced=0.33,
        channels=store.manifest.channels,
        region=(2,),
        threshold=0.5,
        augmentation=augmentation,
    )
    torch.manual_seed(0)
    return VolumeTraining(SegResNetBackend(SETTINGS).build(2), task, settings, seed=1, folder=folder)


def batch_of(pairs: Path) -> VolumeBatch:
    store = PairStore(pairs)
    return Volumes((store, volumes_of(store, ["a1", "a2"])))[[0, 1]]


@pytest.mark.parametrize("augmentation", ["standard", "geometric"])
def test_patches_are_augmented_as_the_training_set_asks_and_by_the_step(
    augmentation: Augmentation, load: Load, pairs: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    batch = batch_of(pairs)
    monkeypatch.setattr(VolumeTraining, "step_seed", lambda self, index: derive_seed(1, index))
    plain = training_of(load(), pairs, tmp_path)
    assert plain.augmented(batch, 0) == (batch.image, batch.label)
    module = training_of(load(), pairs, tmp_path, augmentation)
    images = [module.augmented(batch, index)[0] for index in (0, 0, *range(1, 5))]
    assert torch.equal(images[0], images[1])
    assert any(not torch.equal(images[0], other) for other in images[2:])


def test_what_is_ignored_teaches_nothing(
    load: Load, pairs: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    module = training_of(load(), pairs, tmp_path)
    monkeypatch.setattr(VolumeTraining, "step_of", lambda self, index: index)
    image, label, volume = batch_of(pairs)

    def loss(value: int) -> float:
        """With the first slices as they are, and one value in the fourth."""
        changed = label[:, :4].clone()
        changed[:, 3] = value
        return module.training_step(VolumeBatch(image[:, :, :4], changed, volume), 0).item()

    assert len({round(loss(value), 6) for value in (0, 1, 2, IGNORED)}) == 4
    label[:, :3] = IGNORED
    assert loss(IGNORED) < loss(2)


def test_validation_counts_voxels_of_whole_patients(load: Load, pairs: Path, tmp_path: Path) -> None:
    module = training_of(load(), pairs, tmp_path).eval()
    module.on_validation_epoch_start()
    with torch.no_grad():
        for place in range(2):
            module.validation_step(module.task.validation[[place]], place)
    store = PairStore(pairs)
    truth = [int((store.label(patient) == 2).sum()) for patient in ("b1", "b2")]
    overlap, sizes = module.counts.T.tolist()
    assert module.patients == ["b1", "b2"]
    assert all(size >= true >= both for size, true, both in zip(sizes, truth, overlap, strict=True))
    assert len(module.validation_losses) == 2


def test_half_of_the_patches_are_synthetic_where_half_are_asked_for() -> None:
    mixture = mix(np.ones(21, bool), [Extra(np.ones(336, bool), "mix", 0.5)], steps=50, batch_size=2)
    batches = MixedBatches(mixture, steps=50, seed=1)
    assert [sum(place >= 21 for place in batches.batch(step)) for step in range(50)] == [1] * 50
