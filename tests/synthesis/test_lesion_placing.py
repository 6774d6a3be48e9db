"""Drawn lesions lie in their organ or tissue, touch no other lesion and nothing that is ignored, and are labeled."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import pytest

from nephrite.config import IGNORED
from nephrite.synthesis.edits import LesionEdit
from nephrite.synthesis.lesion_placing import PlaceRules, paint_lesions
from nephrite.synthesis.lesions import Run
from nephrite.synthesis.painted_lesions import DrawnLesion, PaintRanges, Sort, draw

RANGES = PaintRanges(sizes=[Sort(1, (3.0, 5.0))], looks=[Sort(1, (0.6, 1.0))])
KIDNEY = PlaceRules(step_of="darker", only_brighter=False)
ORGAN: dict[int, int | None] = {2: 1}
ANYWHERE: dict[int, int | None] = {1: None}


def lung() -> np.ndarray:
    image = np.full((3, 64, 64), 0.6, np.float32)
    image[:, 8:56, 8:50] = 0.1
    return image + np.random.default_rng(0).normal(0, 0.01, image.shape).astype(np.float32)


def kidney() -> tuple[np.ndarray, np.ndarray]:
    image, label = np.full((3, 64, 64), 0.1, np.float32), np.zeros((3, 64, 64), np.uint8)
    label[:, 20:44, 20:44] = 1
    image[label == 1] = 0.7
    return image, label


def paint(
    image: np.ndarray,
    label: np.ndarray,
    lesions: dict[int, int | None],
    rules: PlaceRules,
    *,
    count: int = 3,
    ranges: PaintRanges = RANGES,
    seed: int = 1,
) -> tuple[np.ndarray, np.ndarray, Sequence[LesionEdit]]:
    run = Run(label.copy(), np.arange(len(image)), (2.0, 1.0, 1.0), lesions)
    drawn = [(np.arange(len(image)), draw(ranges, count, np.random.default_rng(seed)))]
    painted, edits = paint_lesions(drawn, image, run, rules)
    return painted, run.label, edits


def test_lesions_without_an_organ_lie_in_the_dark_tissue_and_are_brighter() -> None:
    image, blank = lung(), np.zeros((3, 64, 64), np.uint8)
    for seed in range(5):
        painted, label, edits = paint(image, blank, ANYWHERE, PlaceRules(), seed=seed)
        assert all(edit.done and edit.action == "added" for edit in edits)
        assert not label[:, :6].any()
        assert not label[:, :, 53:].any()
        core = label == 1
        assert painted[core].mean() > image[core].mean() + 0.15
        assert (painted >= image).all()
        far = ~(np.pad(core, ((0, 0), (6, 6), (6, 6)))[:, 6:-6, 6:-6])
        assert np.abs(painted - image)[far & (image > 0.4)].max() < 0.2


def test_nothing_changes_far_from_lesions() -> None:
    image, blank = lung(), np.zeros((3, 64, 64), np.uint8)
    painted, label, _ = paint(image, blank, ANYWHERE, PlaceRules(), count=1)
    rows, columns = np.nonzero(label.any(0))
    changed = np.nonzero((painted != image).any(0))
    assert changed[0].min() >= rows.min() - 8
    assert changed[1].max() <= columns.max() + 8


def test_lesions_touch_neither_others_nor_what_is_ignored() -> None:
    image, label = lung(), np.zeros((3, 64, 64), np.uint8)
    label[:, 20:40, 8:45] = IGNORED
    label[:, 10:15, 20:30] = 1
    for seed in range(8):
        _, after, edits = paint(image, label, ANYWHERE, PlaceRules(), seed=seed)
        assert (after[label == IGNORED] == IGNORED).all()
        assert (after[label == 1] == 1).all()
        new = (after == 1) & (label != 1)
        near = np.zeros_like(new)
        near[:, 19:41, 8:45] = True
        near[:, 9:16, 20:30] = True
        assert not (new & near).any()
        assert any(edit.done for edit in edits)


def test_with_no_outgrowth_a_lesion_is_cut_at_its_organ() -> None:
    image, label = kidney()
    for seed in range(5):
        painted, after, _ = paint(image, label, ORGAN, KIDNEY, seed=seed)
        assert (label[after == 2] == 1).all()
        assert (after == 2).any()
        assert painted[after == 2].mean() < 0.5  # darker than the kidney


def test_lesions_grow_out_of_their_organ_into_what_they_may() -> None:
    image, label = kidney()
    rim = replace(RANGES, rim=1.0)
    grown = replace(KIDNEY, outgrowth=0.6)
    outside = [((paint(image, label, ORGAN, grown, seed=s, ranges=rim)[1] == 2) & (label == 0)).sum() for s in range(6)]
    assert sum(outside) > 20
    kept = replace(grown, grows_into=(0.3, 1.0))  # the surroundings are darker
    assert not ((paint(image, label, ORGAN, kept, ranges=rim)[1] == 2) & (label == 0)).any()


def test_outside_of_the_organ_a_lesion_has_the_intensity_that_it_has_inside() -> None:
    image, label = kidney()
    painted, after, _ = paint(image, label, ORGAN, replace(KIDNEY, outgrowth=0.6), ranges=replace(
        RANGES, rim=1.0, looks=[Sort(1, (0.4, 0.5))], edge=(0.5, 0.5), grain=(0.0, 0.0), sizes=[Sort(1, (5.0, 5.0))]
    ), count=1)  # fmt: skip
    assert after.max() == 2
    inside, outside = painted[(after == 2) & (label == 1)], painted[(after == 2) & (label == 0)]
    assert np.median(inside) == pytest.approx(0.43, abs=0.05)
    assert np.median(outside) == pytest.approx(0.43, abs=0.15)


def test_a_lesion_leaves_something_of_its_organ() -> None:
    image, label = kidney()
    large = replace(RANGES, sizes=[Sort(1, (13.0, 14.0))], axis_ratio=(1.0, 1.0))
    assert not any(edit.done for edit in paint(image, label, ORGAN, KIDNEY, ranges=large)[2])
    assert any(edit.done for edit in paint(image, label, ORGAN, replace(KIDNEY, covers=1.0), ranges=large)[2])


def test_what_fits_nowhere_is_left_out_and_told() -> None:
    image, blank = lung(), np.zeros((3, 64, 64), np.uint8)
    painted, label, edits = paint(image, blank, ORGAN, KIDNEY)  # no kidney anywhere
    assert [edit.done for edit in edits] == [False, False, False]
    assert not label.any()
    assert np.array_equal(painted, image)


def test_lesions_at_the_border_lie_nearer_to_it() -> None:
    def depth(rim: float) -> float:
        image, blank = lung(), np.zeros((3, 64, 64), np.uint8)
        small = replace(RANGES, sizes=[Sort(1, (2.5, 3.0))], rim=rim)
        found = []
        for seed in range(12):
            label = paint(image, blank, ANYWHERE, PlaceRules(), count=1, ranges=small, seed=seed)[1]
            _, rows, columns = np.nonzero(label)
            found.append(min(rows.mean() - 8, 55 - rows.mean(), columns.mean() - 8, 49 - columns.mean()))
        return float(np.mean(found))

    assert depth(1.0) < 4 < depth(0.0)


def test_middles_lie_in_the_slices_of_their_group() -> None:
    image, blank = lung(), np.zeros((3, 64, 64), np.uint8)
    thin: tuple[DrawnLesion, ...] = draw(
        replace(RANGES, sizes=[Sort(1, (1.9, 1.95))], bend=0.0), 2, np.random.default_rng(3)
    )
    run = Run(blank, np.arange(3), (2.0, 1.0, 1.0), ANYWHERE)
    paint_lesions([(np.array([2]), thin)], image, run, PlaceRules())
    assert run.label.any((1, 2)).tolist() == [False, False, True]


def test_a_lesion_ends_with_the_last_slice_of_its_organ() -> None:
    image, label = kidney()
    label[0] = 0
    rules, large = replace(KIDNEY, outgrowth=0.6), replace(RANGES, sizes=[Sort(1, (5.0, 6.0))], rim=1.0)
    held = np.sum([paint(image, label, ORGAN, rules, ranges=large, seed=s)[1] == 2 for s in range(6)], axis=0)
    assert held.any((1, 2)).tolist() == [False, True, True]


def test_new_lesions_do_not_overlap() -> None:
    image, blank = lung(), np.zeros((3, 64, 64), np.uint8)
    _, label, edits = paint(image, blank, ANYWHERE, PlaceRules(), count=14)
    volumes = [4 / 3 * np.pi * edit.radius**3 / 2 for edit in edits if edit.done]  # pixels of 2 mm3
    assert len(volumes) > 5
    assert (label == 1).sum() == pytest.approx(sum(volumes), abs=0.5)
