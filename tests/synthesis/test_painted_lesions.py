"""Drawn lesions are repeated by their seed, have the size that was asked for, and differ from what is around them."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from nephrite.synthesis.painted_lesions import DrawnLesion, PaintRanges, Sort, draw, lay, render

RANGES = PaintRanges(sizes=[Sort(1, (4.0, 9.0))], looks=[Sort(1, (0.5, 1.0))])
SHAPE = (5, 64, 64)
MIDDLE = (2, 32, 32)
HEIGHTS = np.arange(5) * 2.0


def drawn(count: int = 40, seed: int = 1, ranges: PaintRanges = RANGES) -> tuple[DrawnLesion, ...]:
    return draw(ranges, count, np.random.default_rng(seed))


def painted(lesion: DrawnLesion, image: np.ndarray, *, only_brighter: bool = False) -> np.ndarray:
    shape = lay(lesion, MIDDLE, HEIGHTS, SHAPE)
    whole = image.copy()
    whole[shape.box] = render(
        lesion, image[shape.box], shape, shape.mask, level=0.2, unit=0.5, grain_size=1.0, only_brighter=only_brighter
    )
    return whole


def test_draws_follow_from_the_seed_and_lie_in_their_ranges() -> None:
    first, again, other = drawn(), drawn(), drawn(seed=2)
    assert [lesion.radius for lesion in first] == [lesion.radius for lesion in again]
    assert [lesion.seed for lesion in first] != [lesion.seed for lesion in other]
    assert all(4 <= lesion.radius <= 9 and 0.5 <= lesion.step <= 1 for lesion in first)
    assert all(0.6 <= lesion.axes[2] / lesion.axes[1] <= 1 for lesion in first)
    assert {lesion.rim for lesion in first} == {True, False}


def test_a_mix_of_sizes_and_looks_comes_by_weight() -> None:
    mixed = replace(
        RANGES,
        sizes=[Sort(3, (2.0, 3.0)), Sort(1, (10.0, 12.0))],
        looks=[Sort(1, (-1.0, -0.5)), Sort(0.01, (0.5, 1.0))],
    )
    lesions = drawn(400, ranges=mixed)
    assert np.mean([lesion.radius < 5 for lesion in lesions]) == pytest.approx(0.75, abs=0.07)
    assert np.mean([lesion.step < 0 for lesion in lesions]) > 0.95


def test_radii_are_log_uniform() -> None:
    radii = [lesion.radius for lesion in drawn(600)]
    assert np.median(radii) == pytest.approx(6.0, abs=0.3)  # the geometric middle of 4 and 9


def test_the_area_in_the_middle_slice_is_that_of_the_radius() -> None:
    ratios = [lay(one, MIDDLE, HEIGHTS, SHAPE).mask.max(0).sum() / (np.pi * one.radius**2) for one in drawn(60)]
    assert np.mean(ratios) == pytest.approx(1, abs=0.12)


def test_a_lesion_reaches_over_neighbors_and_shrinks_there() -> None:
    lesion = replace(drawn(1)[0], radius=6.0, axes=(1.0, 1.0, 1.0), bends=np.zeros(5))
    shape = lay(lesion, MIDDLE, HEIGHTS, SHAPE)
    areas = shape.mask.sum((1, 2))
    assert shape.box[0] == slice(0, 5)
    assert areas[2] == areas.max() > areas[1] == areas[3] > areas[0] > 0
    assert lay(lesion, MIDDLE, np.arange(5) * 10**6, SHAPE).box[0] == slice(2, 3)  # no neighbors


def test_an_outline_is_bent_by_its_harmonics() -> None:
    round_one = replace(drawn(1)[0], radius=9.0, axes=(1.0, 1.0, 1.0), bends=np.zeros(5))
    bent = replace(round_one, bends=np.array([0.2, 0.1, 0, 0, 0]))
    assert (lay(round_one, MIDDLE, HEIGHTS, SHAPE).mask.sum() != lay(bent, MIDDLE, HEIGHTS, SHAPE).mask.sum()).all()


def test_a_lesion_steps_from_its_tissue_and_leaves_the_rest_alone() -> None:
    lesion = replace(drawn(1)[0], radius=8.0, step=0.8, grain=0.05, core=0.0, edge=0.5, axes=(0.2, 1.0, 1.0))
    image = np.full(SHAPE, 0.2, np.float32)
    after = painted(lesion, image)
    mask = np.zeros(SHAPE, bool)
    shape = lay(lesion, MIDDLE, HEIGHTS, SHAPE)
    mask[shape.box] = shape.depth > 0.3
    assert after[mask].mean() == pytest.approx(0.2 + 0.8 * 0.5, abs=0.03)
    assert after[mask].std() == pytest.approx(0.05 * 0.5, rel=0.5)
    assert np.array_equal(after[[0, 1, 3, 4]], image[[0, 1, 3, 4]])
    assert np.array_equal(after, painted(lesion, image))


def test_the_middle_goes_further_by_the_core() -> None:
    flat = replace(drawn(1)[0], radius=9.0, step=-0.2, grain=0.0, core=0.0, edge=0.5, axes=(0.2, 1.0, 1.0))
    image = np.full(SHAPE, 0.2, np.float32)
    assert painted(replace(flat, core=0.5), image)[MIDDLE] < painted(flat, image)[MIDDLE] - 0.03


def test_what_is_brighter_stays_only_if_asked_for() -> None:
    lesion = replace(drawn(1)[0], radius=8.0, step=0.5, grain=0.0)
    image = np.full(SHAPE, 0.2, np.float32)
    image[2, 30:33, 20:50] = 0.9  # a vessel
    assert painted(lesion, image, only_brighter=True)[2, 31, 32] == pytest.approx(0.9)
    assert (painted(lesion, image, only_brighter=True) >= image).all()
    assert painted(lesion, image)[2, 31, 32] < 0.6


def test_what_leaves_the_slice_is_cut_off() -> None:
    shape = lay(replace(drawn(1)[0], radius=9.0), (2, 0, 63), HEIGHTS, SHAPE)
    assert shape.box[1].start == 0
    assert shape.box[2].stop == 64
    assert shape.mask.any()


def test_the_outline_turns_along_the_patient() -> None:
    still = replace(drawn(1)[0], radius=9.0, axes=(1.0, 1.0, 1.0), bends=np.full(5, 0.1), drifts=np.zeros(5))
    turned = replace(still, drifts=np.full(5, 1.5))
    one, other = (lay(lesion, MIDDLE, HEIGHTS, SHAPE).mask for lesion in (still, turned))
    assert np.array_equal(one[2], other[2])  # in the slice of its middle nothing has turned yet
    assert not np.array_equal(one[3], other[3])
