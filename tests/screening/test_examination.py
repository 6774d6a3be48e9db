from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from nephrite.config import Config
from nephrite.screening.examination import BATCH, examine, nearest_masks
from nephrite.segmentation.backend import backend_of
from nephrite.segmentation.in_process.family import InProcess, TrainedNetwork
from nephrite.store.slices import PairStore, SliceRef
from nephrite.training.nearest_masks import TrainingMasks
from tests.conftest import CHANNELS

Load = Callable[..., Config]


@pytest.fixture
def helper(load: Load) -> TrainedNetwork:
    """With random weights."""
    backend = backend_of(load().train_segmenter.segmenters["light"])
    assert isinstance(backend, InProcess)
    return TrainedNetwork(backend=backend, channels=CHANNELS, threshold=0.5, network=backend.build(2).eval())


def test_examined_slices_come_in_their_order_in_batches(pairs: Path, helper: TrainedNetwork) -> None:
    store = PairStore(pairs)
    slices = store.slices()
    seen = list(examine(helper, store, slices, threshold=0.5))
    assert [len(batch.image) for batch in seen] == [BATCH, len(slices) - BATCH]
    assert np.array_equal(seen[1].image[-1], store.windowed(slices[-1]))
    assert np.array_equal(seen[0].label[7], store.label("a2")[1])
    assert seen[0].found.shape == (BATCH, 2, 32, 32)


def test_threshold_decides_what_is_found(pairs: Path, helper: TrainedNetwork) -> None:
    store = PairStore(pairs)
    shares = [next(examine(helper, store, store.slices("test"), threshold=t)).found.mean() for t in (0.0, 0.5, 1.0)]
    assert shares[0] == 1 > shares[1] > shares[2] == 0


def test_masks_are_compared_with_training_masks_and_empty_ones_are_not(pairs: Path) -> None:
    store = PairStore(pairs)
    slices = [SliceRef("a1", 2), SliceRef("b1", 0), SliceRef("a1", 5)]
    same, new, empty = nearest_masks(store, slices, TrainingMasks(store, store.patients("train")))
    assert same == pytest.approx(1)
    assert 0 < new < 1
    assert np.isnan(empty)
