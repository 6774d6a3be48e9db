from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from nephrite.config import IGNORED
from nephrite.store.slices import PairStore
from nephrite.training.data import Pairs, ShuffledBatches, batch_loader
from nephrite.training.windows import Cut, WindowBatches, Windows, corner

SIZE = 32


def cuts(number: int = 400, *, forced: float = 0.0, seed: int = 3) -> list[Cut]:
    slices = ShuffledBatches(10, batch_size=number, steps=1, seed=0)
    return WindowBatches(slices, forced=forced, seed=seed).batch(0)


def label(*pixels: tuple[int, int, int]) -> np.ndarray:
    made = np.zeros((SIZE, SIZE), np.uint8)
    for row, column, value in pixels:
        made[row, column] = value
    return made


def test_windows_lie_anywhere_in_the_slice_and_never_outside() -> None:
    corners = np.array([corner(label((16, 16, 1)), 12, cut) for cut in cuts(2000)])
    assert (corners.min(), corners.max()) == (0, SIZE - 12)
    counts = np.bincount(corners[:, 0], minlength=SIZE - 12 + 1)
    assert counts.min() > 0.5 * counts.mean()


@pytest.mark.parametrize("place", [(0, 0), (16, 16), (31, 5)])
def test_a_forced_window_holds_foreground_anywhere_but_not_only_in_its_middle(place: tuple[int, int]) -> None:
    corners = np.array([corner(label((*place, 2)), 12, cut) for cut in cuts(forced=1.0)])
    inside = np.array(place) - corners
    assert ((inside >= 0) & (inside < 12)).all()
    if place == (16, 16):
        assert {*inside[:, 0]} == {*range(12)}


def test_every_class_of_a_slice_is_as_likely_and_unsure_pixels_are_none() -> None:
    made = label((1, 1, 2), (30, 30, IGNORED))
    made[20:30, 2:12] = 1
    corners = [corner(made, 8, cut) for cut in cuts(forced=1.0)]
    small = [row <= 1 and column <= 1 for row, column in corners]
    assert np.mean(small) == pytest.approx(0.5, abs=0.1)


def test_a_slice_without_foreground_gives_a_window_like_any_other() -> None:
    assert {corner(label(), 12, cut)[0] for cut in cuts(forced=1.0)} == {*range(SIZE - 12 + 1)}


def test_so_many_windows_are_forced_as_are_asked_for() -> None:
    assert np.mean([cut.forced for cut in cuts(2000, forced=0.33)]) == pytest.approx(0.33, abs=0.03)


def test_draws_follow_from_seed_and_step_and_ranks_share_them() -> None:
    def batches(seed: int = 3, **share: int) -> WindowBatches:
        return WindowBatches(ShuffledBatches(10, batch_size=4, steps=3, seed=0, **share), forced=0.5, seed=seed)

    whole = list(batches())
    assert whole == list(batches())
    assert whole != list(batches(seed=4))
    assert whole[0] != whole[1]
    parts = [list(batches(rank=rank, ranks=2)) for rank in (0, 1)]
    assert [[one[0], two[0], one[1], two[1]] for one, two in zip(*parts, strict=True)] == whole
    assert list(batches(done=2)) == whole[2:]


def test_image_and_label_are_cut_alike(pairs: Path) -> None:
    store = PairStore(pairs)
    slices = Pairs((store, store.slices("train")))
    order = ShuffledBatches(len(slices), batch_size=6, steps=2, seed=0)
    whole = list(batch_loader(slices, order))
    windows = list(batch_loader(Windows(slices, 12), WindowBatches(order, forced=0.5, seed=1)))
    for batch, cut, drawn in zip(whole, windows, WindowBatches(order, forced=0.5, seed=1), strict=True):
        assert cut.image.shape == (6, 1, 12, 12)
        assert torch.equal(cut.patient, batch.patient)
        for index, one in enumerate(drawn):
            row, column = corner(batch.label[index].numpy(), 12, one)
            box = slice(row, row + 12), slice(column, column + 12)
            assert torch.equal(cut.image[index, 0], batch.image[index, 0][box])
            assert torch.equal(cut.label[index], batch.label[index][box])


def test_windows_of_the_slices_size_are_the_slices(pairs: Path) -> None:
    store = PairStore(pairs)
    slices = Pairs((store, store.slices("train")))
    order = ShuffledBatches(len(slices), batch_size=6, steps=1, seed=0)
    (whole,), (cut,) = (
        list(batch_loader(slices, order)),
        list(batch_loader(Windows(slices, SIZE), WindowBatches(order, forced=1.0, seed=1))),
    )
    assert torch.equal(whole.image, cut.image)
