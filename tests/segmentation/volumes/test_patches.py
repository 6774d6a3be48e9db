from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from nephrite.config import IGNORED
from nephrite.segmentation.volumes.patches import PatchBatches, PatchDraw, Patches, Volumes
from nephrite.store.runs import Run
from nephrite.store.slices import PairStore, SliceRef
from nephrite.training.data import ShuffledBatches
from nephrite.training.pseudo_labels import PseudoLabels


@pytest.fixture
def store(pairs: Path) -> PairStore:
    return PairStore(pairs)


def whole(store: PairStore, *patients: str) -> Volumes:
    return Volumes((store, [Run(patient, range(6)) for patient in patients]))


def test_a_patch_is_a_part_of_its_volume(store: PairStore) -> None:
    image, label, volume = Patches(whole(store, "a1", "a2"), (4, 16, 16), forced=0.0)[[PatchDraw(1, 7)]]
    assert image.shape == (1, 1, 4, 16, 16)
    assert label.shape == (1, 4, 16, 16)
    assert volume.tolist() == [1]
    planes = store.windowed_of(SliceRef("a2", position) for position in range(6))
    found = [
        (first, row, column)
        for first in range(3)
        for row in range(17)
        for column in range(17)
        if np.array_equal(planes[first : first + 4, row : row + 16, column : column + 16], image[0, 0])
    ]
    assert len(found) == 1
    first, row, column = found[0]
    assert np.array_equal(store.label("a2")[first : first + 4, row : row + 16, column : column + 16], label[0])


def test_the_same_draw_gives_the_same_patch_and_another_seed_another(store: PairStore) -> None:
    patches = Patches(whole(store, "a1"), (4, 16, 16), forced=0.5)
    one, again, other = (patches[[PatchDraw(0, seed)]].image for seed in (7, 7, 8))
    assert torch.equal(one, again)
    assert not torch.equal(one, other)


def test_forced_patches_have_a_class_in_their_middle_and_each_class_as_often(store: PairStore) -> None:
    label = np.zeros((6, 32, 32), np.uint8)
    label[3, 10:20, 10:20], label[2, 16, 16] = 1, 2
    source = PseudoLabels(store, {"a1": label})
    patches = Patches(Volumes((source, [Run("a1", range(6))])), (2, 8, 8), forced=1.0)
    middles = [int(patches[[PatchDraw(0, seed)]].label[0, 1, 4, 4]) for seed in range(60)]
    assert set(middles) == {1, 2}
    assert 20 < middles.count(2) < 40


def test_as_many_patches_as_asked_for_are_forced(store: PairStore) -> None:
    label = np.zeros((6, 32, 32), np.uint8)
    label[3, 16, 16] = 1
    source = PseudoLabels(store, {"a1": label})
    patches = Patches(Volumes((source, [Run("a1", range(6))])), (2, 4, 4), forced=0.3)
    held = [bool(patches[[PatchDraw(0, seed)]].label.any()) for seed in range(200)]
    assert 0.2 < np.mean(held) < 0.4


def test_what_is_ignored_is_no_class(store: PairStore) -> None:
    source = PseudoLabels(store, {"a1": np.full((6, 32, 32), IGNORED, np.uint8)})
    volumes = Volumes((source, [Run("a1", range(6))]))
    assert volumes.voxels(0) == []
    assert bool((Patches(volumes, (2, 8, 8), forced=1.0)[[PatchDraw(0, 1)]].label == IGNORED).all())


def test_a_volume_with_fewer_slices_is_continued_by_its_outermost_ones_which_do_not_count(store: PairStore) -> None:
    image, label, _ = Patches(whole(store, "a1"), (10, 32, 32), forced=1.0)[[PatchDraw(0, 1)]]
    planes = store.windowed_of(SliceRef("a1", position) for position in range(6))
    assert np.array_equal(image[0, 0, 2:8], planes)
    assert torch.equal(image[0, 0, 0], image[0, 0, 2])
    assert torch.equal(image[0, 0, 9], image[0, 0, 7])
    assert (label[0, [0, 1, 8, 9]] == IGNORED).all()
    assert np.array_equal(label[0, 2:8], store.label("a1"))


def test_a_run_is_a_volume_of_its_own(store: PairStore) -> None:
    volumes = Volumes((store, [Run("a1", range(1, 3)), Run("a2", range(6))]))
    assert len(volumes) == 2
    assert volumes.patients == ["a1", "a2"]
    image, label, place = volumes[[0]]
    assert image.shape == (1, 1, 2, 32, 32)
    assert np.array_equal(image[0, 0, 1], store.windowed(SliceRef("a1", 2)))
    assert np.array_equal(label[0], store.label("a1")[1:3])
    assert place.tolist() == [0]


def test_batches_follow_from_seed_and_step() -> None:
    def batches(seed: int, done: int = 0) -> list[list[PatchDraw]]:
        return list(PatchBatches(ShuffledBatches(3, batch_size=2, steps=4, seed=1, done=done), seed=seed))

    assert batches(1)[2:] == batches(1, done=2)
    assert [draw.place for draw in batches(1)[0]] == [draw.place for draw in batches(2)[0]]
    assert batches(1)[0][0].seed != batches(2)[0][0].seed
    assert len({draw.seed for batch in batches(1) for draw in batch}) == 8
