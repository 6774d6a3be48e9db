"""Painting into a real slice: only lesion and rim are new, the background is that of the scan.

As in DiffTumor (Chen et al. 2024) and FreeTumor (Wu et al. 2024), with whatever generator painted the region.

b  batch    h, w  height and width in pixels
"""

from __future__ import annotations

from collections.abc import Collection

import torch
from jaxtyping import Bool, Float, UInt8
from torch import Tensor
from torch.nn import functional

from nephrite.augment.smoothing import blur

GAIN = 2.0  # contrast is matched by at most this factor, up or down: a rim of one tissue has hardly any
FAINT = 0.005  # deviation that counts as none: where both have none, or there is no rim, nothing is matched
SMALLEST = 1e-6


def paint_region(
    label: UInt8[Tensor, "b h w"],
    lesions: Collection[int],
    *,
    margin: int,
    changed: Bool[Tensor, "b h w"] | None = None,
) -> Bool[Tensor, "b h w"]:
    """Where to repaint: the lesions and what was changed, with a rim around both.

    Args:
        label: label values.
        lesions: label values of the lesion classes.
        margin: width of the rim in pixels.
        changed: where a label was edited, e.g. a lesion removed (`NewMasks.changed`).
    """
    region = torch.zeros_like(label, dtype=torch.bool) if changed is None else changed
    for value in lesions:
        region = region | (label == value)
    return dilate(region, margin)


def dilate(region: Bool[Tensor, "b h w"], margin: int) -> Bool[Tensor, "b h w"]:
    """All that lies within `margin` pixels of the region."""
    if margin <= 0:
        return region
    place = torch.arange(-margin, margin + 1, device=region.device)
    disc = (place[:, None] ** 2 + place**2 <= (margin + 0.5) ** 2).float()
    return functional.conv2d(region[:, None].float(), disc[None, None], padding=margin)[:, 0] > 0.5


def blend(
    real: Float[Tensor, "b 1 h w"],
    painted: Float[Tensor, "b 1 h w"],
    region: Bool[Tensor, "b h w"],
    *,
    margin: int,
) -> Float[Tensor, "b 1 h w"]:
    """Put the painted region into the real slice, its intensities matched to the real ones at the rim.

    Outside of the region the result is the real slice, bit by bit. In the rim, the region's outer `margin` pixels, it
    goes over into the painted one. There both show the same tissue, so contrast (per slice) and brightness (locally)
    of the painted one are changed to the real one's.

    Args:
        real: windowed to [0, 1].
        painted: the same slice as the generator paints it.
        region: from `paint_region`, with the same margin.
        margin: width of the rim in pixels; at least 1.
    """
    inside = region[:, None]
    rim = inside & dilate(~region, margin)[:, None]
    matched = _match(painted.float(), real.float(), rim, reach=2.0 * margin)
    share = _ramp(region, margin)[:, None]
    mixed = (1 - share) * real.float() + share * matched.clamp(0, 1)
    return torch.where(inside, mixed.to(real.dtype), real)


def _ramp(region: Bool[Tensor, "b h w"], margin: int) -> Float[Tensor, "b h w"]:
    """0 outside, rising through the rim to 1, pixel by pixel of distance to the outside."""
    depths = [~dilate(~region, step) for step in range(margin + 1)]
    return torch.stack(depths).float().mean(0)


def _match(
    painted: Float[Tensor, "b 1 h w"], real: Float[Tensor, "b 1 h w"], rim: Bool[Tensor, "b 1 h w"], *, reach: float
) -> Float[Tensor, "b 1 h w"]:
    """The painted slice with the real one's deviation over the rim, and its brightness in each part of the rim."""
    weight = rim.float()
    gain = (_deviation(real, weight) + FAINT) / (_deviation(painted, weight) + FAINT)
    gain = gain.clamp(1 / GAIN, GAIN)
    total = weight.sum((2, 3), keepdim=True).clamp(min=1)
    middle = (painted * weight).sum((2, 3), keepdim=True) / total
    stretched = (painted - middle) * gain + middle
    near = blur(weight, reach)
    offset = blur(weight * (real - stretched), reach) / near.clamp(min=SMALLEST)
    return stretched + torch.where(near > SMALLEST, offset, 0)


def _deviation(image: Float[Tensor, "b 1 h w"], weight: Float[Tensor, "b 1 h w"]) -> Float[Tensor, "b 1 1 1"]:
    total = weight.sum((2, 3), keepdim=True).clamp(min=1)
    mean = (image * weight).sum((2, 3), keepdim=True) / total
    return (((image - mean) ** 2 * weight).sum((2, 3), keepdim=True) / total).sqrt()
