from __future__ import annotations

import numpy as np
import pytest

from nephrite.training.data import MixedBatches, ShuffledBatches
from nephrite.training.mixing import Extra, group_counts, group_sizes


def test_appended_slices_join_the_real_ones() -> None:
    assert group_sizes(20, [Extra(5, "append", 0.5), Extra(7, "mix", 0.25)]) == [25, 7]


def test_every_step_takes_a_whole_batch() -> None:
    extras = [Extra(9, "mix", 0.3), Extra(4, "schedule", 0.5), Extra(6, "pretrain", 0.2)]
    assert (group_counts(extras, steps=50, batch_size=8).sum(axis=1) == 8).all()
    assert (group_counts(extras, steps=50, batch_size=8) >= 0).all()


def test_a_mixed_share_holds_on_average() -> None:
    counts = group_counts([Extra(9, "mix", 0.3)], steps=100, batch_size=8)
    assert counts[:, 1].sum() == 240
    assert set(counts[:, 1]) == {2, 3}


def test_pretraining_comes_first_and_alone() -> None:
    counts = group_counts([Extra(9, "pretrain", 0.25)], steps=8, batch_size=4)
    assert counts.tolist() == [[0, 4]] * 2 + [[4, 0]] * 6


def test_a_scheduled_share_falls_to_zero() -> None:
    counts = group_counts([Extra(9, "schedule", 0.5)], steps=100, batch_size=8)[:, 1]
    assert counts[0] == 4
    assert counts[-10:].sum() <= 2
    assert counts.sum() == pytest.approx(0.25 * 800, abs=2)


def test_one_group_comes_in_the_order_of_a_plain_shuffle() -> None:
    counts = group_counts([], steps=6, batch_size=4)
    mixed = MixedBatches([10], counts, steps=3, seed=5)
    plain = ShuffledBatches(10, batch_size=4, steps=3, seed=5)
    assert list(mixed) == list(plain)


def test_groups_are_drawn_without_replacement_and_told_apart() -> None:
    counts = group_counts([Extra(4, "mix", 0.5)], steps=5, batch_size=4)
    batches = [MixedBatches([10, 4], counts, steps=5, seed=5).batch(step) for step in range(5)]
    real = [index for batch in batches for index in batch if index < 10]
    assert sorted(real) == list(range(10))
    assert {index for batch in batches for index in batch if index >= 10} == {10, 11, 12, 13}


def test_a_resumed_epoch_goes_on_behind_its_steps() -> None:
    counts = group_counts([Extra(4, "mix", 0.5)], steps=6, batch_size=4)
    whole = MixedBatches([10, 4], counts, steps=3, seed=5)
    rest = MixedBatches([10, 4], counts, steps=3, seed=5, done=4)
    for batches in (whole, rest):
        batches.set_epoch(1)
    assert list(rest) == list(whole)[1:]


def test_ranks_share_a_batch() -> None:
    counts = group_counts([Extra(4, "mix", 0.5)], steps=2, batch_size=4)
    parts = [list(MixedBatches([10, 4], counts, steps=2, seed=5, rank=rank, ranks=2)) for rank in (0, 1)]
    whole = list(MixedBatches([10, 4], counts, steps=2, seed=5))
    assert [np.ravel(list(zip(*pair, strict=True))).tolist() for pair in zip(*parts, strict=True)] == whole
