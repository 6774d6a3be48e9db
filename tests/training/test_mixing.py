from __future__ import annotations

import numpy as np
import pytest

from nephrite.config import MixingStrategy
from nephrite.training.data import ShuffledBatches
from nephrite.training.mixing import Extra, MixedBatches, Mixture, mix


def slices(foreground: int, background: int = 0) -> np.ndarray:
    """Of so many slices, whether each holds foreground; the two kinds alternate while there are any."""
    return np.random.default_rng(0).permutation([True] * foreground + [False] * background)


def counted(extras: list[Extra], *, steps: int, batch_size: int) -> np.ndarray:
    return mix(slices(20), extras, steps=steps, batch_size=batch_size).counts


def drawn(mixture: Mixture, holds: np.ndarray) -> float:
    """Share of the slices of all batches that hold foreground."""
    batches = MixedBatches(mixture, steps=len(mixture.counts), seed=5)
    return float(holds[np.ravel(list(batches))].mean())


def test_appended_slices_join_the_real_ones() -> None:
    mixture = mix(slices(20), [Extra(slices(7), "mix", 0.25), Extra(slices(5), "append", 0.5)], steps=1, batch_size=4)
    assert [group.tolist() for group in mixture.groups] == [[*range(20), *range(27, 32)], [*range(20, 27)]]


def test_every_step_takes_a_whole_batch() -> None:
    extras = [Extra(slices(9), "mix", 0.3), Extra(slices(4), "schedule", 0.5), Extra(slices(6), "pretrain", 0.2)]
    for oversampled in (None, 0.33):
        counts = mix(slices(5, 15), extras, steps=50, batch_size=8, oversampled=oversampled).counts
        assert (counts.sum(axis=1) == 8).all()
        assert (counts >= 0).all()


def test_a_mixed_share_holds_on_average() -> None:
    counts = counted([Extra(slices(9), "mix", 0.3)], steps=100, batch_size=8)
    assert counts[:, 1].sum() == 240
    assert set(counts[:, 1]) == {2, 3}


def test_pretraining_comes_first_and_alone() -> None:
    counts = counted([Extra(slices(9), "pretrain", 0.25)], steps=8, batch_size=4)
    assert counts.tolist() == [[0, 4]] * 2 + [[4, 0]] * 6


def test_a_scheduled_share_falls_to_zero() -> None:
    counts = counted([Extra(slices(9), "schedule", 0.5)], steps=100, batch_size=8)[:, 1]
    assert counts[0] == 4
    assert counts[-10:].sum() <= 2
    assert counts.sum() == pytest.approx(0.25 * 800, abs=2)


PAINTED: list[list[Extra]] = [
    [],
    [Extra(slices(40), "mix", 0.25)],  # all of them hold lesions
    [Extra(slices(0, 40), "mix", 0.25)],  # none does
    [Extra(slices(10, 30), "mix", 0.5)],
    [Extra(slices(60, 20), "append", 0.25)],
    [Extra(slices(40), "schedule", 0.33)],
    [Extra(slices(40), "mix", 0.1), Extra(slices(5, 60), "mix", 0.4)],
]


@pytest.mark.parametrize("extras", PAINTED)
def test_as_many_slices_hold_foreground_in_every_arm(extras: list[Extra]) -> None:
    real = slices(38, 62)
    mixture = mix(real, extras, steps=400, batch_size=16, oversampled=0.33)
    holds = np.concatenate([real, *(extra.holds for extra in extras)])
    assert mixture.target == pytest.approx(0.33 + 0.67 * 0.38)
    assert mixture.foreground == pytest.approx(mixture.target, abs=0.001)
    assert drawn(mixture, holds) == pytest.approx(mixture.target, abs=0.01)


def test_slices_as_they_come_differ_between_arms() -> None:
    real, painted = slices(38, 62), Extra(slices(40), "mix", 0.25)
    plain, mixed = (mix(real, extras, steps=400, batch_size=16) for extras in ([], [painted]))
    assert plain.foreground == pytest.approx(0.38)
    assert mixed.foreground == pytest.approx(0.75 * 0.38 + 0.25)
    assert drawn(mixed, np.concatenate([real, painted.holds])) == pytest.approx(mixed.foreground, abs=0.01)


def test_real_lesions_are_never_rarer_than_they_are_by_nature() -> None:
    real, painted = slices(38, 62), Extra(slices(40), "mix", 0.6)
    mixture = mix(real, [painted], steps=500, batch_size=16, oversampled=0.33)
    inside, outside, _ = mixture.counts.sum(axis=0)
    assert inside / (inside + outside) == pytest.approx(0.38, abs=0.01)
    assert mixture.foreground > mixture.target + 0.1


def test_real_slices_with_lesions_make_up_for_what_others_lack_as_far_as_they_can() -> None:
    mixture = mix(slices(38, 62), [Extra(slices(0, 40), "mix", 0.6)], steps=500, batch_size=16, oversampled=0.33)
    inside, outside, _ = mixture.counts.sum(axis=0)
    assert outside == 0
    assert mixture.foreground == pytest.approx(0.4) == inside / (500 * 16)


@pytest.mark.parametrize(("real", "target"), [(slices(20), 1.0), (slices(0, 20), 0.0)])
def test_slices_of_one_kind_are_taken_as_they_are(real: np.ndarray, target: float) -> None:
    mixture = mix(real, [Extra(slices(4), "mix", 0.25)], steps=20, batch_size=8, oversampled=0.33)
    assert mixture.target == target
    assert mixture.counts[:, :2].sum(axis=0).tolist() == ([120, 0] if target else [0, 120])


@pytest.mark.parametrize("way", ["append", "mix"])
def test_real_slices_come_in_the_same_order_in_every_arm(way: MixingStrategy) -> None:
    real = slices(10, 10)
    alone, beside = (
        mix(real, extras, steps=5, batch_size=4, oversampled=0.33) for extras in ([], [Extra(slices(8), way, 0.25)])
    )
    orders = [MixedBatches(mixture, steps=5, seed=5).orders[0].places(range(10)) for mixture in (alone, beside)]
    assert (orders[0] == orders[1]) == (way == "mix")


def test_one_group_comes_in_the_order_of_a_plain_shuffle() -> None:
    mixed = MixedBatches(mix(slices(10), [], steps=6, batch_size=4), steps=3, seed=5)
    plain = ShuffledBatches(10, batch_size=4, steps=3, seed=5)
    assert list(mixed) == list(plain)


def two_groups(steps: int) -> Mixture:
    return mix(slices(10), [Extra(slices(4), "mix", 0.5)], steps=steps, batch_size=4)


def test_groups_are_drawn_without_replacement_and_told_apart() -> None:
    batches = [MixedBatches(two_groups(5), steps=5, seed=5).batch(step) for step in range(5)]
    real = [index for batch in batches for index in batch if index < 10]
    assert sorted(real) == list(range(10))
    assert {index for batch in batches for index in batch if index >= 10} == {10, 11, 12, 13}


def test_a_resumed_epoch_goes_on_behind_its_steps() -> None:
    whole = MixedBatches(two_groups(6), steps=3, seed=5)
    rest = MixedBatches(two_groups(6), steps=3, seed=5, done=4)
    for batches in (whole, rest):
        batches.set_epoch(1)
    assert list(rest) == list(whole)[1:]


def test_ranks_share_a_batch() -> None:
    parts = [list(MixedBatches(two_groups(2), steps=2, seed=5, rank=rank, ranks=2)) for rank in (0, 1)]
    whole = list(MixedBatches(two_groups(2), steps=2, seed=5))
    assert [np.ravel(list(zip(*pair, strict=True))).tolist() for pair in zip(*parts, strict=True)] == whole


def test_without_real_slices_the_painted_ones_are_all_there_is() -> None:
    painted = np.array([True, True, False, True])
    found = mix(np.zeros(0, bool), [Extra(painted, "mix", 1.0)], steps=3, batch_size=4, oversampled=0.33)
    assert found.counts.tolist() == [[0, 4]] * 3
    assert found.groups[1].tolist() == [0, 1, 2, 3]
    assert found.foreground == found.target == 0.75
