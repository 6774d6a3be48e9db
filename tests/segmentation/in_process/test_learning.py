"""What slices and volumes share; trainings stand in test_fitting and in tests/segmentation/volumes."""

from __future__ import annotations

import pytest
import torch

from nephrite.segmentation.in_process.learning import mean_dice, region_counts


def test_dice_is_summed_over_a_patient_not_averaged_over_slices() -> None:
    found = torch.tensor([[[1, 1]], [[0, 0]], [[0, 0]]]).bool()
    truth = torch.tensor([[[1, 0]], [[1, 0]], [[0, 0]]]).bool()
    counts = region_counts(found, truth)
    assert counts.tolist() == [[1, 3], [0, 1], [0, 0]]
    assert mean_dice(torch.stack([counts[:2].sum(0), counts[2]])) == pytest.approx((2 * 1 / 4 + 1) / 2)


def test_voxels_of_a_volume_are_counted_as_pixels_of_a_slice() -> None:
    found, truth = torch.zeros(2, 3, 4, 4, dtype=torch.bool), torch.zeros(2, 3, 4, 4, dtype=torch.bool)
    found[0, :2, 0, 0], truth[0, 1:, 0, 0], truth[1, 2] = True, True, True
    assert region_counts(found, truth).tolist() == [[1, 4], [0, 16]]
