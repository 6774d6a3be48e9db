from __future__ import annotations

import importlib
import math

import pytest
import torch
from torch import Tensor

from nephrite.models.losses import (
    dice_and_cross_entropy,
    dice_loss,
    discriminator_loss,
    generator_loss,
    weighted_mean,
)


def batch(channels: int = 2) -> tuple[Tensor, Tensor]:
    source = torch.Generator().manual_seed(0)
    logits = torch.randn(3, channels, 8, 8, generator=source)
    return logits, torch.rand(3, channels, 8, 8, generator=source) > 0.7


@pytest.mark.parametrize("smooth", [0.0, 1.0, 10.0])
def test_dice_is_that_of_segmentation_models_pytorch(smooth: float) -> None:
    """Which counts its own smooth term twice."""
    smp_losses = importlib.import_module("segmentation_models_pytorch.losses")
    logits, target = batch()
    reference = smp_losses.DiceLoss("multilabel", smooth=smooth / 2)(logits, target.float())
    assert float(dice_loss(logits, target, smooth=smooth)) == pytest.approx(float(reference), abs=1e-6)


def test_dice_of_perfect_and_of_inverted_logits() -> None:
    _, target = batch()
    sure = torch.where(target, 100.0, -100.0)
    assert float(dice_loss(sure, target)) == pytest.approx(0, abs=1e-6)
    assert float(dice_loss(-sure, target)) == pytest.approx(1, abs=0.03)


def test_dice_is_over_the_batch_and_not_per_slice() -> None:
    target = torch.zeros(2, 1, 4, 4)
    target[0] = 1
    logits = torch.where(target > 0, 100.0, -100.0)
    logits[1, 0, 0, 0] = 100
    assert float(dice_loss(logits, target, smooth=0)) == pytest.approx(1 - 32 / 33)


def test_an_absent_channel_costs_only_its_false_positives() -> None:
    empty = torch.zeros(2, 1, 4, 4)
    assert float(dice_loss(torch.full_like(empty, -100), empty)) == pytest.approx(0)
    logits = torch.zeros_like(empty, requires_grad=True)
    (gradient,) = torch.autograd.grad(dice_loss(logits, empty), logits)
    assert (gradient > 0).all()


def test_dice_is_float32_for_bfloat16_logits() -> None:
    logits, target = batch()
    assert dice_loss(logits.bfloat16(), target).dtype == torch.float32


def test_a_guessing_discriminator_loses_ln_2() -> None:
    assert float(discriminator_loss(torch.zeros(1, 1, 2, 2), torch.zeros(1, 1, 2, 2))) == pytest.approx(math.log(2))


def test_the_discriminator_gains_by_telling_real_from_fake() -> None:
    right, wrong = torch.full((1, 1, 2, 2), 3.0), torch.full((1, 1, 2, 2), -3.0)
    assert discriminator_loss(right, wrong) < math.log(2) < discriminator_loss(wrong, right)


def test_the_generator_gains_by_fooling_and_by_nearness() -> None:
    real = torch.zeros(1, 1, 4, 4)
    far = generator_loss(torch.full((1, 1, 2, 2), -3.0), real + 0.5, real, l1_weight=100)
    near = generator_loss(torch.full((1, 1, 2, 2), 3.0), real + 0.1, real, l1_weight=100)
    assert near.adversarial < far.adversarial
    assert near.l1 < far.l1


def test_the_parts_add_up() -> None:
    logits, real = torch.zeros(1, 1, 2, 2), torch.zeros(1, 1, 4, 4)
    loss = generator_loss(logits, real + 0.25, real, l1_weight=10)
    assert (float(loss.l1), float(loss.adversarial)) == pytest.approx((0.25, math.log(2)))
    assert float(loss.total) == pytest.approx(math.log(2) + 10 * 0.5)  # 0.25 of [0, 1] is 0.5 of the paper's [-1, 1]


def test_losses_of_extreme_logits_stay_finite() -> None:
    extreme = torch.full((1, 1, 2, 2), 1e4)
    assert discriminator_loss(-extreme, extreme).isfinite()
    assert generator_loss(-extreme, extreme, extreme, l1_weight=1).total.isfinite()


def test_what_weighs_nothing_changes_no_loss() -> None:
    weight = torch.zeros(1, 1, 4, 4)
    weight[..., :2] = 1
    near, far = torch.rand(2, 1, 1, 4, 4)
    mixed = torch.where(weight > 0, near, far)
    assert discriminator_loss(near, near, weight) == discriminator_loss(mixed, mixed, weight)
    losses = [generator_loss(x, x, near * 0, l1_weight=3, patches=weight, pixels=weight) for x in (near, mixed)]
    assert losses[0] == losses[1]


def test_weighted_mean_is_the_mean_where_all_weigh_alike_and_0_where_nothing_weighs() -> None:
    values = torch.rand(2, 1, 4, 4)
    assert float(weighted_mean(values, torch.full_like(values, 3))) == pytest.approx(float(values.mean()))
    assert float(weighted_mean(values, torch.zeros_like(values))) == 0


def test_cross_entropy_brings_back_a_class_that_dice_has_lost() -> None:
    lost = torch.full((1, 1, 8, 8), -12.0, requires_grad=True)
    target = torch.zeros(1, 1, 8, 8)
    target[..., :2, :2] = 1
    gradients = []
    for loss in (dice_loss, dice_and_cross_entropy):
        (gradient,) = torch.autograd.grad(loss(lost, target), lost)
        gradients.append(float(gradient[..., :2, :2].abs().mean()))
    assert gradients[1] > 1000 * gradients[0]
