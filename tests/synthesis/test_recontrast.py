"""Another contrast for each class: anatomy and texture stay, borders stay soft, lesions stay visible."""

from __future__ import annotations

import numpy as np
import pytest

from nephrite.synthesis.recontrast import BACKGROUND, ContrastMap, ContrastRanges, apply, draw

SAME = ContrastMap(0.0, 1.0, 1.0)


def scene() -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(0)
    label = np.zeros((2, 32, 32), np.uint8)
    label[:, 8:24, 8:24] = 1
    label[:, 12:18, 12:18] = 2
    image = np.choose(label, [0.2, 0.5, 0.4]) + rng.normal(0, 0.01, label.shape)
    return image.astype(np.float32), label


def test_the_maps_that_change_nothing_change_nothing() -> None:
    image, label = scene()
    assert np.allclose(apply({BACKGROUND: SAME, 1: SAME, 2: SAME}, image, label, border=1.0), image, atol=1e-6)


def test_a_shift_moves_its_class_and_no_other() -> None:
    image, label = scene()
    after = apply({BACKGROUND: SAME, 1: ContrastMap(0.2, 1.0, 1.0), 2: SAME}, image, label, border=0.5)
    assert (after - image)[:, 9:11, 9:23].mean() == pytest.approx(0.2, abs=0.03)
    assert np.abs(after - image)[:, :4].max() < 1e-6
    assert np.abs(after - image)[:, 14:16, 14:16].max() < 0.01


def test_gain_is_about_the_mean_of_a_class_and_about_0_in_the_background() -> None:
    image, label = scene()
    after = apply(
        {BACKGROUND: ContrastMap(0.0, 0.5, 1.0), 1: ContrastMap(0.0, 2.0, 1.0), 2: SAME}, image, label, border=0.3
    )
    assert after[label == 1].mean() == pytest.approx(image[label == 1].mean(), abs=0.03)
    assert after[:, 10, 10:22].std() > 1.5 * image[:, 10, 10:22].std()
    assert np.allclose(after[:, :4], image[:, :4] / 2, atol=1e-3)


def test_borders_are_soft() -> None:
    image, label = scene()
    maps = {BACKGROUND: SAME, 1: ContrastMap(0.3, 1.0, 1.0), 2: ContrastMap(0.3, 1.0, 1.0)}
    change = (apply(maps, image, label, border=2.0) - image)[0, 16]
    assert change[0] < 0.02 < change[7] < change[9] < change[12]
    assert np.diff(change).max() < 0.1


def test_a_lesion_shares_the_shift_of_its_organ() -> None:
    ranges = {
        BACKGROUND: ContrastRanges(),
        1: ContrastRanges(shift=(-0.3, 0.3)),
        2: ContrastRanges(shift=(-0.01, 0.01)),
    }
    for seed in range(10):
        maps = draw(ranges, {2: 1}, np.random.default_rng(seed))
        assert abs(maps[2].shift - maps[1].shift) <= 0.01
    assert abs(draw(ranges, {2: None}, np.random.default_rng(0))[2].shift) <= 0.01


def test_draws_follow_from_the_seed() -> None:
    ranges = {BACKGROUND: ContrastRanges(gamma=(0.5, 2.0)), 1: ContrastRanges(gain=(0.5, 2.0))}
    first, again, other = (draw(ranges, {}, np.random.default_rng(seed)) for seed in (1, 1, 2))
    assert first == again != other


def test_what_is_ignored_is_background() -> None:
    image, label = scene()
    label[label == 2] = 255
    after = apply({BACKGROUND: SAME, 1: ContrastMap(0.2, 1.0, 1.0)}, image, label, border=0.5)
    assert np.abs(after - image)[:, 14:16, 14:16].max() < 0.01
