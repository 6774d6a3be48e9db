"""What a generator is shown follows from the slices alone: condition, tissue map, region to paint."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import Tensor

from nephrite.generation.conditioning import Conditioning, Request, borrow_regions

CPU = torch.device("cpu")
LABELS, ANATOMY = Conditioning((1, 2)), Conditioning((1, 2), edges=(0.3, 0.6))
PAINT_IN = Conditioning((1, 2), lesions=(2,), rim=2)


def slices(count: int = 3) -> tuple[Tensor, Tensor]:
    """A bright organ with a lesion, which the last slice does not have."""
    label = torch.zeros(count, 24, 20, dtype=torch.uint8)
    label[:, 4:16, 4:16] = 1
    label[:-1, 8:11, 8:11] = 2
    return 0.1 + 0.4 * label[:, None].float(), label


def test_condition_of_labels_has_background_first_and_sums_to_one() -> None:
    scene = Conditioning((2, 5)).of_batch(torch.rand(1, 1, 1, 4), torch.tensor([[[0, 2, 5, 9]]], dtype=torch.uint8))
    assert scene.condition[0, :, 0].tolist() == [[1, 0, 0, 1], [0, 1, 0, 0], [0, 0, 1, 0]]
    assert scene.tissue is scene.region is None


def test_condition_of_anatomy_has_tissues_first_and_labels_over_them() -> None:
    image, label = slices()
    scene = ANATOMY.of_batch(image, label)
    assert (ANATOMY.tissues, ANATOMY.channels, scene.condition.shape[1]) == (3, 5, 5)
    assert torch.equal(scene.condition.sum(1), torch.ones(3, 24, 20))
    assert scene.condition[:, 0].sum() == (label == 0).sum()  # dark
    assert torch.equal(scene.condition[:, 4] > 0, label == 2)


def test_smoothing_is_that_of_the_tissue_map() -> None:
    image = torch.rand(1, 1, 32, 32)
    maps = [Conditioning((1,), edges=(0.5,), smoothing=sigma).tissue(image) for sigma in (0.0, 2.0)]
    borders = [int((x[:, 1:] != x[:, :-1]).sum()) for x in maps if x is not None]
    assert borders[1] < 0.5 * borders[0]


@pytest.mark.parametrize("conditioning", [LABELS, ANATOMY, PAINT_IN])
def test_request_for_real_slices_shows_what_training_shows(conditioning: Conditioning) -> None:
    image, label = slices(4)
    trained = conditioning.of_batch(image[:3], label[:3])  # all with a lesion
    asked = conditioning.of_request(conditioning.of_real(image[:3, 0].numpy(), label[:3].numpy()), CPU)
    assert torch.equal(asked.condition, trained.condition)
    assert trained.region is asked.region is None or torch.equal(asked.region, trained.region)  # type: ignore[arg-type]
    assert torch.equal(asked.background, trained.background)  # type: ignore[arg-type] # both were given


def test_region_is_lesion_and_rim() -> None:
    image, label = slices()
    region = PAINT_IN.of_batch(image, label).region
    assert region is not None
    assert region[0, 0].nonzero().amin(0).tolist() == [6, 6]
    assert region[0, 0].nonzero().amax(0).tolist() == [12, 12]


def test_region_of_a_request_holds_what_was_changed() -> None:
    image, label = slices()
    changed = np.zeros(label.shape, dtype=bool)
    changed[:, 20, 18] = True
    request = Request(label.numpy(), background=image[:, 0].numpy(), changed=changed)
    region = PAINT_IN.of_request(request, CPU).region
    assert region is not None
    assert region[:, 0, 20, 18].tolist() == [1, 1, 1]
    assert region[2].sum() < region[0].sum()  # the last slice has no lesion


def test_slices_without_a_lesion_borrow_the_places_of_those_that_have_one() -> None:
    image, label = slices()
    region = PAINT_IN.of_batch(image, label).region
    assert region is not None
    assert torch.equal(region[2], region[0])
    empty = torch.zeros(2, 4, 4, dtype=torch.bool)
    assert torch.equal(borrow_regions(empty), empty)


def test_what_is_missing_is_refused() -> None:
    _, label = slices()
    with pytest.raises(AssertionError, match="a tissue map is part"):
        ANATOMY.of_request(Request(label.numpy()), CPU)
    with pytest.raises(AssertionError, match="nothing to paint into"):
        PAINT_IN.of_request(Request(label.numpy()), CPU)
