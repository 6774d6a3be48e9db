from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor

from nephrite.augment.geometric import GeometricParameters, apply, draw


def parameters(angle: float = 0, scale: float = 1, shift: tuple[float, float] = (0, 0)) -> GeometricParameters:
    return GeometricParameters(
        *(torch.tensor([value], dtype=torch.float32) for value in (math.radians(angle), scale, shift))
    )


def square(height: int, width: int, row: int, column: int, side: int = 5) -> tuple[Tensor, Tensor]:
    label = torch.zeros(1, height, width, dtype=torch.uint8)
    label[:, row - side // 2 : row + side // 2 + 1, column - side // 2 : column + side // 2 + 1] = 2
    return label[:, None].float() / 2, label


def middle(label: Tensor) -> tuple[float, float]:
    places = label[0].nonzero().double().mean(0)
    return float(places[0]), float(places[1])


def test_nothing_drawn_changes_nothing() -> None:
    image, label = square(32, 40, 10, 12)
    moved_image, moved_label = apply(parameters(), image, label)
    assert torch.allclose(moved_image, image, atol=1e-5)
    assert torch.equal(moved_label, label)


def test_shift_is_a_share_of_the_side_down_and_right() -> None:
    _, moved = apply(parameters(shift=(0.1, 0.25)), *square(50, 40, 20, 10))
    assert middle(moved) == pytest.approx((25, 20), abs=0.6)


@pytest.mark.parametrize(("height", "width"), [(41, 41), (41, 61), (61, 41)])
def test_a_quarter_turn_is_clockwise_on_slices_of_any_shape(height: int, width: int) -> None:
    row, column = height // 2, width // 2
    _, moved = apply(parameters(angle=90), *square(height, width, row, column + 12))
    assert middle(moved) == pytest.approx((row + 12, column), abs=0.6)
    assert int((moved > 0).sum()) == 25


def test_scale_magnifies_about_the_center() -> None:
    _, moved = apply(parameters(scale=2), *square(41, 41, 20, 26, side=5))
    assert middle(moved) == pytest.approx((20, 32), abs=0.6)
    assert int((moved > 0).sum()) == pytest.approx(100, abs=21)


def test_turn_comes_before_shift() -> None:
    _, moved = apply(parameters(angle=90, scale=1.5, shift=(0.1, 0)), *square(101, 101, 50, 60))
    assert middle(moved) == pytest.approx((50 + 15 + 10.1, 50), abs=1)


def test_what_comes_from_outside_is_air_and_background() -> None:
    image, label = torch.ones(1, 1, 20, 20), torch.ones(1, 20, 20, dtype=torch.int64)
    moved_image, moved_label = apply(parameters(shift=(0.5, 0)), image, label)
    assert moved_image[0, 0, :9].max() == 0 == moved_label[0, :9].max()
    assert moved_image[0, 0, 11:].min() == 1 == moved_label[0, 11:].min()


def test_image_and_label_move_together() -> None:
    image, label = square(64, 64, 30, 40, side=21)
    drawn = draw(1, rotation=45, scale=0.15, shift=0.1, generator=torch.Generator().manual_seed(3))
    moved_image, moved_label = apply(drawn, image, label)
    agree = ((moved_image[:, 0] >= 0.5) == (moved_label > 0)).float().mean()
    assert not torch.equal(moved_label, label)
    assert agree > 0.995


def test_labels_stay_whole_and_types_and_shapes_stay() -> None:
    source = torch.Generator().manual_seed(0)
    label = torch.randint(0, 200, (4, 30, 20), generator=source, dtype=torch.uint8)
    image = torch.rand(4, 1, 30, 20, generator=source)
    moved_image, moved_label = apply(draw(4, rotation=45, scale=0.15, shift=0.1, generator=source), image, label)
    assert (moved_label.shape, moved_label.dtype, moved_image.shape) == (label.shape, torch.uint8, image.shape)
    assert set(moved_label.flatten().tolist()) <= {0, *label.flatten().tolist()}
    assert 0 <= moved_image.min() <= moved_image.max() <= 1


def test_the_same_seed_draws_and_replays_the_same_batch() -> None:
    image, label = square(32, 32, 10, 12)
    first, second = (
        draw(1, rotation=45, scale=0.15, shift=0.1, generator=torch.Generator().manual_seed(7)) for _ in range(2)
    )
    assert torch.equal(apply(first, image, label)[0], apply(second, image, label)[0])
    assert torch.equal(apply(first, image, label)[0], apply(first, image, label)[0])


def test_draws_fill_their_ranges_and_stay_inside() -> None:
    drawn = draw(4000, rotation=45, scale=0.15, shift=0.1, generator=torch.Generator().manual_seed(0))
    for values, limit in ((drawn.angle.rad2deg(), 45), (drawn.scale - 1, 0.15), (drawn.shift, 0.1)):
        assert 0.98 * limit < float(values.max()) <= limit * 1.0001
        assert -limit * 1.0001 <= float(values.min()) < -0.98 * limit
        assert abs(float(values.mean())) < 0.05 * limit


def test_there_is_no_flip() -> None:
    """A flip has a negative determinant: three corners of a triangle would turn the other way round."""
    drawn = draw(50, rotation=45, scale=0.15, shift=0.1, generator=torch.Generator().manual_seed(0))
    _, label = square(101, 101, 50, 50, side=1)
    label = label.repeat(50, 1, 1)
    label[:, 48:53, 48:53], label[:, 48:53, 68:73], label[:, 28:33, 48:53] = 1, 2, 3
    _, moved = apply(drawn, label[:, None].float(), label)
    for slice_label in moved:
        center, right, up = (slice_label.eq(value).nonzero().float().mean(0) for value in (1, 2, 3))
        (a, b), (c, d) = (right - center).tolist(), (up - center).tolist()
        assert a * d - b * c > 0
