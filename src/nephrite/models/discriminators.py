"""PatchGAN: Isola, Zhu, Zhou, Efros, "Image-to-Image Translation with Conditional Adversarial Networks", CVPR 2017,
section 3.2.2 and appendix 6.1.2.

b  batch                            k  channels of the condition
h  height, w in shapes: width       n  base width: channels after the first convolution (paper: 64)
"""

from __future__ import annotations

from itertools import pairwise

import torch
from jaxtyping import Float
from torch import Tensor, nn

from nephrite.config import DiscriminatorSettings
from nephrite.models.generators import initialize_gaussian

KERNEL = 4
WIDEST = 8  # times the base width


class Discriminator(nn.Module):
    """One logit per patch: is this slice, under this label map, real? (Isola 2017, appendix 6.1.2)

    Real and painted slices come in passes of their own, so that neither's batch statistics tell of the other.
    4x4 convolutions with leaky ReLU of slope 0.2: the first without normalization, `layers` of stride 2, then one of
    stride 1 and one to a single channel. C64-C128-C256-C512 at `layers` = 3.

    Args:
        in_channels: channels of condition and slice together.
        base_width: channels after the first convolution.
        layers: convolutions of stride 2; 3 gives patches of 70 x 70 pixels, see `receptive_field`.
    """

    def __init__(self, in_channels: int, *, base_width: int, layers: int) -> None:
        super().__init__()
        widths = [base_width * min(2**level, WIDEST) for level in range(layers + 1)]
        blocks: list[nn.Module] = []
        for level, (before, after) in enumerate(pairwise([in_channels, *widths])):
            blocks.append(nn.Conv2d(before, after, KERNEL, stride=2 if level < layers else 1, padding=1))
            if level > 0:
                blocks.append(nn.BatchNorm2d(after))
            blocks.append(nn.LeakyReLU(0.2, inplace=True))
        self.blocks = nn.Sequential(*blocks, nn.Conv2d(widths[-1], 1, KERNEL, padding=1))
        self.apply(initialize_gaussian)

    def forward(
        self, condition: Float[Tensor, "b k h w"], image: Float[Tensor, "b 1 h w"]
    ) -> Float[Tensor, "b 1 h_patches w_patches"]:
        """Logits of the patches, positive for real."""
        logits: Tensor = self.blocks(torch.cat([condition, image], dim=1))
        return logits


def build_discriminator(settings: DiscriminatorSettings, *, channels: int) -> Discriminator:
    """The discriminator that the settings name.

    Args:
        settings: 'train_gan.discriminator'.
        channels: of the condition.
    """
    return Discriminator(channels + 1, base_width=settings.base_width, layers=settings.layers)


def receptive_field(layers: int) -> int:
    """Pixels per side that one logit sees: 16, 34, 70, 142, 286 for 1 to 5 layers (Isola 2017, section 4.4)."""
    field = 1
    for stride in [1, 1, *[2] * layers]:
        field = (field - 1) * stride + KERNEL
    return field
