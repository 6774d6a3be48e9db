from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
from PIL import Image

from nephrite.config import Arm
from nephrite.report.figures import example_sheet, learning_curves, score_plot
from nephrite.report.summary import summarize
from nephrite.verdict.trial import Trial
from tests.verdict.test_elsewhere import with_external

MakeTrial = Callable[..., Trial]


def _colors(path: Path) -> set[tuple[int, ...]]:
    """Colors of at least 40 pixels, so that the soft edges of letters do not count."""
    with Image.open(path) as image:
        counts = image.convert("RGB").getcolors(maxcolors=image.width * image.height)
    return {color for count, color in counts or [] if count >= 40 and isinstance(color, tuple)}


def _blue(path: Path) -> int:
    """Pixels of lines that let the white below shine through."""
    with Image.open(path) as image:
        red, _, blue = np.asarray(image.convert("RGB")).astype(int).transpose(2, 0, 1)
    return int((blue - red > 100).sum())


def test_the_same_trial_makes_the_same_picture(make_trial: MakeTrial, tmp_path: Path) -> None:
    for name in ("one.png", "two.png"):
        score_plot(summarize(make_trial()), tmp_path / name)
    assert (tmp_path / "one.png").read_bytes() == (tmp_path / "two.png").read_bytes()


def test_many_groups_of_arms_take_several_lines_of_panels(
    make_trial: MakeTrial, wide_trial: Trial, tmp_path: Path
) -> None:
    for name, trial in (("one.png", make_trial(segmenters=("light",))), ("six.png", wide_trial)):
        score_plot(summarize(trial), tmp_path / name)
    with Image.open(tmp_path / "one.png") as one, Image.open(tmp_path / "six.png") as six:
        assert six.width > 1.5 * one.width
        assert six.height > 1.8 * one.height


def test_many_cells_are_drawn_as_their_mean(tmp_path: Path) -> None:
    for name, cells in (("few.png", 3), ("many.png", 4)):
        arms = [Arm(training_set="real", segmenter="light", fraction=1.0, cell=cell) for cell in range(cells)]
        learning_curves({arm: [(0, 1.0), (9, 0.1 * arm.cell)] for arm in arms}, {}, tmp_path / name)
    few, many = (_blue(tmp_path / name) for name in ("few.png", "many.png"))
    assert many < 0.6 * few


def test_each_training_set_has_its_color(make_trial: MakeTrial, tmp_path: Path) -> None:
    curves = {scores.arm: [(0, 0.9), (10, 0.2)] for scores in make_trial(cells=1).arms}
    learning_curves(curves, curves, tmp_path / "curves.png")
    assert {(0x00, 0x72, 0xB2), (0xE6, 0x9F, 0x00), (0x00, 0x9E, 0x73)} <= _colors(tmp_path / "curves.png")


def test_an_arm_without_a_validation_curve_is_drawn(tmp_path: Path) -> None:
    arm = Arm(training_set="real", segmenter="light", fraction=1.0, cell=0)
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


def test_scores_elsewhere_make_another_picture(make_trial: MakeTrial, tmp_path: Path) -> None:
    trial = with_external(make_trial())
    for name, where in (("home.png", "home"), ("there.png", "external")):
        score_plot(summarize(Trial(replace(trial.plan, where=where), trial.arms)), tmp_path / name)  # type: ignore[arg-type]  # one of the two
    assert (tmp_path / "home.png").read_bytes() != (tmp_path / "there.png").read_bytes()
