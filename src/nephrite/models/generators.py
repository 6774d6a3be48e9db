"""pix2pix generator: Isola, Zhu, Zhou, Efros, "Image-to-Image Translation with Conditional Adversarial Networks",
CVPR 2017, appendix 6.1.

b  batch                                k  channels of the condition, e.g. classes of the label map
h  height, w in shapes: width           n  base width: channels after the first convolution (paper: 64)
d  depth: number of down-samplings (paper: 8, for 256 px)

Ck is Convolution-Normalization-ReLU with k channels, CDk the same with dropout. At n = 64 and d = 8:
encoder  C64-C128-C256-C512-C512-C512-C512-C512
decoder  CD512-CD512-CD512-C512-C256-C128-C64, each with the encoder's features of its size concatenated
"""

from __future__ import annotations

from itertools import pairwise
from typing import Literal

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional

from nephrite.models.unet import crop_center

Upsampling = Literal["transposed", "resize"]
Normalization = Literal["slice", "batch"]
WIDEST = 8  # times the base width
DROPOUT_LEVELS = 3
PADDING_SHARE = 0.25


class Generator(nn.Module):
    """Condition in, slice out: encoder and decoder with skip connections (Isola 2017, appendix 6.1.1).

    The paper's noise is dropout alone, at test time too (section 3.2). Here `eval()` turns it off as in any module, so
    that one label map gives one slice.

    Args:
        in_channels: of the condition, e.g. a one-hot label map.
        base_width: channels after the first convolution.
        depth: number of down-samplings; `fitting_depth` names the largest sensible one for an image size.
        upsampling: "transposed" convolutions as in the paper, or "resize", which shows no checkerboard.
        dropout: share of features dropped in the first three decoder levels.
        normalization: "slice" by the statistics of the slice itself, in training and in painting: what the paper's
            batch normalization is at its batch of one; or "batch" by those of the batch in training, and by their
            running averages in painting, which are those of no slice.
    """

    def __init__(
        self,
        in_channels: int,
        *,
        base_width: int,
        depth: int,
        upsampling: Upsampling,
        dropout: float,
        normalization: Normalization = "slice",
    ) -> None:
        super().__init__()
        self.depth = depth
        # down to 1 x 1 of the deepest level, then up with skip connections
        widths = [base_width * min(2**level, WIDEST) for level in range(depth)]
        self.encoder = nn.ModuleList(
            Down(before, after, normalization if 0 < level < depth - 1 else None)
            for level, (before, after) in enumerate(pairwise([in_channels, *widths]))
        )
        self.decoder = nn.ModuleList(
            Up(
                widths[level] * (1 if level == depth - 1 else 2),
                widths[level - 1],
                upsampling,
                dropout if depth - 1 - level < DROPOUT_LEVELS else 0.0,
                normalization,
            )
            for level in range(depth - 1, 0, -1)
        )
        self.output = upsample(2 * widths[0], 1, upsampling)
        self.apply(initialize_gaussian)

    def forward(self, condition: Float[Tensor, "b k h w"]) -> Float[Tensor, "b 1 h w"]:
        """The slice in [0, 1], as windowed slices are; sides that `2**depth` does not divide are padded, then cropped.

        The sigmoid is the paper's tanh moved from [-1, 1] to [0, 1]. It is taken in float32: bfloat16 has 128 steps
        between 0.5 and 1, which a window of 400 HU would show as steps of 1.6 HU.
        """
        height, width = condition.shape[-2:]
        features, skips = pad_to_multiple(condition, 2**self.depth), []
        for down in self.encoder:
            features = down(features)
            skips.append(features)
        features = skips.pop()
        for up in self.decoder:
            features = torch.cat([up(features), skips.pop()], dim=1)
        logits = self.output(functional.relu(features))
        return crop_center(logits.float().sigmoid(), height, width)


class Down(nn.Sequential):
    """4x4 convolution of stride 2 after a leaky ReLU of slope 0.2 (Isola 2017, appendix 6.1.1).

    The first has neither ReLU before it nor normalization; the innermost has no normalization either, because at one
    pixel per channel a batch of one would be normalized to zero (the authors' erratum, section 7).
    """

    def __init__(self, in_channels: int, out_channels: int, normalization: Normalization | None) -> None:
        super().__init__(nn.Conv2d(in_channels, out_channels, 4, stride=2, padding=1))
        if normalization:
            self.append(normalize(out_channels, normalization))
        # Not in place: the decoder's skip connection takes these features.
        self.append(nn.LeakyReLU(0.2))


class Up(nn.Sequential):
    """ReLU, up-sampling by 2, normalization, dropout (Isola 2017, appendix 6.1.1)."""

    def __init__(
        self, in_channels: int, out_channels: int, upsampling: Upsampling, dropout: float, normalization: Normalization
    ) -> None:
        super().__init__(
            nn.ReLU(),
            upsample(in_channels, out_channels, upsampling),
            normalize(out_channels, normalization),
            nn.Dropout(dropout),
        )


def normalize(channels: int, normalization: Normalization) -> nn.Module:
    """Normalization by the statistics of each slice, or of the batch; with learned scale and offset."""
    return nn.InstanceNorm2d(channels, affine=True) if normalization == "slice" else nn.BatchNorm2d(channels)


def upsample(in_channels: int, out_channels: int, upsampling: Upsampling) -> nn.Module:
    """Twice the size: 4x4 transposed convolution of stride 2 (Isola 2017), or nearest neighbor and a 3x3 convolution.

    The second gives every output pixel the same number of inputs, so no checkerboard (Odena 2016, "Deconvolution and
    Checkerboard Artifacts", Distill).
    """
    if upsampling == "transposed":
        return nn.ConvTranspose2d(in_channels, out_channels, 4, stride=2, padding=1)
    return ResizeConv(in_channels, out_channels)


class ResizeConv(nn.Conv2d):
    """Nearest neighbor at twice the size, then a 3x3 convolution: the same numbers in half the time.

    Each output pixel sees nine inputs, of which at most four differ. Where inputs repeat, their weights can be added
    beforehand: what is left is a transposed 4x4 convolution of stride 2, whose kernel is the 3x3 one spread by 2x2.
    """

    def __init__(self, in_channels: int, out_channels: int) -> None:
        super().__init__(in_channels, out_channels, 3, padding=1)

    def forward(self, features: Float[Tensor, "b n h w"]) -> Float[Tensor, "b m 2*h 2*w"]:
        """Features of twice the size."""
        padded = functional.pad(self.weight.flip(-1, -2), (1, 1, 1, 1))
        rows = padded[..., :-1, :] + padded[..., 1:, :]
        kernel = (rows[..., :-1] + rows[..., 1:]).transpose(0, 1)
        return functional.conv_transpose2d(features, kernel, self.bias, stride=2, padding=1)


def fitting_depth(size: int, depth: int) -> int:
    """The largest depth, up to `depth`, whose padding adds at most a quarter to `size` pixels; at least 1."""
    fitting = [level for level in range(1, depth + 1) if -size % 2**level <= PADDING_SHARE * size]
    return max(fitting, default=1)


def initialize_gaussian(module: nn.Module) -> None:
    """Weights from a Gaussian of mean 0 and standard deviation 0.02 (Isola 2017, appendix 6.2)."""
    if isinstance(module, nn.Conv2d | nn.ConvTranspose2d):
        nn.init.normal_(module.weight, 0.0, 0.02)
        if module.bias is not None:
            nn.init.zeros_(module.bias)
    elif isinstance(module, nn.BatchNorm2d | nn.InstanceNorm2d):
        nn.init.normal_(module.weight, 1.0, 0.02)
        nn.init.zeros_(module.bias)


def pad_to_multiple(image: Float[Tensor, "b k h w"], multiple: int) -> Float[Tensor, "b k h_out w_out"]:
    """Repeat the border pixels: a padded one-hot map is one-hot."""
    rows, columns = -image.shape[-2] % multiple, -image.shape[-1] % multiple
    if rows == columns == 0:
        return image
    return functional.pad(image, (columns // 2, columns - columns // 2, rows // 2, rows - rows // 2), mode="replicate")
