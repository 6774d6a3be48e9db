from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from nephrite.imaging.slices import PairStore
from nephrite.models.segmenters import build_unet
from nephrite.training.inference import predict_patient


@pytest.mark.parametrize("batch_size", [1, 4, 6])
def test_every_slice_is_predicted_once_and_in_order(pairs: Path, batch_size: int) -> None:
    network = build_unet(channels=2, base_width=4, depth=1, padding="same", normalization="none").eval()
    store = PairStore(pairs)
    whole = predict_patient(network, store, "c1", threshold=0.5, batch_size=100)
    masks = predict_patient(network, store, "c1", threshold=0.5, batch_size=batch_size)
    assert masks.shape == (6, 2, 32, 32)
    assert np.mean(masks != whole) < 1e-3  # sums in another order may tip a pixel at the threshold


def test_threshold_zero_marks_all_and_one_nothing(pairs: Path) -> None:
    network = build_unet(channels=2, base_width=4, depth=1, padding="same", normalization="none").eval()
    store = PairStore(pairs)
    assert predict_patient(network, store, "c1", threshold=0, batch_size=4).all()
    assert not predict_patient(network, store, "c1", threshold=1, batch_size=4).any()
