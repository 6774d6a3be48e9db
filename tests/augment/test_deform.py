from __future__ import annotations

import pytest
import torch
from torch import Tensor
from torch.nn import functional

from nephrite.augment.deform import (
    DeformParameters,
    Outside,
    apply,
    draw,
    draw_run,
    flow,
    move_map,
    sampling_grid,
)
from nephrite.augment.parameters import take


def drawn(number: int, *, strength: float = 0.04, knots: int = 5, affine: float = 1, seed: int = 0) -> DeformParameters:
    source = torch.Generator().manual_seed(seed)
    moves = {"rotation": 15 * affine, "scale": 0.1 * affine, "shift": 0.05 * affine}
    return draw(number, **moves, strength=strength, knots=knots, generator=source)


def run(slices: int, *, along: float, seed: int = 0) -> DeformParameters:
    source = torch.Generator().manual_seed(seed)
    return draw_run(
        slices, rotation=15, scale=0.1, shift=0.05, strength=0.04, knots=5, along=along, reach=4, generator=source
    )


def disc(height: int = 40, width: int = 52, radius: int = 9) -> tuple[Tensor, Tensor, Tensor]:
    """Image, label map with value 7, tissue map that covers the disc and more."""
    rows, columns = torch.meshgrid(torch.arange(height), torch.arange(width), indexing="ij")
    distance = torch.hypot(rows - height / 2, columns - width / 2)
    label = (distance < radius).to(torch.uint8)[None] * 7
    tissue = (distance < radius + 4).to(torch.uint8)[None] * 2
    return (label[:, None] / 7).float(), label, tissue


def test_a_map_takes_the_value_of_the_largest_share() -> None:
    values = torch.randint(0, 5, (3, 21, 34), dtype=torch.uint8) * 50
    grid = sampling_grid(drawn(3), 21, 34)
    present = torch.unique(values)
    shares = (values[:, None] == present[:, None, None]).float()
    moved = functional.grid_sample(shares, grid, mode="bilinear", padding_mode="border", align_corners=False)
    assert torch.equal(move_map(grid, values), present[moved.argmax(1)])


def test_flow_of_large_slices_is_that_of_small_ones() -> None:
    velocity = drawn(4, strength=0.03, knots=6).velocity
    small, large = flow(velocity, 48, 40), flow(velocity, 192, 160)
    alike = functional.interpolate(large, (48, 40), mode="area")
    assert (small - alike).abs().max() < 0.01  # of 2, the side


def jacobian(parameters: DeformParameters, height: int, width: int) -> Tensor:
    """Determinant between neighboring pixels, 1 where nothing changes."""
    grid = sampling_grid(parameters, height, width)
    across, down = grid.diff(dim=2)[:, 1:] * width / 2, grid.diff(dim=1)[:, :, 1:] * height / 2
    return across[..., 0] * down[..., 1] - across[..., 1] * down[..., 0]


def test_strength_zero_and_no_move_change_nothing() -> None:
    image, label, tissue = disc()
    still = apply(drawn(1, strength=0, affine=0), label, tissue, image)
    assert torch.equal(still.label, label)
    assert still.tissue is not None
    assert torch.equal(still.tissue, tissue)
    assert still.image is not None
    assert torch.allclose(still.image, image, atol=1e-5)


def test_the_same_seed_replays_and_another_does_not() -> None:
    _, label, _ = disc()
    first, again, other = (apply(drawn(1, seed=seed), label).label for seed in (1, 1, 2))
    assert torch.equal(first, again)
    assert not torch.equal(first, other)


def test_values_and_types_are_kept_and_nothing_is_made_up() -> None:
    label = torch.randint(0, 4, (3, 30, 22), generator=torch.Generator().manual_seed(0), dtype=torch.uint8) * 60
    moved = apply(drawn(3), label).label
    assert (moved.dtype, moved.shape) == (label.dtype, label.shape)
    assert set(moved.flatten().tolist()) <= {0, 60, 120, 180}


def test_maps_and_image_move_together() -> None:
    image, label, tissue = disc()
    moved = apply(drawn(1, seed=4), label, tissue, image)
    assert moved.tissue is not None
    assert moved.image is not None
    assert not torch.equal(moved.label, label)
    assert (moved.tissue[moved.label == 7] == 2).all()
    assert ((moved.image[:, 0] > 0.5) == (moved.label == 7)).float().mean() > 0.995


@pytest.mark.parametrize(("height", "width"), [(64, 64), (96, 64), (64, 128)])
@pytest.mark.parametrize(("strength", "knots"), [(0.04, 5), (0.1, 8)])
def test_nothing_folds(height: int, width: int, strength: float, knots: int) -> None:
    determinant = jacobian(drawn(24, strength=strength, knots=knots, affine=0), height, width)
    assert float(determinant.min()) > 0
    assert float(determinant.std()) > 0.05


def test_the_flow_backwards_undoes_the_flow() -> None:
    """To a twentieth of a pixel, for strong fields too: what a plain displacement field could not do."""
    velocity = drawn(8, strength=0.06, knots=6, affine=0).velocity
    there, back = flow(velocity, 96, 96), flow(-velocity, 96, 96)
    still = sampling_grid(drawn(8, strength=0, affine=0), 96, 96)
    reached = still + there.movedim(1, -1)
    inner = (reached.abs() < 0.95).all(-1)
    rest = there + functional.grid_sample(back, reached, align_corners=False)
    assert float(there.abs().mean()) * 48 > 3
    assert float(rest.norm(dim=1)[inner].mean()) * 48 < 0.05


def test_displacement_has_the_deviation_asked_for_at_any_size() -> None:
    velocity = drawn(40, strength=0.03, affine=0).velocity
    small, large = flow(velocity, 24, 24) / 2, flow(velocity, 72, 72) / 2
    assert float(large.std()) == pytest.approx(0.03, rel=0.2)
    assert torch.allclose(small, large[:, :, 1::3, 1::3], atol=0.005)


def test_a_slice_does_not_depend_on_its_batch() -> None:
    _, label, _ = disc()
    whole = apply(drawn(6), label.repeat(6, 1, 1)).label
    share = apply(take(drawn(6), slice(1, None, 2)), label.repeat(3, 1, 1)).label
    assert torch.equal(share, whole[1::2])


def test_absent_values_do_not_matter() -> None:
    _, label, _ = disc()
    grid = sampling_grid(drawn(2), *label.shape[1:])
    with_others = move_map(grid, torch.cat([label, label * 3 + 2]))
    assert torch.equal(with_others[:1], move_map(grid[:1], label))


def test_borders_stay_smooth() -> None:
    """A jagged border is longer: the deformed disc's must not exceed that of the best drawn disc by much."""
    _, label, _ = disc(96, 96, 25)
    moved = apply(drawn(1, strength=0.02, seed=3), label).label
    lengths = [sum(float((values.diff(dim=axis) != 0).sum()) for axis in (1, 2)) for values in (label, moved)]
    areas = [float((values > 0).sum()) for values in (label, moved)]
    assert lengths[1] / areas[1] ** 0.5 < 1.1 * lengths[0] / areas[0] ** 0.5


@pytest.mark.parametrize(("outside", "seen"), [("zeros", 0), ("border", 5), ("reflection", 5)])
def test_what_comes_from_outside(outside: Outside, seen: int) -> None:
    label = torch.full((1, 20, 20), 5, dtype=torch.uint8)
    far = drawn(1, strength=0)
    far.affine.shift[:] = 0.5
    assert int(apply(far, label, outside=outside).label[0, 0, 0]) == seen


def test_neighbors_of_a_run_are_deformed_alike_and_distant_slices_are_not() -> None:
    fields = flow(run(16, along=1).velocity, 32, 32)
    near = float((fields[1:] - fields[:-1]).std())
    far = float((fields[12:] - fields[:4]).std())
    assert 0 < near < 0.5 * far
    assert float(fields.std()) / 2 == pytest.approx(0.04, rel=0.4)


def test_the_two_parts_of_a_run_add_up_to_the_strength_asked_for() -> None:
    velocity = torch.cat([run(1, along=0.5, seed=seed).velocity for seed in range(200)])
    assert float(velocity.std()) / 2 == pytest.approx(0.04, rel=0.05)


def test_a_run_without_change_along_it_has_one_field_and_one_move() -> None:
    alike = run(5, along=0)
    assert (alike.velocity == alike.velocity[:1]).all()
    assert (run(5, along=1).affine.angle == alike.affine.angle[0]).all()


@pytest.mark.parametrize("slices", [1, 2, 9])
def test_runs_of_any_length_fit_their_slices(slices: int) -> None:
    _, label, _ = disc()
    assert apply(run(slices, along=0.5), label.repeat(slices, 1, 1)).label.shape == (slices, 40, 52)


def test_an_empty_map_stays_empty() -> None:
    assert apply(drawn(2), torch.zeros(2, 16, 20, dtype=torch.uint8)).label.max() == 0
