from __future__ import annotations

import numpy as np
import torch

from nephrite.config import IGNORED
from nephrite.training.pseudo_labels import found_somewhere, to_labels

CHANNELS: dict[str, tuple[int, ...]] = {"kidney": (1,), "tumor": (2,)}


def test_sure_pixels_are_labelled_and_unsure_ones_ignored() -> None:
    probability = torch.tensor([[0.95, 0.02, 0.5, 0.99, 0.03], [0.01, 0.02, 0.0, 0.97, 0.95]])[None, :, None]
    assert to_labels(probability, CHANNELS, 0.9).flatten().tolist() == [1, 0, IGNORED, 2, 2]


def test_nothing_is_found_where_all_is_background_or_unsure() -> None:
    background, unsure = np.zeros((2, 3, 3), np.uint8), np.full((2, 3, 3), IGNORED, np.uint8)
    kidney = background.copy()
    kidney[1, 2, 0] = 1
    assert found_somewhere({"a": background, "b": unsure, "c": kidney}) == ["c"]
