"""Gaussian blur of batches, for augmentation, tissue maps, textures and blends."""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor

NOTHING = 1e-6  # smallest weight; denormal numbers would slow the processor down ten times


def blur(image: Float[Tensor, "*batch h w"], sigma: float | Float[Tensor, "k 1 1"]) -> Float[Tensor, "*batch h w"]:
    """Gaussian blur of the last two axes; the weights sum to 1 at the border too, so that a constant stays one.

    Two matrix products, which are quicker than convolutions at the sizes of slices.

    Args:
        image: any number of leading axes; one of k slices where sigma differs among them.
        sigma: in pixels, above 0 where there is one for each slice; a number of 0 changes nothing.
    """
    if not isinstance(sigma, Tensor) and sigma <= 0:
        return image
    rows, columns = (_weights(size, sigma).to(image.device) for size in image.shape[-2:])
    return rows @ image @ columns.mT


def _weights(size: int, sigma: float | Float[Tensor, "k 1 1"]) -> Float[Tensor, "*k size size"]:
    """Weight of every pixel of a line in each pixel of the result."""
    place = torch.arange(size, dtype=torch.float32, device=sigma.device if isinstance(sigma, Tensor) else None)
    weights = torch.exp(-((place[:, None] - place) ** 2) / (2 * sigma**2))
    weights = torch.where(weights < NOTHING, 0, weights)
    return weights / weights.sum(-1, keepdim=True)
