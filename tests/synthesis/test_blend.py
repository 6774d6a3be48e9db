from __future__ import annotations

import pytest
import torch
from torch import Tensor

from nephrite.synthesis.blend import blend, dilate, paint_region


def disc(radius: float, size: int = 48, row: int = 24, column: int = 24) -> Tensor:
    place = torch.arange(size)
    return ((place[:, None] - row) ** 2 + (place - column) ** 2 <= radius**2)[None]


def noise(seed: int) -> Tensor:
    return torch.randn(1, 1, 48, 48, generator=torch.Generator().manual_seed(seed))


def test_outside_of_the_region_the_real_slice_stays_bit_by_bit() -> None:
    real, region = (0.5 + 0.1 * noise(0)).clamp(0, 1), disc(10)
    mixed = blend(real, (0.5 + 0.1 * noise(1)).clamp(0, 1), region, margin=3)
    assert torch.equal(mixed[~region[:, None]], real[~region[:, None]])
    assert not torch.equal(mixed, real)


def test_brightness_and_contrast_are_matched_at_the_rim() -> None:
    lesion = disc(6)[:, None].float()
    real = 0.6 + 0.05 * noise(0)
    painted = 0.2 + 0.03 * noise(0) + 0.12 * lesion
    mixed = blend(real, painted, disc(10), margin=3)
    inside = disc(5)[:, None]
    assert mixed[inside].mean() == pytest.approx(0.6 + 0.12 * 5 / 3, abs=0.03)
    assert (mixed - real)[disc(9)[:, None] & ~disc(7)[:, None]].abs().max() < 0.02


def test_brightness_is_matched_in_each_part_of_the_slice() -> None:
    real = torch.full((1, 1, 48, 48), 0.2)
    real[..., 24:] = 0.8
    region = disc(6, column=10) | disc(6, column=38)
    mixed = blend(real, torch.full_like(real, 0.5), region, margin=2)
    assert (mixed - real).abs().max() < 0.02


def test_the_painted_slice_comes_in_step_by_step() -> None:
    real, painted = torch.full((1, 1, 48, 48), 0.5), torch.full((1, 1, 48, 48), 0.5)
    painted[disc(6)[:, None]] = 0.9
    row = blend(real, painted, dilate(disc(6), 3), margin=3)[0, 0, 24, 24:]
    assert row.tolist() == pytest.approx([0.9] * 7 + [0.5] * 17, abs=1e-5)


def test_a_misfit_at_the_rim_fades_out() -> None:
    real, painted = torch.full((1, 1, 48, 48), 0.5), torch.full((1, 1, 48, 48), 0.5)
    painted[..., 24] = 0.9  # a streak from side to side, which matching cannot explain
    streak = blend(real, painted, dilate(disc(6), 3), margin=3)[0, 0, :24, 24]
    assert (streak[1:] - streak[:-1]).min() > -0.01
    assert (streak[1:] - streak[:-1]).max() < 0.6 * float(streak.max() - streak.min())


def test_an_empty_region_changes_nothing_and_a_full_one_repaints_all() -> None:
    real, painted = torch.full((1, 1, 48, 48), 0.3), torch.full((1, 1, 48, 48), 0.6)
    nowhere = torch.zeros(1, 48, 48, dtype=torch.bool)
    assert torch.equal(blend(real, painted, nowhere, margin=3), real)
    assert torch.allclose(blend(real, painted, ~nowhere, margin=3), painted)


def test_region_is_the_lesion_and_a_rim_also_at_the_border() -> None:
    label = 2 * disc(4, row=0, column=47).to(torch.uint8)
    region = paint_region(label, [2], margin=3)
    assert region[disc(7, row=0, column=47)].all()
    assert not region[~disc(8, row=0, column=47)].any()
    assert not paint_region(label, [1], margin=3).any()


def test_region_holds_what_was_changed() -> None:
    gone = disc(3, row=30)
    region = paint_region(torch.zeros(1, 48, 48, dtype=torch.uint8), [], margin=1, changed=gone)
    assert torch.equal(region, dilate(gone, 1))
    assert int(region.sum()) > int(gone.sum())
