"""Augmentation of what a discriminator sees: alike for slice and condition, replayable, and the gradient passes."""

from __future__ import annotations

from dataclasses import fields

import pytest
import torch
from torch import Tensor

from nephrite.augment.parameters import take
from nephrite.models.diffaugment import TRANSLATION, Changes, apply, draw

ALL = ("translation", "cutout", "intensity")


def drawn(*names: str, count: int = 4, seed: int = 1) -> Changes:
    return draw(count, names, generator=torch.Generator().manual_seed(seed))


def batch(height: int = 32, width: int = 48) -> tuple[Tensor, Tensor]:
    label = torch.randint(0, 2, (4, 1, height, width))
    return torch.rand(4, 1, height, width), torch.cat([1 - label, label], dim=1).float()


def test_no_name_changes_nothing() -> None:
    image, condition = batch()
    same_image, same_condition = apply(drawn(), image, condition)
    assert torch.allclose(same_image, image, atol=1e-6)
    assert torch.equal(same_condition, condition)


@pytest.mark.parametrize("name", ALL)
def test_each_name_changes_the_slice(name: str) -> None:
    image, condition = batch()
    assert not torch.allclose(apply(drawn(name), image, condition)[0], image, atol=0.01)


def test_same_seed_same_changes() -> None:
    image, condition = batch()
    first, again = (apply(drawn(*ALL), image, condition)[0] for _ in range(2))
    assert torch.equal(first, again)
    assert not torch.equal(apply(drawn(*ALL, seed=2), image, condition)[0], first)


@pytest.mark.parametrize("names", [("translation",), ("cutout",), ALL[:2]])
def test_condition_moves_and_is_cut_with_the_slice(names: tuple[str, ...]) -> None:
    _, condition = batch()
    image, moved = apply(drawn(*names), condition[:, 1:], condition)
    assert torch.allclose(image, moved[:, 1:], atol=1e-6)
    assert set(moved.flatten().tolist()) == {0, 1}


def test_slice_is_shifted_by_whole_pixels_and_filled_with_nothing() -> None:
    shift = torch.tensor([[0.125, -0.25]])
    changes = Changes(shift, torch.full((1, 2), torch.nan), torch.zeros(1), torch.ones(1))
    image, _ = apply(changes, (place := torch.rand(1, 1, 16, 16)), place)
    assert torch.allclose(image[..., 2:, :12], place[..., :14, 4:], atol=1e-6)
    assert not image[..., :2, :].any()
    assert not image[..., 12:].any()


def test_translation_is_at_most_an_eighth_and_cutout_at_most_a_quarter_of_the_slice() -> None:
    assert 0.9 * TRANSLATION < float(drawn(*ALL, count=500).shift.abs().max()) <= TRANSLATION
    ones = torch.ones(500, 1, 32, 32)
    cut = 1 - apply(drawn("cutout", count=500), ones, ones)[0].mean((1, 2, 3))
    assert 0 < float(cut.min()) < float(cut.max()) <= 0.25


def test_intensity_changes_mean_and_contrast_and_not_the_condition() -> None:
    image, condition = batch()
    changes = drawn("intensity")
    changed, same = apply(changes, image, condition)
    assert torch.equal(same, condition)
    assert torch.allclose(changed.mean((1, 2, 3)), image.mean((1, 2, 3)) + changes.brightness, atol=1e-5)
    assert torch.allclose(changed.std((1, 2, 3)), image.std((1, 2, 3)) * changes.contrast, rtol=1e-3)


def test_gradient_reaches_exactly_what_is_seen() -> None:
    image, condition = batch()
    image.requires_grad_()
    changed, _ = apply(drawn("cutout"), image, condition)
    (gradient,) = torch.autograd.grad(changed.sum(), image)
    assert torch.equal(gradient != 0, changed.detach() != 0)


def test_share_of_the_batch_is_changed_as_in_the_whole_batch() -> None:
    image, condition = batch()
    share = slice(1, None, 2)
    whole, _ = apply(drawn(*ALL), image, condition)
    part, _ = apply(take(drawn(*ALL), share), image[share], condition[share])
    assert torch.equal(part, whole[share])
    assert all(len(getattr(drawn(*ALL), field.name)) == 4 for field in fields(Changes))
