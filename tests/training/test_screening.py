from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch

from nephrite.config import Config
from nephrite.imaging.slices import PairStore, SliceRef
from nephrite.models.segmenters import Segmenter, build_segmenter
from nephrite.training.screening import BATCH, examine, fit_examiner, nearest_masks, thin

Load = Callable[..., Config]


def fitted(config: Config, pairs: Path, folder: Path) -> dict[str, torch.Tensor]:
    store = PairStore(pairs)
    return fit_examiner(config, store, store.slices("train"), folder).state_dict()


@pytest.fixture
def network(load: Load) -> Segmenter:
    """With random weights."""
    return build_segmenter(load().train_segmenter.segmenters["light"], channels=2).eval()


def test_examiner_follows_from_the_seed_and_takes_the_steps_of_the_settings(
    load: Load, pairs: Path, tmp_path: Path
) -> None:
    first, again, other = (
        fitted(load(f"trial.seed={seed}", "screen.steps=6"), pairs, tmp_path / f"{n}")
        for n, seed in enumerate((1, 1, 2))
    )
    assert all(torch.equal(first[name], again[name]) for name in first)
    assert any(not torch.equal(first[name], other[name]) for name in first)
    (count,) = {int(value) for name, value in first.items() if name.endswith("num_batches_tracked")}
    assert 2 <= count <= 8  # of the state that was chosen, of four


def test_validation_and_test_slices_have_no_influence(load: Load, pairs: Path, tmp_path: Path) -> None:
    clean = fitted(load("screen.steps=4"), pairs, tmp_path / "clean")
    for patient in ("b1", "b2", "c1", "c2"):
        np.load(pairs / "patients" / patient / "image.npy", mmap_mode="r+")[:] = 1000
    again = fitted(load("screen.steps=4"), pairs, tmp_path / "again")
    assert all(torch.equal(clean[name], again[name]) for name in clean)


def test_examined_slices_come_in_their_order_in_batches(pairs: Path, network: Segmenter) -> None:
    store = PairStore(pairs)
    slices = store.slices()
    seen = list(examine(network, store, slices, threshold=0.5))
    assert [len(batch.image) for batch in seen] == [BATCH, len(slices) - BATCH]
    assert np.array_equal(seen[1].image[-1], store.windowed(slices[-1]))
    assert np.array_equal(seen[0].label[7], store.label("a2")[1])
    assert seen[0].found.shape == (BATCH, 2, 32, 32)


def test_threshold_decides_what_is_found(pairs: Path, network: Segmenter) -> None:
    store = PairStore(pairs)
    shares = [next(examine(network, store, store.slices("test"), threshold=t)).found.mean() for t in (0.0, 0.5, 1.0)]
    assert shares[0] == 1 > shares[1] > shares[2] == 0


def test_masks_are_compared_with_training_masks_and_empty_ones_are_not(pairs: Path) -> None:
    store = PairStore(pairs)
    slices = [SliceRef("a1", 2), SliceRef("b1", 0), SliceRef("a1", 5)]
    same, new, empty = nearest_masks(store, slices, store, store.slices("train"))
    assert same == pytest.approx(1)
    assert 0 < new < 1
    assert np.isnan(empty)


@pytest.mark.parametrize(("most", "expected"), [(3, [0, 2, 5]), (6, [0, 1, 2, 3, 4, 5]), (9, [0, 1, 2, 3, 4, 5])])
def test_thinning_takes_evenly(most: int, expected: list[int]) -> None:
    assert thin(range(6), most) == expected
