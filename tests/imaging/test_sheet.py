"""Sample sheets have the size and the colors they should."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from nephrite.imaging.sheet import (
    COLORS,
    GAP,
    Sample,
    color_label,
    color_legend,
    compose_sheet,
    gray_slice,
    write_sheet,
)
from nephrite.report import figures


def sample(size: int = 128, value: int = 1) -> Sample:
    gray = np.full((size, size), 0.5, np.float32)
    return Sample(np.full((size, size), value, np.uint8), gray, gray)


def test_sheet_has_three_tiles_per_sample() -> None:
    assert compose_sheet([sample(), sample()]).shape == (2 * 128 + GAP, 3 * 128 + 2 * GAP, 3)


def test_samples_stand_side_by_side_and_the_last_row_is_filled_with_white() -> None:
    sheet = compose_sheet([sample()] * 3, across=2)
    assert sheet.shape == (2 * 128 + GAP, 6 * 128 + 5 * GAP, 3)
    assert (sheet[-1, -1] == 255).all()


@pytest.mark.parametrize(("size", "shown"), [(16, 128), (96, 192), (200, 200)])
def test_small_slices_are_enlarged_by_a_whole_number(size: int, shown: int) -> None:
    assert gray_slice(np.zeros((size, size), np.float32)).shape == (shown, shown, 3)


def test_each_label_value_has_its_color_and_the_palette_wraps_past_background() -> None:
    label = np.full((128, 128), 0, np.uint8)
    label[0, :4] = [1, 2, len(COLORS) - 1, len(COLORS)]
    assert np.array_equal(color_label(label)[0, :5], COLORS[[1, 2, -1, 1, 0]])


def test_a_class_has_the_color_that_it_has_in_the_figures_of_the_report() -> None:
    first, *others = figures.COLORS
    assert [f"#{red:02X}{green:02X}{blue:02X}" for red, green, blue in COLORS[1:].tolist()] == [*others, first]
    assert color_legend({1: "kidney", 2: "tumor", 8: "cyst"}) == "kidney orange, tumor green, cyst orange"


def test_gray_runs_from_black_to_white_and_clips() -> None:
    row = np.array([[-1.0, 0.0, 0.5, 1.0, 2.0]] * 128, np.float32)
    assert gray_slice(row)[0, :: gray_slice(row).shape[1] // 5, 0].tolist()[:5] == [0, 0, 128, 255, 255]


def test_written_sheet_is_a_png_of_the_composed_pixels(tmp_path: Path) -> None:
    write_sheet(tmp_path / "sheet.png", [sample(value=2)])
    with Image.open(tmp_path / "sheet.png") as image:
        assert image.format == "PNG"
        assert np.array_equal(np.asarray(image), compose_sheet([sample(value=2)]))
