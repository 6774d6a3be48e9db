from __future__ import annotations

import pytest
import torch
from torch import Tensor

from nephrite.synthesis.overlap import Overlap, coarse_masks, mask_overlap


def square(row: int, column: int, value: int = 1, side: int = 8) -> Tensor:
    label = torch.zeros(1, 64, 64, dtype=torch.uint8)
    label[:, row : row + side, column : column + side] = value
    return label


def compare(new: Tensor, training: Tensor) -> Overlap:
    return mask_overlap(coarse_masks(new, [1, 2]), coarse_masks(training, [1, 2]))


def test_an_unchanged_mask_overlaps_wholly_with_itself() -> None:
    training = torch.cat([square(5, 5), square(20, 30), square(40, 40, value=2)])
    found = compare(training.flip(0), training)
    assert found.dice.tolist() == pytest.approx([1, 1, 1], abs=1e-5)
    assert found.nearest.tolist() == [2, 1, 0]


def test_half_an_overlap_is_half() -> None:
    assert compare(square(16, 16), square(16, 20)).dice.item() == pytest.approx(0.5, abs=0.05)


def test_a_mask_elsewhere_or_of_another_class_is_new() -> None:
    found = compare(torch.cat([square(0, 0), square(40, 40, value=2)]), square(40, 40))
    assert found.dice.tolist() == [0, 0]


def test_a_small_lesion_counts_as_much_as_its_large_organ() -> None:
    training = square(8, 8, side=40)
    new = training.clone()
    new[:, 20:23, 20:23] = 2
    assert compare(new, training).dice.item() == pytest.approx(0.5, abs=0.02)


def test_empty_masks_are_alike_and_unlike_all_others() -> None:
    empty = torch.zeros(1, 64, 64, dtype=torch.uint8)
    assert compare(empty, torch.cat([square(5, 5), empty])) == (torch.tensor([1.0]), torch.tensor([1]))
    assert compare(empty, square(5, 5)).dice.item() == 0


def test_the_nearest_is_found_among_thousands_and_in_any_shape() -> None:
    training = torch.zeros(2500, 20, 30, dtype=torch.uint8)
    training[:, 0, 0] = 1
    training[2222, 5:9, 5:9] = 1
    found = compare(training[2222:2223], training)
    assert found.nearest.item() == 2222
    assert found.dice.item() == pytest.approx(1, abs=1e-5)
