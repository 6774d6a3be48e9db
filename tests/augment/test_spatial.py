from __future__ import annotations

import pytest
import torch
from torch import Tensor

from nephrite.augment import geometric
from nephrite.augment.spatial import SpatialRanges, apply, around_one, draw

NEVER = SpatialRanges(rotation_probability=0, scale_probability=0, mirroring=False)
MIRRORED = SpatialRanges(rotation_probability=0, scale_probability=0)


def slices(number: int) -> tuple[Tensor, Tensor]:
    """Noise, and a label map that says which pixels are bright."""
    image = torch.rand(number, 1, 20, 24, generator=source(1))
    return image, (image[:, 0] > 0.5).to(torch.uint8)


def source(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def test_nothing_drawn_keeps_every_pixel() -> None:
    image, label = slices(4)
    kept_image, kept_label = apply(draw(4, ranges=NEVER, generator=source()), image, label)
    assert torch.equal(kept_image, image)
    assert torch.equal(kept_label, label)


def test_changes_come_as_often_as_they_are_asked_for() -> None:
    drawn = draw(20_000, ranges=SpatialRanges(), generator=source())
    affine = drawn.affine
    assert float((affine.angle != 0).float().mean()) == pytest.approx(0.2, abs=0.01)
    assert float((affine.scale != 1).float().mean()) == pytest.approx(0.2, abs=0.01)
    assert drawn.mirrored.float().mean(0).tolist() == pytest.approx([0.5, 0.5], abs=0.02)
    assert float((drawn.mirrored[:, 0] & drawn.mirrored[:, 1]).float().mean()) == pytest.approx(0.25, abs=0.02)
    assert not affine.shift.any()
    assert float(affine.angle.abs().max()) == pytest.approx(torch.pi, abs=0.01)
    scaled = affine.scale[affine.scale != 1]
    assert 0.7 <= float(scaled.min()) < 0.72
    assert 1.38 < float(scaled.max()) <= 1.4
    assert float((scaled < 1).float().mean()) == pytest.approx(0.5, abs=0.03)


def test_wide_scaling_is_a_matter_of_settings() -> None:
    wide = SpatialRanges(scale_probability=1, scale=(0.55, 1.45), shift=0.1)
    affine = draw(1000, ranges=wide, generator=source()).affine
    assert 0.55 <= float(affine.scale.min()) < 0.57
    assert 0.08 < float(affine.shift.abs().max()) <= 0.1


def test_mirroring_is_exact_and_alike_in_image_and_label() -> None:
    image, label = slices(40)
    drawn = draw(40, ranges=MIRRORED, generator=source())
    mirrored_image, mirrored_label = apply(drawn, image, label)
    for place, (rows, columns) in enumerate(drawn.mirrored.tolist()):
        axes = [axis for axis, chosen in ((-2, rows), (-1, columns)) if chosen]
        assert torch.equal(mirrored_image[place], image[place].flip(axes))
        assert torch.equal(mirrored_label[place], label[place].flip(axes))


def test_slices_are_moved_as_by_the_geometric_augmentation_and_the_others_keep_their_pixels() -> None:
    image, label = slices(30)
    drawn = draw(30, ranges=SpatialRanges(mirroring=False), generator=source(3))
    moved_image, moved_label = apply(drawn, image, label)
    expected_image, expected_label = geometric.apply(drawn.affine, image, label)
    moved = (drawn.affine.angle != 0) | (drawn.affine.scale != 1)
    assert 0 < int(moved.sum()) < 30
    torch.testing.assert_close(moved_image[moved], expected_image[moved])
    assert torch.equal(moved_label[moved], expected_label[moved])
    assert torch.equal(moved_image[~moved], image[~moved])
    assert torch.equal(moved_label[~moved], label[~moved])


def test_factors_lie_below_1_as_often_as_above() -> None:
    factors = around_one(torch.linspace(0, 1, 1001), (0.7, 1.4))
    assert (float(factors[0]), float(factors[-1])) == pytest.approx((0.7, 1.4))
    assert float(factors[500]) == pytest.approx(1.0)
    assert float(around_one(torch.tensor([0.0]), (1.2, 1.4))) == 1
