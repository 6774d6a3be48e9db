from __future__ import annotations

import numpy as np
import pytest
from scipy import ndimage

from nephrite.synthesis.ellipsoids import (
    RADII,
    WITHIN,
    EllipsoidRanges,
    draw_ellipsoid,
    equal_radius,
    render_ellipsoid,
    size_class,
)

SPACING = (1.0, 1.0, 1.0)


def only(size: str) -> EllipsoidRanges:
    return EllipsoidRanges(weights={size: 1.0})


@pytest.mark.parametrize("size", ["small", "medium", "large"])
@pytest.mark.parametrize("seed", range(4))
def test_volume_lies_in_the_size_class(size: str, seed: int) -> None:
    shape = draw_ellipsoid(only(size), np.random.default_rng(seed))
    spacing = (2.0, 2.0, 2.0) if size == "large" else SPACING
    pixels = render_ellipsoid(shape, np.arange(121) * spacing[0], 60, spacing)
    assert equal_radius(len(pixels), spacing) == pytest.approx(shape.radius, rel=0.12)
    assert RADII[size] / WITHIN <= shape.radius <= RADII[size] * WITHIN
    assert size_class(equal_radius(len(pixels), spacing)) == size


def test_half_the_spacing_means_eight_times_the_pixels() -> None:
    shape = draw_ellipsoid(only("medium"), np.random.default_rng(0))
    coarse = render_ellipsoid(shape, np.arange(61.0) * 2, 30, (2, 2, 2))
    fine = render_ellipsoid(shape, np.arange(121.0), 60, SPACING)
    assert len(fine) == pytest.approx(8 * len(coarse), rel=0.03)


def test_a_slice_looks_the_same_whichever_other_slices_there_are() -> None:
    shape = draw_ellipsoid(only("large"), np.random.default_rng(1))
    heights = np.arange(41.0) * 2
    whole = render_ellipsoid(shape, heights, 20, (2, 1, 1))
    some = render_ellipsoid(shape, heights[[3, 14, 20, 28]], 2, (2, 1, 1))
    expected = whole[whole[:, 0] == 14][:, 1:]
    assert len(expected)
    assert np.array_equal(some[some[:, 0] == 1][:, 1:], expected)


def test_cross_sections_change_slowly_and_hang_together() -> None:
    shape = draw_ellipsoid(only("large"), np.random.default_rng(2))
    pixels = render_ellipsoid(shape, np.arange(121.0), 60, (1, 2, 2))
    volume = np.zeros((121, 81, 81), dtype=bool)
    volume[tuple((pixels + np.array([0, 40, 40])).T)] = True
    middle = volume[50:70]
    dice = 2 * (middle[1:] & middle[:-1]).sum((1, 2)) / (middle[1:].sum((1, 2)) + middle[:-1].sum((1, 2)))
    assert dice.min() > 0.9
    assert ndimage.label(volume)[1] == 1


def test_a_lesion_smaller_than_a_pixel_still_shows() -> None:
    shape = draw_ellipsoid(only("tiny"), np.random.default_rng(0))
    assert render_ellipsoid(shape, np.zeros(1), 0, (5, 9, 9)).tolist() == [[0, 0, 0]]


def test_without_elastic_noise_it_is_smooth() -> None:
    shape = draw_ellipsoid(EllipsoidRanges(elongation=1.0, elastic=0), np.random.default_rng(0))
    pixels = render_ellipsoid(shape, np.zeros(1), 0, (1, 0.1, 0.1))
    reach = np.hypot(*pixels[:, 1:].T * 0.1)
    assert reach.max() == pytest.approx(shape.radius, abs=0.11)
    assert len(pixels) * 0.01 == pytest.approx(np.pi * shape.radius**2, rel=0.01)


def test_size_classes_come_by_weight() -> None:
    rng = np.random.default_rng(0)
    ranges = EllipsoidRanges(weights={"tiny": 3.0, "large": 1.0, "small": 0.0})
    sizes = [draw_ellipsoid(ranges, rng).size for _ in range(400)]
    assert sizes.count("tiny") == pytest.approx(300, abs=30)
    assert "small" not in sizes
