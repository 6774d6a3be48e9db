from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from nephrite.config import Config
from nephrite.screening.examination import BATCH, examine, nearest_masks
from nephrite.segmentation.networks import Segmenter, build_segmenter
from nephrite.store.slices import PairStore, SliceRef
from nephrite.training.nearest_masks import TrainingMasks

Load = Callable[..., Config]


@pytest.fixture
def network(load: Load) -> Segmenter:
    """With random weights."""
    return build_segmenter(load().train_segmenter.segmenters["light"], channels=2).eval()


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
    same, new, empty = nearest_masks(store, slices, TrainingMasks(store, store.patients("train")))
    assert same == pytest.approx(1)
    assert 0 < new < 1
    assert np.isnan(empty)
