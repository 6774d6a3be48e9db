from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from PIL import Image

from nephrite.report.forest_figure import forest_plot, forest_rows, null_legend, rival_plot, shown_range
from nephrite.report.summary import summarize
from nephrite.verdict.trial import Trial

MakeTrial = Callable[..., Trial]
BAND = (0xD6, 0xE4, 0xF0)


def _colors(path: Path) -> set[tuple[int, ...]]:
    """Colors of at least 40 pixels, so that the soft edges of letters do not count."""
    with Image.open(path) as image:
        counts = image.convert("RGB").getcolors(maxcolors=image.width * image.height)
    return {color for count, color in counts or [] if count >= 40 and isinstance(color, tuple)}


def test_the_headline_leads_the_forest_plot(make_trial: MakeTrial) -> None:
    rows = forest_rows(summarize(make_trial()))
    assert [label for label, _ in rows[:3]] == ["all segmenters: real+synthetic+geometric", "light", "real"]
    assert [label for label, row in rows if row is None] == ["light", "fpn"]
    assert len(rows) == 7


def test_a_single_segmenter_shows_the_headline_once(make_trial: MakeTrial) -> None:
    rows = forest_rows(summarize(make_trial(segmenters=("light",))))
    assert [label for label, _ in rows] == ["light: real+synthetic+geometric", "light", "real"]


def test_each_fraction_has_its_heading(wide_trial: Trial) -> None:
    rows = forest_rows(summarize(wide_trial))
    shares = ("10%", "25%", "100%")
    assert [label for label, row in rows if row is None] == [f"{s}, {f}" for f in shares for s in ("light", "fpn")]


@pytest.mark.parametrize("size", [(3, 10, True), (1, 10, False), (1, 1, False), (3, 1, False)])
def test_the_forest_plot_shows_the_null_where_it_is_known(
    make_trial: MakeTrial, tmp_path: Path, size: tuple[int, int, bool]
) -> None:
    forest_plot(summarize(make_trial(cells=size[0], patients=size[1])), tmp_path / "forest.png")
    colors = _colors(tmp_path / "forest.png")
    assert (0xD5, 0x5E, 0x00) in colors  # the headline's mark
    assert (BAND in colors) == size[2]


def test_a_null_arm_is_no_row_of_the_forest_plot(null_trial: Trial) -> None:
    assert {label for label, _ in forest_rows(summarize(null_trial))}.isdisjoint({"real+geometric+null"})


def test_the_caption_says_which_null_is_shown(null_trial: Trial, make_trial: MakeTrial) -> None:
    rows = [forest_rows(summarize(trial)) for trial in (null_trial, make_trial(cells=4), make_trial(cells=1))]
    arm, cells, unknown = (null_legend(found) for found in rows)
    assert arm.startswith("Shaded: interval of the null, the compared arm from another initialization, 3 cells")
    assert cells.startswith("Shaded: interval of the null, the compared arm against itself in other cells (2 pairs")
    assert unknown == "The null, what another cell alone would change, needs at least 2 cells."


def test_more_rows_make_a_taller_picture(make_trial: MakeTrial, wide_trial: Trial, tmp_path: Path) -> None:
    for name, trial in (("few.png", make_trial()), ("many.png", wide_trial)):
        forest_plot(summarize(trial), tmp_path / name)
    with Image.open(tmp_path / "few.png") as few, Image.open(tmp_path / "many.png") as many:
        assert many.height - few.height == pytest.approx(0.3 * 130 * 18, rel=0.1)


def test_rivals_have_a_picture_without_the_headline(wide_trial: Trial, tmp_path: Path) -> None:
    rival_plot(summarize(wide_trial), tmp_path / "rivals.png")
    colors = _colors(tmp_path / "rivals.png")
    assert {(0x00, 0x72, 0xB2), BAND} <= colors
    assert (0xD5, 0x5E, 0x00) not in colors


def test_a_null_of_few_pairs_does_not_shrink_what_is_asked(make_trial: MakeTrial) -> None:
    rows = list(summarize(make_trial()).comparisons)
    wide = [
        row.model_copy(update={"null": row.null.model_copy(update={"low": -4.0, "high": 4.0})})
        for row in rows
        if row.null
    ]
    assert len(wide) == len(rows)
    ends = [0.0, *(end for row in rows for end in (row.judged.low, row.judged.high) if end is not None)]
    low, high = min(ends), max(ends)
    span = high - low
    left, right = shown_range(wide)
    assert low - 1.2 * span < left < low
    assert high < right < high + 1.2 * span
    narrow = [row.model_copy(update={"null": None}) for row in rows]
    assert shown_range(narrow) == pytest.approx((low - span / 10, high + span / 10), abs=1e-6)
