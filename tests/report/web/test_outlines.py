from __future__ import annotations

import re

import numpy as np
import pytest

from nephrite.report.web.outlines import outline_path


def corners(path: str) -> list[list[tuple[int, int]]]:
    """The corners of each line of a path, in half pixels."""
    found = []
    for line in re.findall(r"M([^z]*)z", path):
        start, _, moves = line.partition("l")
        numbers = [int(text) for text in re.findall(r"-?\d+", f"{start} {moves}".replace("-", " -"))]
        steps = np.array(numbers).reshape(-1, 2).cumsum(axis=0)
        found.append([(int(x), int(y)) for x, y in steps])
    return found


def test_an_empty_mask_has_no_outline() -> None:
    assert outline_path(np.zeros((4, 4), bool)) == ""


def test_a_single_pixel_is_a_diamond_about_its_center() -> None:
    mask = np.zeros((4, 4), bool)
    mask[1, 2] = True  # its center lies at x = 2.5, y = 1.5 pixels
    (line,) = corners(outline_path(mask))
    assert set(line) == {(5, 2), (6, 3), (5, 4), (4, 3)}


@pytest.mark.parametrize("inside", [slice(2, 6), slice(0, 8)], ids=["inside", "to the edge"])
def test_straight_sides_are_one_step_and_the_outline_encloses_the_mask(inside: slice) -> None:
    mask = np.zeros((8, 8), bool)
    mask[inside, inside] = True
    (line,) = corners(outline_path(mask))
    assert len(line) == 8  # four sides and four cut corners
    assert min(x for x, _ in line) == 2 * inside.start
    assert max(y for _, y in line) == 2 * inside.stop


def test_two_parts_and_a_hole_are_three_lines() -> None:
    mask = np.zeros((9, 9), bool)
    mask[1:6, 1:6] = True
    mask[3, 3] = False
    mask[8, 8] = True
    assert len(corners(outline_path(mask))) == 3
