from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import Tensor

from nephrite.synthesis.edits import EditRanges
from nephrite.synthesis.masks import MaskRanges, NewMasks, apply, draw, fit_hosts
from nephrite.synthesis.overlap import coarse_masks, mask_overlap

SPACING = (4.0, 3.0, 3.0)
STILL = MaskRanges(
    rotation=0, scale=0, shift=0, strength=0, edits=EditRanges(removed=0, rescaled=0, moved=0, added=0)
)  # fmt: skip
Slices = tuple[Tensor, Tensor, Tensor]


def body(slices: int = 8, height: int = 48, width: int = 56, *, lesion: bool = True) -> Slices:
    """Image, label map and tissue map of a body with a kidney and a tumor."""
    tissue = torch.zeros(slices, height, width, dtype=torch.uint8)
    tissue[:, 4:-4, 4:-4] = 1
    label = torch.zeros_like(tissue)
    label[:, 10:34, 10:34] = 1
    tissue[:, 10:34, 10:34] = 2
    if lesion:
        label[slices // 2, 14:20, 14:20] = 2
        tissue[slices // 2, 14:20, 14:20] = 3
    return tissue[:, None] / 3, label, tissue


def make(
    slices: Slices, ranges: MaskRanges, *, seed: int = 0, lesions: dict[int, int | None] | None = None
) -> NewMasks:
    image, label, tissue = slices
    known = {2: 1} if lesions is None else lesions
    return apply(draw(range(len(label)), SPACING, ranges=ranges, lesions=known, seed=seed), image, label, tissue)


def same(one: NewMasks, other: NewMasks) -> bool:
    tensors = zip((one.label, one.image, one.changed), (other.label, other.image, other.changed), strict=True)
    return all(torch.equal(*pair) for pair in tensors) and one.edits == other.edits


def test_nothing_drawn_gives_the_same_masks_with_an_overlap_of_one() -> None:
    slices = body()
    new = make(slices, STILL)
    assert torch.equal(new.label, slices[1])
    assert not new.changed.any()
    known = coarse_masks(slices[1], [1, 2])
    assert mask_overlap(coarse_masks(new.label, [1, 2]), known).dice.tolist() == pytest.approx([1] * 8, abs=1e-5)


def test_the_same_seed_replays_the_sample_and_another_does_not() -> None:
    ranges = MaskRanges(edits=EditRanges(added=2))
    assert same(make(body(), ranges, seed=4), make(body(), ranges, seed=4))
    assert not same(make(body(), ranges, seed=4), make(body(), ranges, seed=5))


def test_label_tissue_and_image_move_together() -> None:
    new = make(body(lesion=False), replace(STILL, rotation=20, scale=0.1, strength=0.03), seed=1)
    assert new.tissue is not None
    assert not torch.equal(new.label, body(lesion=False)[1])
    assert ((new.label == 1) == (new.tissue == 2)).float().mean() > 0.99
    assert ((new.image[:, 0] > 0.5) == (new.tissue == 2)).float().mean() > 0.98


def test_neighboring_slices_stay_alike() -> None:
    new = make(body(20, lesion=False), replace(STILL, rotation=10, strength=0.04, along=0.5), seed=2)
    kidney = new.label == 1
    both = (kidney[1:] & kidney[:-1]).sum((1, 2)) * 2 / (kidney[1:].sum((1, 2)) + kidney[:-1].sum((1, 2)))
    assert both.min() > 0.93
    assert not torch.equal(new.label[0], new.label[-1])


def test_a_slice_is_deformed_alike_whether_its_neighbors_come_along() -> None:
    image, label, _ = body(9, lesion=False)
    ranges = replace(STILL, rotation=10, strength=0.04)
    whole, some = (
        apply(draw(chosen, SPACING, ranges=ranges, lesions={}, seed=3), image[chosen], label[chosen])
        for chosen in ([0, 1, 2, 3, 4, 5, 6, 7, 8], [0, 3, 8])
    )
    assert torch.equal(whole.label[[0, 3, 8]], some.label)


def test_a_removed_lesion_takes_its_tissue_along() -> None:
    ranges = replace(STILL, edits=EditRanges(removed=1, rescaled=0, moved=0, added=0))
    new = make(body(), ranges)
    assert new.tissue is not None
    assert set(new.label[4, 14:20, 14:20].flatten().tolist()) == {1}
    assert int(new.changed.sum()) == 36
    assert new.tissue.max() == 2


def test_new_lesions_lie_on_slices_of_their_organ_in_one_piece_of_space() -> None:
    ranges = replace(STILL, edits=EditRanges(removed=0, rescaled=0, moved=0, added=3))
    new = make(body(lesion=False), ranges, seed=8)
    done = [edit for edit in new.edits if edit.done]
    assert done
    assert torch.equal(new.changed, new.label == 2)
    touched = torch.nonzero(new.changed.any(1).any(1))[:, 0].tolist()
    assert len(touched) > 1


@pytest.mark.parametrize("lesions", [{}, {2: 1}, {1: None}])
@pytest.mark.parametrize("slices", [1, 2])
def test_empty_masks_and_single_slices(lesions: dict[int, int | None], slices: int) -> None:
    image = torch.zeros(slices, 1, 30, 20)
    new = make((image, *torch.zeros(2, slices, 30, 20, dtype=torch.uint8)), MaskRanges(), lesions=lesions)
    assert new.label.shape == (slices, 30, 20)
    assert set(new.label.flatten().tolist()) <= {0, *lesions}
    assert all(not edit.done for edit in new.edits if lesions == {2: 1})


def test_without_a_lesion_class_only_the_deformation_is_left() -> None:
    new = make(body(), MaskRanges(), lesions={})
    assert (new.edits, bool(new.changed.any())) == ((), False)
    assert not torch.equal(new.label, body()[1])


def test_without_a_tissue_map_there_is_none() -> None:
    image, label, _ = body()
    parameters = draw(range(8), SPACING, ranges=MaskRanges(), lesions={2: 1}, seed=0)
    assert apply(parameters, image, label).tissue is None


def test_hosts_are_the_tissues_around_lesions() -> None:
    _, label, tissue = body(slices=2, height=60, width=60)
    assert fit_hosts(label, tissue, 2, tissues=4) == pytest.approx((0, 0, 1, 0), abs=0.01)
    assert fit_hosts(torch.zeros_like(label), tissue, 2, tissues=4) == (0.25,) * 4


def test_lesions_without_an_organ_start_in_the_tissues_of_their_hosts() -> None:
    image, label, tissue = body(lesion=False)
    blank = torch.zeros_like(label)
    ranges = replace(STILL, edits=EditRanges(removed=0, rescaled=0, moved=0, added=6))
    for seed in range(3):
        drawn = draw(range(8), SPACING, ranges=ranges, lesions={1: None}, seed=seed)
        new = apply(drawn, image, blank, tissue, hosts={1: (0, 0, 1, 0)})
        places = np.argwhere(new.label.numpy() == 1)
        if len(places):
            assert (label[tuple(torch.from_numpy(places.T))] == 1).float().mean() > 0.5
    assert new.label.any()
