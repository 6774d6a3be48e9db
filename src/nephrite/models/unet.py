"""U-Net: Ronneberger, Fischer, Brox, "U-Net: Convolutional Networks for Biomedical Image Segmentation", MICCAI 2015.

b  batch                            w  base width: channels of level 0 (paper: 64)
h  height, w in shapes: width       d  depth: number of max-pools (paper: 4)
c  channels                         l  level, 0 at full resolution; it has w * 2**l channels

Two layouts, which differ in where the expansive path halves its channels:

up_convolution     the paper's (figure 1): the 2x2 up-convolution halves, both 3x3 convolutions keep.
                   31.0 M parameters at w = 64.
last_convolution   the 2021 capstone's notebooks: the up-convolution keeps, the last 3x3 convolution of the level below
                   halves; the bottom has one convolution up and one down. 23.4 M at w = 64, 93.5 M at w = 128.
"""

from __future__ import annotations

from itertools import pairwise
from math import sqrt
from typing import Literal

import torch
from jaxtyping import Float
from torch import Tensor, nn

Padding = Literal["valid", "same"]
Normalization = Literal["none", "batch"]
Halving = Literal["up_convolution", "last_convolution"]


class UNet(nn.Module):
    """Contracting path, bottom, expansive path with skip connections, 1x1 convolution (Ronneberger 2015, section 2).

    Args:
        in_channels: channels of the image.
        out_channels: channels of the logits.
        base_width: channels of level 0.
        depth: number of max-pools.
        padding: "valid" as in the paper, where the output is smaller than the input, or "same".
        normalization: "none" as in the paper, or "batch" between convolution and ReLU.
        halving: which layer of the expansive path halves the channels; see the top of this file.
    """

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        *,
        base_width: int,
        depth: int = 4,
        padding: Padding,
        normalization: Normalization,
        halving: Halving = "up_convolution",
    ) -> None:
        super().__init__()
        self.depth, self.padding = depth, padding
        # where the channels are halved: by the up-convolution, or by the block before
        early = halving == "up_convolution"
        *widths, bottom = [base_width * 2**level for level in range(depth + 1)]
        self.contractions = nn.ModuleList(
            DoubleConvolution(before, width, width, padding, normalization)
            for before, width in pairwise([in_channels, *widths])
        )
        self.pool = nn.MaxPool2d(2)
        self.bottom = DoubleConvolution(widths[-1], bottom, bottom if early else widths[-1], padding, normalization)
        self.expansions = nn.ModuleList(
            Expansion(2 * width if early else width, width, width if early else above, padding, normalization)
            for above, width in reversed(list(pairwise([base_width, *widths])))
        )
        self.output = nn.Conv2d(base_width, out_channels, 1)
        self.apply(_initialize)

    def forward(self, image: Float[Tensor, "b c_in h_in w_in"]) -> Float[Tensor, "b c_out h_out w_out"]:
        """Logits of the middle of `image`, whose sides must be sizes that `input_size` gives."""
        skips, features = [], image
        for contract in self.contractions:
            features = contract(features)
            skips.append(features)
            features = self.pool(features)
        features = self.bottom(features)
        for expand, skip in zip(self.expansions, reversed(skips), strict=True):
            features = expand(features, skip)
        logits: Tensor = self.output(features)
        return logits

    def input_size(self, size: int) -> int:
        """The smallest side that the network takes and whose output covers `size` pixels.

        A valid 3x3 convolution costs 2 pixels, so a pair costs 4. From a bottom output of n pixels, each level up the
        expansive path gives 2n - 4, and each level up the contracting path needs 2n + 4. The paper's 388 of 572 px
        come from n = 28 (figure 1).
        """
        factor = 1 << self.depth
        if self.padding == "same":
            return -(-size // factor) * factor
        lost = 4 * (factor - 1)
        bottom = max(-(-(size + lost) // factor), 1)
        return factor * (bottom + 4) + lost


class DoubleConvolution(nn.Sequential):
    """Two 3x3 convolutions, each followed by a ReLU (Ronneberger 2015, section 2).

    With batch normalization between the two, as Ioffe 2015, section 3.2, has it.
    """

    def __init__(
        self, in_channels: int, middle: int, out_channels: int, padding: Padding, normalization: Normalization
    ) -> None:
        layers: list[nn.Module] = []
        for before, after in pairwise([in_channels, middle, out_channels]):
            layers.append(nn.Conv2d(before, after, 3, padding=1 if padding == "same" else 0))
            if normalization == "batch":
                layers.append(nn.BatchNorm2d(after))
            layers.append(nn.ReLU(inplace=True))
        super().__init__(*layers)


class Expansion(nn.Module):
    """2x2 up-convolution, cropped skip connection, two 3x3 convolutions (Ronneberger 2015, section 2)."""

    def __init__(
        self, in_channels: int, width: int, out_channels: int, padding: Padding, normalization: Normalization
    ) -> None:
        super().__init__()
        self.up = nn.ConvTranspose2d(in_channels, width, 2, stride=2)
        self.convolve = DoubleConvolution(2 * width, width, out_channels, padding, normalization)

    def forward(
        self, below: Float[Tensor, "b c_below h_below w_below"], skip: Float[Tensor, "b c h w"]
    ) -> Float[Tensor, "b c_out h_out w_out"]:
        """Features one level up; `skip` is cropped because valid convolutions lose border pixels."""
        raised = self.up(below)
        joined = torch.cat([crop_center(skip, *raised.shape[-2:]), raised], dim=1)
        features: Tensor = self.convolve(joined)
        return features


def crop_center(image: Float[Tensor, "b c h_in w_in"], height: int, width: int) -> Float[Tensor, "b c h_out w_out"]:
    """The middle `height` x `width` pixels; one more is cut off at the end than at the start if the rest is odd."""
    top, left = (image.shape[-2] - height) // 2, (image.shape[-1] - width) // 2
    return image[..., top : top + height, left : left + width]


def _initialize(module: nn.Module) -> None:
    """Gaussian of standard deviation sqrt(2 / N), N incoming values (Ronneberger 2015, section 3; He 2015)."""
    if isinstance(module, nn.Conv2d):
        nn.init.kaiming_normal_(module.weight, nonlinearity="relu")
    elif isinstance(module, nn.ConvTranspose2d):
        nn.init.normal_(module.weight, std=sqrt(2 / module.in_channels))
    if isinstance(module, nn.Conv2d | nn.ConvTranspose2d) and module.bias is not None:
        nn.init.zeros_(module.bias)
