from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from nephrite.config import Arm
from nephrite.evaluation.figures import example_sheet, forest_plot, forest_rows, learning_curves, score_plot
from nephrite.evaluation.summary import trial_json
from nephrite.evaluation.trial import Trial

MakeTrial = Callable[..., Trial]


def _colors(path: Path) -> set[tuple[int, ...]]:
    """Colors of at least 40 pixels, so that the soft edges of letters do not count."""
    with Image.open(path) as image:
        counts = image.convert("RGB").getcolors(maxcolors=image.width * image.height)
    return {color for count, color in counts or [] if count >= 40 and isinstance(color, tuple)}


def test_the_headline_leads_the_forest_plot(make_trial: MakeTrial) -> None:
    rows = forest_rows(trial_json(make_trial()))
    assert [label for label, _ in rows[:2]] == ["all segmenters: real+synthetic+geometric", "light: real"]
    assert len(rows) == 5


def test_a_single_segmenter_shows_the_headline_once(make_trial: MakeTrial) -> None:
    rows = forest_rows(trial_json(make_trial(segmenters=("light",))))
    assert [label for label, _ in rows] == ["light: real+synthetic+geometric", "light: real"]


@pytest.mark.parametrize("size", [(3, 10, True), (1, 10, False), (1, 1, False)])
def test_the_forest_plot_shows_the_null_where_it_is_known(
    make_trial: MakeTrial, tmp_path: Path, size: tuple[int, int, bool]
) -> None:
    forest_plot(trial_json(make_trial(cells=size[0], patients=size[1])), tmp_path / "forest.png")
    colors = _colors(tmp_path / "forest.png")
    assert (0xD5, 0x5E, 0x00) in colors  # the headline's mark
    assert ((0xD6, 0xE4, 0xF0) in colors) == size[2]


def test_the_same_trial_makes_the_same_picture(make_trial: MakeTrial, tmp_path: Path) -> None:
    for name in ("one.png", "two.png"):
        score_plot(trial_json(make_trial()), tmp_path / name)
    assert (tmp_path / "one.png").read_bytes() == (tmp_path / "two.png").read_bytes()


def test_each_training_set_has_its_color(make_trial: MakeTrial, tmp_path: Path) -> None:
    curves = {scores.arm: [(0, 0.9), (10, 0.2)] for scores in make_trial(cells=1).arms}
    learning_curves(curves, curves, tmp_path / "curves.png")
    assert {(0x00, 0x72, 0xB2), (0xE6, 0x9F, 0x00), (0x00, 0x9E, 0x73)} <= _colors(tmp_path / "curves.png")


def test_an_arm_without_a_validation_curve_is_drawn(tmp_path: Path) -> None:
    arm = Arm(training_set="real", segmenter="light", cell=0)
    learning_curves({arm: [(0, 1.0), (5, 0.5)]}, {}, tmp_path / "curves.png")
    assert (0x00, 0x72, 0xB2) in _colors(tmp_path / "curves.png")


def test_the_sheet_shows_each_class_in_its_color(tmp_path: Path) -> None:
    label_map = np.zeros((24, 24), dtype=np.uint8)
    label_map[4:12, 4:12], label_map[14:20, 14:20] = 1, 7
    gray = np.full((24, 24), 0.5, dtype=np.float32)
    example_sheet([(label_map, gray, gray)], {1: "kidney", 7: "tumor"}, tmp_path / "sheet.png")
    colors = _colors(tmp_path / "sheet.png")
    assert {(0xE6, 0x9F, 0x00), (0x00, 0x9E, 0x73)} <= colors
    assert {(127, 127, 127), (128, 128, 128)} & colors
