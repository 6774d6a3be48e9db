"""Lung is found in slices that were rescaled one by one, and air around the body is not taken for it."""

from __future__ import annotations

import numpy as np
import pytest

from nephrite.synthesis.host_tissue import find_tissue, levels, otsu


def chest(lung: float, soft: float, air: float) -> np.ndarray:
    """A slice with a lung that holds a vessel, soft tissue, and air in a corner."""
    rng = np.random.default_rng(0)
    image = np.full((64, 64), soft)
    image[10:50, 5:40] = lung
    image[25:28, 5:40] = soft
    image[50:, 45:] = air
    return (image + rng.normal(0, 0.01, image.shape)).clip(0, 1).astype(np.float32)


@pytest.mark.parametrize(("lung", "soft", "air"), [(0.1, 0.6, 0.05), (0.5, 0.7, 0.0), (0.08, 0.9, 0.0)])
def test_lung_is_the_dark_side_however_a_slice_was_rescaled(lung: float, soft: float, air: float) -> None:
    found = find_tissue(chest(lung, soft, air), "dark")
    assert found[15:24, 8:36].all()
    assert found[25:28, 10:30].all()  # the vessel is part of it
    assert not found[52:, 48:].any()
    assert not found[:8].any()


def test_the_bright_side_and_a_range_can_be_asked_for() -> None:
    image = chest(0.1, 0.6, 0.0)
    assert find_tissue(image, "bright")[2:8, 45:].all()
    assert not find_tissue(image, "bright")[15:22, 10:30].any()
    assert find_tissue(image, (0.05, 0.2))[15:22, 10:30].all()
    assert not find_tissue(image, (0.05, 0.2))[2:8].any()


def test_small_pieces_are_left_out() -> None:
    image = np.full((64, 64), 0.7, np.float32)
    image[10:50, 5:30] = 0.1
    image[55:60, 55:60] = 0.1
    assert not find_tissue(image, "dark")[54:].any()


def test_a_slice_of_one_intensity_holds_no_dark_side() -> None:
    assert not find_tissue(np.full((32, 32), 0.5, np.float32), "dark").any()


def test_otsu_parts_two_sorts() -> None:
    rng = np.random.default_rng(1)
    values = np.concatenate([rng.normal(0.2, 0.02, 300), rng.normal(0.8, 0.05, 100)])
    assert 0.25 < otsu(values) < 0.7


def test_levels_are_of_the_tissue_and_beside_it() -> None:
    image = chest(0.1, 0.6, 0.0)
    home = find_tissue(image, "dark")
    found = levels(image, home)
    assert found.tissue == pytest.approx(0.1, abs=0.02)
    assert found.brighter == pytest.approx(0.6, abs=0.02)
    assert found.darker == pytest.approx(0.0, abs=0.02)
    assert levels(image, np.zeros_like(home)) == (0.0, 0.5, 1.0)
