from __future__ import annotations

import numpy as np
import pytest

from nephrite.synthesis.ellipsoids import EllipsoidRanges, draw_ellipsoid
from nephrite.synthesis.lesions import (
    Run,
    choose_places,
    find_host,
    find_lesions,
    fit_stamp,
    place_ellipsoid,
    remove,
    rescale,
)

KIDNEY, TUMOR = 1, 2
SPACING = (4.0, 2.0, 2.0)


def make_run(slices: int = 6, positions: list[int] | None = None, organ: int | None = KIDNEY) -> Run:
    """A kidney of 30 x 30 px in every slice of 60 x 70 px."""
    label = np.zeros((slices, 60, 70), dtype=np.uint8)
    label[:, 10:40, 20:50] = KIDNEY
    return Run(label, np.array(positions or range(slices)), SPACING, {TUMOR: organ})


def cube(row: int, column: int, slices: tuple[int, ...] = (2, 3), side: int = 5) -> np.ndarray:
    rows = range(side)
    return np.array([[s, row + r, column + c] for s in slices for r in rows for c in rows])


def paint(run: Run, pixels: np.ndarray, value: int = TUMOR) -> np.ndarray:
    run.label[tuple(pixels.T)] = value
    return pixels


def test_lesions_hang_together_across_neighboring_slices_only() -> None:
    run = make_run(4, positions=[3, 4, 8, 9])
    paint(run, cube(12, 22, slices=(0, 1, 2, 3)))
    paint(run, cube(30, 40, slices=(3,), side=2))
    found = find_lesions(run.label, TUMOR, run.positions)
    assert [len(pixels) for pixels in found] == [50, 50, 4]
    assert [sorted(set(pixels[:, 0].tolist())) for pixels in found] == [[0, 1], [2, 3], [3]]


def test_no_lesion_is_found_where_there_is_none() -> None:
    run = make_run(1)
    assert find_lesions(run.label, TUMOR, run.positions) == []


def test_a_removed_lesion_leaves_its_organ() -> None:
    run, whole = make_run(), make_run().label
    remove(run.label, paint(run, cube(15, 25)), KIDNEY)
    assert np.array_equal(run.label, whole)


def test_a_removed_lesion_away_from_its_organ_or_without_one_leaves_background() -> None:
    for run, place in ((make_run(), 60), (make_run(organ=None), 25)):
        remove(run.label, paint(run, cube(50, place, slices=(0, 5))), run.lesions[TUMOR])
        assert run.label[:, 50:55].max() == 0


@pytest.mark.parametrize(("factor", "side"), [(1.0, 9), (0.6, 5), (1.5, 13)])
def test_rescaling_is_about_the_middle_and_of_the_radius(factor: float, side: int) -> None:
    run = make_run(9)
    pixels = rescale(cube(20, 30, slices=(3, 4, 5), side=9), factor, run.heights, (60, 70), SPACING[0])
    spread = pixels.max(0) - pixels.min(0) + 1
    assert spread.tolist()[1:] == pytest.approx([side, side], abs=1)
    assert pixels.mean(0).tolist() == pytest.approx([4, 24, 34], abs=0.5)
    assert spread[0] == {0.6: 1, 1.0: 3, 1.5: 5}[factor]


def test_rescaling_is_cut_off_at_the_border_of_image_and_run() -> None:
    run = make_run(1)
    pixels = rescale(cube(0, 65, slices=(0,)), 1.6, run.heights, (60, 70), SPACING[0])
    assert pixels.min() >= 0
    assert (pixels.max(0) < (1, 60, 70)).all()
    assert len(pixels) > 25


def test_a_place_next_to_another_lesion_is_taken() -> None:
    run = make_run()
    paint(run, cube(20, 30))
    host = find_host(run, TUMOR)
    assert not host.home[2, 19:26, 29:36].any()
    assert host.home[2, 18, 29]
    assert not host.home[1, 20, 30]
    assert host.home[0, 20, 30]


@pytest.mark.parametrize(("row", "column", "place", "fits"), [
    (25, 35, "inside", True),
    (10, 35, "inside", False),
    (10, 35, "rim", True),
    (25, 35, "rim", False),
    (2, 2, "rim", False),
])  # fmt: skip
def test_places_are_inside_or_at_the_rim(row: int, column: int, place: str, fits: bool) -> None:
    stamp = cube(-3, -3, side=7)
    found = fit_stamp(
        stamp, find_host(make_run(), TUMOR), np.array([[row, column]]), "rim" if place == "rim" else "inside"
    )
    assert (found is not None) == fits


def test_a_place_over_another_class_is_refused() -> None:
    run = make_run()
    paint(run, cube(4, 33), value=3)
    host = find_host(run, TUMOR)
    assert fit_stamp(cube(-3, -3, side=7), host, np.array([[10, 35]]), "rim") is None
    assert fit_stamp(cube(-3, -3, side=7), host, np.array([[10, 35], [10, 26]]), "rim") is not None


def test_lesions_without_an_organ_may_be_cut_by_the_border_but_not_lost_beyond_it() -> None:
    host = find_host(make_run(organ=None), TUMOR)
    stamp = cube(-3, -3, side=7)
    cut = fit_stamp(stamp, host, np.array([[2, 2]]), "anywhere")
    assert cut is not None
    assert cut.min() == 0
    assert len(cut) == 2 * 36
    assert fit_stamp(stamp, host, np.array([[0, 0]]), "anywhere") is None


@pytest.mark.parametrize("seed", range(6))
def test_new_lesions_lie_inside_their_organ_or_at_its_rim(seed: int) -> None:
    rng, run = np.random.default_rng(seed), make_run()
    shape = draw_ellipsoid(EllipsoidRanges(weights={"small": 1.0}), rng)
    found = place_ellipsoid(shape, find_host(run, TUMOR), rng.random((48, 2)), run, rim=seed % 2 == 1)
    assert found is not None
    share = float((run.label[tuple(found[0].T)] == KIDNEY).mean())
    assert found[1] == ("rim" if seed % 2 else "inside")
    assert 0.3 <= share <= 0.95 if seed % 2 else share == 1


def test_nothing_is_placed_where_nothing_fits() -> None:
    rng, run = np.random.default_rng(0), make_run()
    shape = draw_ellipsoid(EllipsoidRanges(weights={"large": 1.0}), rng)
    run.label[run.label == 0] = 3
    run.label[:, 25:] = 3
    assert place_ellipsoid(shape, find_host(run, TUMOR), rng.random((48, 2)), run, rim=False) is None
    run.label[:] = 0
    assert place_ellipsoid(shape, find_host(run, TUMOR), rng.random((48, 2)), run, rim=True) is None


def test_places_are_chosen_by_weight() -> None:
    uniform = np.linspace(0, 1, 1001)
    chosen = choose_places(np.array([0.0, 3, 0, 1, 0]), uniform)
    assert np.bincount(chosen, minlength=5).tolist() == pytest.approx([0, 750, 0, 250, 0], abs=2)
    assert len(choose_places(np.zeros(3), uniform)) == 0
