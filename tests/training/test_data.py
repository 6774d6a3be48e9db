from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from nephrite.errors import ConfigError
from nephrite.store.slices import PairStore, SliceRef
from nephrite.training.data import OrderedBatches, Pairs, ShuffledBatches, batch_loader, channel_masks


def shuffled(epoch: int = 0, *, rank: int = 0, ranks: int = 1, seed: int = 3) -> list[list[int]]:
    batches = ShuffledBatches(10, batch_size=4, steps=5, seed=seed, rank=rank, ranks=ranks)
    batches.set_epoch(epoch)
    return list(batches)


def test_each_pass_takes_every_slice_once() -> None:
    taken = [index for batch in shuffled() for index in batch]
    assert sorted(taken[:10]) == sorted(taken[10:]) == list(range(10))
    assert taken[:10] != taken[10:]


def test_epoch_follows_from_seed_and_number_alone() -> None:
    assert shuffled(4) == shuffled(4)
    assert shuffled(4) != shuffled(5)
    assert shuffled(4) != shuffled(4, seed=4)


def test_epoch_has_the_same_steps_for_any_training_set() -> None:
    sizes = {slices: list(ShuffledBatches(slices, batch_size=4, steps=5, seed=0)) for slices in (1, 3, 500)}
    assert all([len(batch) for batch in batches] == [4] * 5 for batches in sizes.values())
    assert sizes[1] == [[0, 0, 0, 0]] * 5


def test_ranks_share_each_batch() -> None:
    whole, first, second = shuffled(1), shuffled(1, rank=0, ranks=2), shuffled(1, rank=1, ranks=2)
    assert [sorted(a + b) for a, b in zip(first, second, strict=True)] == [sorted(batch) for batch in whole]


def test_batch_that_cannot_be_shared_evenly_is_refused() -> None:
    with pytest.raises(ConfigError, match="4 slices cannot be shared evenly by 3 devices"):
        ShuffledBatches(10, batch_size=4, steps=5, seed=0, ranks=3)


@pytest.mark.parametrize("slices", [1, 7, 8, 23])
def test_ordered_batches_hold_every_slice_once(slices: int) -> None:
    batches = list(OrderedBatches(slices, batch_size=4))
    assert [index for batch in batches for index in batch] == list(range(slices))
    assert all(len(batch) >= min(4, slices) for batch in batches)


def test_ordered_batches_are_the_same_in_each_epoch() -> None:
    batches = OrderedBatches(9, batch_size=4)
    first = list(batches)
    batches.set_epoch(3)
    assert list(batches) == first


def test_ranks_see_equally_many_ordered_batches() -> None:
    first, second = (OrderedBatches(9, batch_size=4, rank=rank, ranks=2) for rank in (0, 1))
    assert len(first) == len(second)
    assert sorted(index for share in (*first, *second) for index in share) == list(range(9))


def test_batch_holds_windowed_slices_of_their_patients(pairs: Path) -> None:
    store = PairStore(pairs)
    slices = Pairs((store, store.slices("train")))
    batch = slices[[7, 0]]
    assert batch.image.shape == (2, 1, 32, 32)
    assert batch.image.dtype == torch.float32
    assert np.array_equal(batch.image[0, 0], store.windowed(SliceRef("a2", 1)))
    assert np.array_equal(batch.label[1], store.label("a1")[0])
    assert [slices.patients[place] for place in batch.patient] == ["a2", "a1"]


def test_stores_join_one_after_the_other(pairs: Path, synthetic: Path) -> None:
    real, painted = PairStore(pairs), PairStore(synthetic)
    joined = Pairs((real, real.slices("train")), (painted, painted.slices()))
    assert len(joined) == 24
    assert joined.patients == ["a1", "a2", "a3", "synthetic-a1"]
    assert np.array_equal(joined[[18]].label[0], painted.label("synthetic-a1")[0])


@pytest.mark.parametrize("workers", [0, 1])
def test_loader_yields_what_the_sampler_asks_for(pairs: Path, workers: int) -> None:
    store = PairStore(pairs)
    slices = Pairs((store, store.slices("train")))
    batches = ShuffledBatches(len(slices), batch_size=4, steps=2, seed=0)
    loaded = list(batch_loader(slices, batches, workers=workers))
    assert [torch.equal(batch.image, slices[batches.batch(step)].image) for step, batch in enumerate(loaded)] == [
        True
    ] * 2


def test_channels_are_unions_of_label_values() -> None:
    label = torch.tensor([[[0, 1], [2, 3]]], dtype=torch.uint8)
    masks = channel_masks(label, {"kidney": (1, 2), "cyst": (3,)})
    assert masks.int().tolist() == [[[[0, 1], [1, 0]], [[0, 0], [0, 1]]]]
