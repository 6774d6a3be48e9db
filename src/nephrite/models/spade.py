"""SPADE with a style code: Park, Liu, Wang, Zhu, "Semantic Image Synthesis with Spatially-Adaptive Normalization",
CVPR 2019.

What the paper has beside the generator is not all here: its discriminator judges at several scales, with spectral
normalization and a hinge loss, and the generator also matches the discriminator's and VGG's features (section 3.1,
appendix A). Here the discriminator is pix2pix's, with cross-entropy and L1 (`generation.adversarial`), and no network
is spectrally normalized.

Own blocks and not MONAI's: those of 1.6 normalize scale and offset too, against the paper's figure 2, which erases the
style of a uniform tissue and takes a third of the time.

b  batch    k  channels of the condition    c  numbers in the style code    h, w  height and width in pixels
"""

from __future__ import annotations

from itertools import pairwise

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional

from nephrite.models.generators import ResizeConv
from nephrite.models.unet import crop_center

WIDEST = 8  # times the base width
ENCODER_LEVELS = 4
SLOPE = 0.2


class SpadeGenerator(nn.Module):
    """Condition and style code in, slice out.

    As in the paper (section 3.2), the condition scales and shifts normalized features at every level. What differs: the
    blocks end at half resolution, with a plain convolution of features and condition above them, since most of the time
    would otherwise be spent there.

    Args:
        channels: of the condition.
        base_width: features at half resolution; twice as many at each level below, up to 8 times.
        depth: number of up-samplings.
        hidden_width: features within a normalization.
        code_length: numbers in the style code.
    """

    def __init__(self, channels: int, *, base_width: int, depth: int, hidden_width: int, code_length: int) -> None:
        super().__init__()
        self.depth, self.code_length = depth, code_length
        # widest at the bottom, halved at every doubling of the size
        widths = [base_width * min(2**level, WIDEST) for level in reversed(range(depth))]
        self.encoder = StyleEncoder(base_width, code_length)
        self.start = nn.Conv2d(channels + code_length, widths[0], 3, padding=1)
        self.blocks = nn.ModuleList(
            SpadeBlock(before, after, channels, hidden_width) for before, after in pairwise([widths[0], *widths])
        )
        self.enlarge = ResizeConv(widths[-1], base_width)
        self.remind = nn.Conv2d(channels, base_width, 3, padding=1, bias=False)
        self.output = nn.Conv2d(base_width, 1, 3, padding=1)

    def forward(self, condition: Float[Tensor, "b k h w"], code: Float[Tensor, "b c"]) -> Float[Tensor, "b 1 h w"]:
        """The slice in [0, 1]; sides that `2**depth` does not divide are cropped from the next that it does."""
        # start from the condition shrunk to the bottom, beside the style code
        (height, width), multiple = condition.shape[-2:], 2**self.depth
        rows, columns = -(-height // multiple), -(-width // multiple)
        spread = code.to(condition.dtype)[:, :, None, None].expand(-1, -1, rows, columns)
        features: Tensor = self.start(torch.cat([shrink(condition, rows, columns), spread], dim=1))
        # every level doubles the size and sees the condition at it
        for level, block in enumerate(self.blocks):
            if level:
                features = functional.interpolate(features, scale_factor=2.0, mode="nearest")
            features = block(features, shrink(condition, rows * 2**level, columns * 2**level))
        enlarged = crop_center(self.enlarge(functional.leaky_relu(features, SLOPE)), height, width)
        # The sum of two convolutions is one of features and condition side by side, without copying them there.
        logits: Tensor = self.output(functional.leaky_relu(enlarged + self.remind(condition), SLOPE))
        return logits.float().sigmoid()


class SpadeBlock(nn.Module):
    """Residual block of two normalizations, leaky ReLUs and 3x3 convolutions (Park 2019, figure 4).

    The shortcut is a plain 1x1 convolution where the number of features changes.
    """

    def __init__(self, in_channels: int, out_channels: int, channels: int, hidden_width: int) -> None:
        super().__init__()
        between = min(in_channels, out_channels)
        self.first = SpadeNorm(in_channels, channels, hidden_width)
        self.second = SpadeNorm(between, channels, hidden_width)
        self.narrow = nn.Conv2d(in_channels, between, 3, padding=1)
        self.widen = nn.Conv2d(between, out_channels, 3, padding=1)
        self.shortcut = (
            nn.Identity() if in_channels == out_channels else nn.Conv2d(in_channels, out_channels, 1, bias=False)
        )

    def forward(self, features: Float[Tensor, "b n h w"], condition: Float[Tensor, "b k h w"]) -> Tensor:
        """Features of the same size."""
        changed = self.narrow(functional.leaky_relu(self.first(features, condition), SLOPE))
        changed = self.widen(functional.leaky_relu(self.second(changed, condition), SLOPE))
        result: Tensor = self.shortcut(features) + changed
        return result


class SpadeNorm(nn.Module):
    """Batch normalization whose scale and offset follow from the condition at the same place (Park 2019, figure 2)."""

    def __init__(self, width: int, channels: int, hidden_width: int) -> None:
        super().__init__()
        self.normalize = nn.BatchNorm2d(width, affine=False)
        self.shared = nn.Sequential(nn.Conv2d(channels, hidden_width, 3, padding=1), nn.ReLU(inplace=True))
        self.scale_and_offset = nn.Conv2d(hidden_width, 2 * width, 3, padding=1)

    def forward(self, features: Float[Tensor, "b n h w"], condition: Float[Tensor, "b k h w"]) -> Tensor:
        """Features of the same size."""
        scale, offset = self.scale_and_offset(self.shared(condition)).chunk(2, dim=1)
        return torch.addcmul(offset, self.normalize(features), 1 + scale)


class StyleEncoder(nn.Module):
    """Slice in, mean and logarithm of the variance of its style code out (Park 2019, section 3.3 and figure 14).

    Without the paper's normalization, which would erase contrast, and with a mean over the slice at the end, so that
    the code tells how a slice looks and not where things lie.
    """

    def __init__(self, base_width: int, code_length: int) -> None:
        super().__init__()
        widths = [1, *(base_width * min(2**level, WIDEST) for level in range(ENCODER_LEVELS))]
        layers = [
            layer
            for before, after in pairwise(widths)
            for layer in (nn.Conv2d(before, after, 3, stride=2, padding=1), nn.LeakyReLU(SLOPE))
        ]
        self.features = nn.Sequential(*layers)
        self.mean = nn.Linear(widths[-1], code_length)
        self.log_variance = nn.Linear(widths[-1], code_length)

    def forward(self, image: Float[Tensor, "b 1 h w"]) -> tuple[Float[Tensor, "b c"], Float[Tensor, "b c"]]:
        """Mean and logarithm of the variance, in float32."""
        features = self.features(image).mean(dim=(2, 3))
        return self.mean(features).float(), self.log_variance(features).float().clamp(-10, 10)


def shrink(condition: Float[Tensor, "b k h w"], rows: int, columns: int) -> Float[Tensor, "b k rows columns"]:
    """The condition at a lower resolution: mean shares, so that a lesion smaller than a pixel is not lost."""
    return functional.adaptive_avg_pool2d(condition, (rows, columns))


def divergence(mean: Float[Tensor, "b c"], log_variance: Float[Tensor, "b c"]) -> Float[Tensor, ""]:
    """Kullback-Leibler divergence of the codes from a standard normal distribution, mean over slices (Kingma and
    Welling 2014, appendix B): it makes a code that is drawn from that distribution one that the generator knows.
    """
    return 0.5 * (mean.square() + log_variance.exp() - 1 - log_variance).sum(dim=1).mean()
