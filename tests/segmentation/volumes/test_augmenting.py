from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
import torch
from torch import Tensor

from nephrite.augment import geometric
from nephrite.augment.spatial import SpatialRanges
from nephrite.augment.standard import IntensityRanges
from nephrite.segmentation.volumes.augmenting import PatchParameters, apply_geometric, apply_standard, draw_standard

STILL = SpatialRanges(rotation_probability=0, scale_probability=0, mirroring=False)
NONE: dict[str, Any] = {name: 0.0 for name in vars(IntensityRanges()) if name.endswith("probability")}
PLAIN = IntensityRanges(**NONE)


def patch(depth: int = 5) -> tuple[Tensor, Tensor]:
    """Two patches whose slices are all alike."""
    image = torch.rand(2, 1, 1, 16, 16).expand(2, 1, depth, 16, 16).contiguous()
    return image, (image[:, 0] * 3).to(torch.uint8)


def drawn(moves: SpatialRanges, ranges: IntensityRanges) -> PatchParameters:
    return draw_standard(2, moves=moves, ranges=ranges, generator=torch.Generator().manual_seed(3))


@pytest.mark.parametrize("change", ["blur", "brightness", "contrast", "bias", "low_resolution", "gamma"])
def test_slices_that_are_alike_stay_alike(change: str) -> None:
    image, label = patch()
    always: dict[str, Any] = {f"{change}_probability": 1.0}
    ranges = replace(PLAIN, **always)
    found, kept = apply_standard(drawn(STILL, ranges), image, label)
    assert not torch.allclose(found, image, atol=1e-3)
    assert torch.allclose(found, found[:, :, :1].expand_as(found), atol=1e-5)
    assert torch.equal(kept, label)


def test_noise_is_of_the_patch_and_differs_from_slice_to_slice() -> None:
    image, label = patch()
    ranges = replace(PLAIN, noise_probability=1.0, noise_deviation=(0.5, 0.5))
    found, _ = apply_standard(drawn(STILL, ranges), image, label)
    assert not torch.allclose(found[:, :, 0], found[:, :, 1])


def test_statistics_are_those_of_the_patch_so_that_a_dark_slice_stays_dark() -> None:
    image, label = patch()
    image[:, :, 0] *= 0.1
    ranges = replace(PLAIN, gamma_probability=1.0, gamma=(0.7, 0.7))
    found, _ = apply_standard(drawn(STILL, ranges), image, label)
    assert found[:, :, 0].max() < found[:, :, 1].mean()


def test_all_slices_are_moved_alike_with_their_labels() -> None:
    image, label = patch()
    moves = SpatialRanges(rotation_probability=1, scale_probability=1)
    found, moved = apply_standard(drawn(moves, PLAIN), image, label)
    assert not torch.allclose(found, image)
    assert torch.allclose(found, found[:, :, :1].expand_as(found))
    assert torch.equal(moved, moved[:, :1].expand_as(moved))


def test_the_order_of_slices_is_turned_for_half_of_the_patches() -> None:
    image, label = torch.rand(2, 1, 5, 16, 16), torch.randint(0, 3, (2, 5, 16, 16), dtype=torch.uint8)
    still = drawn(STILL, PLAIN)
    turned = replace(still, turned=torch.tensor([True, False]))
    found, maps = apply_standard(turned, image, label)
    assert torch.allclose(found[0], image[0].flip(1), atol=1e-6)
    assert torch.allclose(found[1], image[1], atol=1e-6)
    assert torch.equal(maps[0], label[0].flip(0))
    many = draw_standard(400, moves=SpatialRanges(), ranges=PLAIN, generator=torch.Generator().manual_seed(1)).turned
    assert 160 < int(many.sum()) < 240
    assert not still.turned.any()


def test_the_capstones_geometry_moves_all_slices_alike() -> None:
    image, label = patch()
    parameters = geometric.draw(2, rotation=45, scale=0.15, shift=0.1, generator=torch.Generator().manual_seed(1))
    found, moved = apply_geometric(parameters, image, label)
    alone, flat = geometric.apply(parameters, image[:, :, 0], label[:, 0])
    assert torch.allclose(found[:, :, 3], alone)
    assert torch.equal(moved[:, 3], flat)
