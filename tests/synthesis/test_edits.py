from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from nephrite.synthesis.edits import MOST, Action, EditRanges, LesionEdit, draw_edits, edit_lesions
from nephrite.synthesis.ellipsoids import RADII, WITHIN, EllipsoidRanges
from nephrite.synthesis.lesions import Run, find_lesions

KIDNEY, TUMOR = 1, 2
NOTHING = EditRanges(removed=0.0, rescaled=0.0, moved=0.0, added=0.0)


def make_run(*, lesion: bool = True, organ: int | None = KIDNEY, slices: int = 12) -> Run:
    label = np.zeros((slices, 64, 64), dtype=np.uint8)
    label[:, 10:50, 8:48] = KIDNEY if organ else 0
    if lesion:
        label[slices // 3 : slices // 3 + 2, 20:26, 20:26] = TUMOR
    return Run(label, np.arange(slices), (3.0, 2.0, 2.0), {TUMOR: organ})


def edit(run: Run, ranges: EditRanges, seed: int = 0) -> list[LesionEdit]:
    return list(edit_lesions(draw_edits(ranges, np.random.default_rng(seed)), run, TUMOR))


def test_nothing_drawn_changes_nothing() -> None:
    run = make_run()
    assert edit(run, NOTHING) == []
    assert np.array_equal(run.label, make_run().label)


def test_removed_lesions_are_recorded_as_they_were() -> None:
    run = make_run()
    (done,) = edit(run, replace(NOTHING, removed=1))
    assert (done.action, done.done, done.place, done.size) == ("removed", True, None, "small")
    assert done.radius == pytest.approx((3 * 72 * 12 / 4 / np.pi) ** (1 / 3))
    assert np.array_equal(run.label, make_run(lesion=False).label)


@pytest.mark.parametrize("factor", [0.5, 1.0, 1.8])
def test_rescaled_lesions_have_the_drawn_radius_and_leave_organ_behind(factor: float) -> None:
    run = make_run()
    (done,) = edit(run, replace(NOTHING, rescaled=1, factor=(factor, factor)))
    expected = (3 * 72 * 12 / 4 / np.pi) ** (1 / 3) * factor
    assert done.radius == pytest.approx(expected, rel=0.25)
    assert ((run.label == 0) == (make_run().label == 0)).all()


@pytest.mark.parametrize("organ", [KIDNEY, None])
def test_moved_lesions_keep_slices_and_size(organ: int | None) -> None:
    run = make_run(organ=organ)
    (done,) = edit(run, replace(NOTHING, moved=1))
    (pixels,) = find_lesions(run.label, TUMOR, run.positions)
    assert done.place == ("inside" if organ else "anywhere")
    assert set(pixels[:, 0].tolist()) == {4, 5}
    assert not np.array_equal(run.label, make_run(organ=organ).label)
    assert len(pixels) == pytest.approx(72, abs=4 if organ else 22)


def test_a_lesion_that_can_lie_nowhere_else_stays() -> None:
    run = make_run()
    run.label[run.label != TUMOR] = 3
    before = run.label.copy()
    done = edit(run, replace(NOTHING, moved=1, added=5))
    assert {(item.action, item.done) for item in done} == {("moved", False), ("added", False)}
    assert np.array_equal(run.label, before)


@pytest.mark.parametrize("size", ["small", "medium"])
@pytest.mark.parametrize("seed", range(3))
def test_new_lesions_lie_in_the_organ_and_in_their_size_class(size: str, seed: int) -> None:
    run = make_run(lesion=False)
    ranges = replace(NOTHING, added=1, rim=0, ellipsoids=EllipsoidRanges(weights={size: 1.0}))
    drawn = draw_edits(ranges, np.random.default_rng(seed))
    drawn = replace(
        drawn, added=drawn.added[:1] or draw_edits(replace(ranges, added=9), np.random.default_rng(seed)).added[:1]
    )
    (done,) = edit_lesions(drawn, run, TUMOR)
    middle = run.label[1:-1] == TUMOR
    assert ((run.label == 0) == (make_run(lesion=False).label == 0)).all()
    assert middle.any()
    if not (run.label[0] == TUMOR).any() and not (run.label[-1] == TUMOR).any():
        assert RADII[size] / WITHIN * 0.85 < done.radius < RADII[size] * WITHIN * 1.15


def test_lesions_never_overlap_or_touch() -> None:
    run = make_run()
    done = edit(run, replace(NOTHING, added=9))
    placed = sum(item.done for item in done)
    assert placed > 3
    assert len(find_lesions(run.label, TUMOR, run.positions)) >= placed


def test_several_edits_replay_from_the_same_parameters() -> None:
    first, second = make_run(), make_run()
    assert edit(first, EditRanges(added=3), seed=5) == edit(second, EditRanges(added=3), seed=5)
    assert np.array_equal(first.label, second.label)


def test_actions_come_as_often_as_asked() -> None:
    rng = np.random.default_rng(0)
    drawn = [draw_edits(EditRanges(removed=0.1, rescaled=0.3, moved=0.2, added=0.5), rng) for _ in range(400)]
    actions = [action for item in drawn for action in item.actions]
    shares: dict[Action, float] = {"removed": 0.1, "rescaled": 0.3, "moved": 0.2}
    for action, share in shares.items():
        assert actions.count(action) / len(actions) == pytest.approx(share, abs=0.03)
    assert sum(len(item.added) for item in drawn) / 400 == pytest.approx(0.5, abs=0.15)
    assert len(actions) == 400 * MOST


def test_one_slice_and_a_lesion_at_the_border() -> None:
    label = np.zeros((1, 40, 50), dtype=np.uint8)
    label[0, :5, 45:] = TUMOR
    run = Run(label, np.array([17]), (5.0, 2.0, 2.0), {TUMOR: None})
    done = edit(run, EditRanges(removed=0, rescaled=1, moved=0, added=3))
    assert done[0].action == "rescaled"
    assert (run.label == TUMOR).any()
