"""Losses as pure functions of logits and targets, always in float32.

b  batch    c  channels, one sigmoid each    h, w  height and width in pixels    ...  of a slice or a volume
"""

from __future__ import annotations

from typing import NamedTuple

from jaxtyping import Bool, Float
from torch import Tensor
from torch.nn import functional

PAPER_RANGE = 2  # of the paper's images, from -1 to 1, in units of ours, from 0 to 1


class GeneratorLoss(NamedTuple):
    """The generator's loss and its parts; `l1` comes without its weight, of images in [0, 1]."""

    total: Float[Tensor, ""]
    adversarial: Float[Tensor, ""]
    l1: Float[Tensor, ""]


def dice_loss(
    logits: Float[Tensor, "b c ..."],
    target: Float[Tensor, "b c ..."] | Bool[Tensor, "b c ..."],
    known: Bool[Tensor, "b ..."] | None = None,
    *,
    smooth: float = 1.0,
) -> Float[Tensor, ""]:
    """One minus soft Dice per channel over the whole batch, then the mean over channels (Milletari 2016, section 3).

    Over the batch and not per slice, since most slices hold no tumor and an empty slice has no Dice of its own. The
    denominator is the plain sum and not Milletari's sum of squares, as segmentation_models_pytorch has it.

    Args:
        logits: before the sigmoid.
        target: 0 or 1.
        known: pixels, or voxels, that count; None means all of them.
        smooth: pixels added to numerator and denominator. A channel without a positive pixel in the batch then has
            loss near 0 if nothing is predicted, and a gradient that removes false positives otherwise.
    """
    probability, truth = logits.float().sigmoid(), target.float()
    if known is not None:
        probability, truth = probability * known[:, None], truth * known[:, None]
    over = [axis for axis in range(logits.ndim) if axis != 1]
    overlap = (probability * truth).sum(over)
    size = probability.sum(over) + truth.sum(over)
    return (1 - (2 * overlap + smooth) / (size + smooth)).mean()


def dice_and_cross_entropy(
    logits: Float[Tensor, "b c ..."],
    target: Float[Tensor, "b c ..."] | Bool[Tensor, "b c ..."],
    known: Bool[Tensor, "b ..."] | None = None,
) -> Float[Tensor, ""]:
    """Dice loss plus binary cross-entropy (Isensee et al. 2021, nnU-Net, methods).

    Cross-entropy has a gradient at every pixel, so a small class that a short training has lost can come back; Dice
    alone leaves it at nothing.
    """
    weight = None if known is None else known[:, None].float().expand_as(logits)
    entropy = functional.binary_cross_entropy_with_logits(logits.float(), target.float(), weight)
    return dice_loss(logits, target, known) + entropy


def discriminator_loss(
    real_logits: Float[Tensor, "b 1 h w"],
    fake_logits: Float[Tensor, "b 1 h w"],
    patches: Float[Tensor, "b 1 h w"] | None = None,
) -> Float[Tensor, ""]:
    """Half of -log D(x, y) - log(1 - D(x, G(x))), averaged over patches (Isola 2017, equation 1).

    The half slows the discriminator down relative to the generator (section 3.3). ln 2 = 0.69 is a coin toss.

    Args:
        real_logits: of real slices.
        fake_logits: of painted slices.
        patches: weight of each patch; None = all alike.
    """
    real, fake = real_logits.float(), fake_logits.float()
    return (weighted_mean(functional.softplus(-real), patches) + weighted_mean(functional.softplus(fake), patches)) / 2


def generator_loss(
    fake_logits: Float[Tensor, "b 1 h_patches w_patches"],
    fake: Float[Tensor, "b 1 h w"],
    real: Float[Tensor, "b 1 h w"],
    *,
    l1_weight: float,
    patches: Float[Tensor, "b 1 h_patches w_patches"] | None = None,
    pixels: Float[Tensor, "b 1 h w"] | None = None,
) -> GeneratorLoss:
    """-log D(x, G(x)) + weight * |y - G(x)|, averaged over patches and pixels (Isola 2017, equation 4, section 3.3).

    The weight is the paper's, for images in [-1, 1]; ours lie in [0, 1], where L1 is half as large, so it counts twice.

    Args:
        fake_logits: of painted slices.
        fake: painted slices.
        real: the slices that they should be.
        l1_weight: of the L1 loss of images in [-1, 1].
        patches, pixels: weight of each patch and of each pixel, where only a part was painted; None = all alike.
    """
    adversarial = weighted_mean(functional.softplus(-fake_logits.float()), patches)
    l1 = weighted_mean((fake.float() - real.float()).abs(), pixels)
    return GeneratorLoss(adversarial + l1_weight * PAPER_RANGE * l1, adversarial, l1)


def weighted_mean(values: Float[Tensor, "..."], weights: Float[Tensor, "..."] | None) -> Float[Tensor, ""]:
    """Mean by weight; 0 where all weights are 0."""
    if weights is None:
        return values.mean()
    return (values * weights).sum() / weights.sum().clamp(min=1e-6)
