from __future__ import annotations

from itertools import permutations

import numpy as np
import pytest

from nephrite.config import IGNORED
from nephrite.training.pseudo_labels import found_somewhere, sure_labels

CHANNELS: dict[str, tuple[int, ...]] = {"kidney": (1,), "tumor": (2,)}


def test_sure_pixels_are_labeled_and_unsure_ones_ignored() -> None:
    probability = np.array([[0.95, 0.02, 0.5, 0.99, 0.03], [0.01, 0.02, 0.0, 0.97, 0.95]], np.float32)[None, :, None]
    assert sure_labels(probability, CHANNELS, 0.9).flatten().tolist() == [1, 0, IGNORED, 2, 2]


@pytest.mark.parametrize("order", list(permutations(["abdomen", "kidney", "tumor"])))
def test_channels_that_share_values_are_labeled_as_in_a_mask_whatever_their_order(order: tuple[str, ...]) -> None:
    values = {"abdomen": (1, 2, 3), "kidney": (1, 2), "tumor": (2,)}
    sure: dict[str, list[float]] = {"abdomen": [1, 1, 1, 0, 0.5], "kidney": [0, 1, 1, 0, 1], "tumor": [0, 0, 1, 0, 1]}
    channels = {name: values[name] for name in order}
    probability = np.array([sure[name] for name in order], np.float32)[None, :, None]
    assert sure_labels(probability, channels, 0.9).flatten().tolist() == [3, 1, 2, 0, IGNORED]


def test_nothing_is_found_where_all_is_background_or_unsure() -> None:
    background, unsure = np.zeros((2, 3, 3), np.uint8), np.full((2, 3, 3), IGNORED, np.uint8)
    kidney = background.copy()
    kidney[1, 2, 0] = 1
    assert found_somewhere({"a": background, "b": unsure, "c": kidney}) == ["c"]
