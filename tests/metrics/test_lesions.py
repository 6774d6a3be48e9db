from __future__ import annotations

import numpy as np
import pytest

from nephrite.config import LesionRule
from nephrite.errors import VolumeError
from nephrite.metrics.lesions import Candidate, LesionFindings, find_lesions, pooled

SPACING = (5.0, 2.0, 1.0)  # 0.01 ml a voxel


def volume(*boxes: tuple[slice | int, slice, slice], value: float = 1.0) -> np.ndarray:
    """Three slices of 16 x 16 with boxes of a value."""
    found = np.zeros((3, 16, 16))
    for place in boxes:
        found[place] = value
    return found


def test_candidates_have_their_largest_probability_their_volume_and_the_lesion_that_they_hit() -> None:
    truth = volume((1, slice(2, 6), slice(2, 6)), (1, slice(10, 12), slice(10, 14))) > 0
    said = volume((1, slice(3, 5), slice(3, 7)), value=0.4) + volume((0, slice(0, 1), slice(14, 16)), value=0.2)
    said[1, 4, 4] = 0.9
    found = find_lesions(said, truth, LesionRule(), SPACING)
    assert found.lesions == pytest.approx((0.16, 0.08))
    assert found.images == 1
    assert [(each.score, each.hit) for each in found.candidates] == [(0.2, None), (0.9, 0)]
    assert [each.volume for each in found.candidates] == pytest.approx([0.02, 0.08])


@pytest.mark.parametrize(("rule", "lesions", "images"), [(LesionRule(), 1, 1), (LesionRule(dimensions=2), 2, 3)])
def test_a_lesion_is_a_component_of_the_volume_or_of_each_slice(rule: LesionRule, lesions: int, images: int) -> None:
    truth = volume((slice(0, 2), slice(2, 6), slice(2, 6))) > 0
    found = find_lesions(truth.astype(float), truth, rule, SPACING)
    assert (len(found.lesions), len(found.candidates), found.images) == (lesions, lesions, images)
    assert [each.hit for each in found.candidates] == [*range(lesions)]


def test_lesions_that_touch_at_a_corner_are_one() -> None:
    truth = volume((1, slice(2, 4), slice(2, 4)), (1, slice(4, 6), slice(4, 6))) > 0
    assert len(find_lesions(truth.astype(float), truth, LesionRule(dimensions=2), SPACING).lesions) == 1


def test_what_lies_below_the_threshold_is_no_candidate() -> None:
    truth = volume((1, slice(2, 6), slice(2, 6))) > 0
    said = volume((1, slice(2, 6), slice(2, 6)), value=0.3)
    assert find_lesions(said, truth, LesionRule(threshold=0.31), SPACING).candidates == ()
    assert len(find_lesions(said, truth, LesionRule(threshold=0.3), SPACING).candidates) == 1


def test_the_center_weighs_by_probability_and_the_overlap_does_not() -> None:
    truth = volume((1, slice(2, 6), slice(2, 6))) > 0
    said = volume((1, slice(2, 6), slice(2, 14)), value=0.15)
    said[1, 2:6, 2:4] = 1.0  # its middle lies outside, its weight inside
    assert find_lesions(said, truth, LesionRule(), SPACING).candidates[0].hit == 0
    assert find_lesions(volume((1, slice(2, 6), slice(2, 14))), truth, LesionRule(), SPACING).candidates[0].hit is None
    for overlap, hit in ((0.33, 0), (0.34, None)):  # 16 of 48 voxels
        rule = LesionRule(hit="overlap", overlap=overlap)
        assert find_lesions(said, truth, rule, SPACING).candidates[0].hit == hit


def test_a_candidate_over_two_lesions_hits_the_one_that_it_overlaps_more() -> None:
    truth = volume((1, slice(2, 4), slice(2, 4)), (1, slice(2, 4), slice(6, 12))) > 0
    said = volume((1, slice(2, 4), slice(2, 12)))
    (found,) = find_lesions(said, truth, LesionRule(hit="overlap"), SPACING).candidates
    assert found.hit == 1


def test_a_lesion_that_is_too_small_is_neither_a_miss_nor_an_error() -> None:
    truth = volume((1, slice(2, 3), slice(2, 4)), (1, slice(8, 12), slice(8, 12))) > 0
    found = find_lesions(truth.astype(float), truth, LesionRule(smallest=0.03), SPACING)
    assert found.lesions == pytest.approx((0.16,))
    assert [each.hit for each in found.candidates] == [0]


def test_pooled_windows_keep_which_lesion_was_hit() -> None:
    one = LesionFindings((0.1, 0.2), (Candidate(0.5, 0.1, 1), Candidate(0.4, 0.1, None)), 3)
    other = LesionFindings((0.3,), (Candidate(0.9, 0.2, 0),), 3)
    both = pooled([one, other])
    assert both.lesions == (0.1, 0.2, 0.3)
    assert [each.hit for each in both.candidates] == [1, None, 2]
    assert both.images == 6


def test_other_shapes_are_refused() -> None:
    with pytest.raises(VolumeError, match="has shape"):
        find_lesions(np.zeros((1, 4, 4)), np.zeros((1, 4, 5), bool), LesionRule(), SPACING)
