"""Wrappers of networks: slices in [0, 1] of any in-plane size go in, logits of that size come out.

b  batch    c  channels of the logits, one sigmoid each    h, w  height and width of a slice in pixels
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import cast

import torch
from jaxtyping import Float
from torch import Tensor, nn

from nephrite.models.unet import crop_center


class Segmenter(nn.Module):
    """A network behind a frame that takes any in-plane size.

    The slice is mirrored to the smallest size that the network takes and whose output covers it, and the logits are
    cropped to the slice: the overlap-tile strategy with one tile (Ronneberger 2015, section 2, figure 2).

    Args:
        network: returns logits of the middle of what it is given.
        input_size: the smallest side that it takes and whose output covers so many pixels.
    """

    def __init__(self, network: nn.Module, input_size: Callable[[int], int]) -> None:
        super().__init__()
        self.network, self.input_size = network, input_size

    def forward(self, image: Float[Tensor, "b 1 h w"]) -> Float[Tensor, "b c h w"]:
        """Logits of every pixel."""
        height, width = image.shape[-2:]
        framed = mirror_center(image, self.input_size(height), self.input_size(width))
        return crop_center(self.network(framed), height, width)


class ColorNetwork(nn.Module):
    """A network of color images on one-channel slices.

    The channel is repeated to three and normalized as the encoder's training images were.

    Args:
        pyramid: the network; the weights that were published name their entries so.
        mean: of each color in the training images.
        deviation: of each color.
    """

    mean: Tensor
    std: Tensor

    def __init__(self, pyramid: nn.Module, mean: Sequence[float], deviation: Sequence[float]) -> None:
        super().__init__()
        self.pyramid = pyramid
        for name, values in (("mean", mean), ("std", deviation)):
            self.register_buffer(name, torch.tensor(values).view(1, 3, 1, 1), persistent=False)

    def forward(self, image: Float[Tensor, "b 1 h w"]) -> Float[Tensor, "b c h w"]:
        """Logits."""
        return cast(Tensor, self.pyramid((image.expand(-1, 3, -1, -1) - self.mean) / self.std))


def multiple_of(stride: int) -> Callable[[int], int]:
    """The smallest multiple of the stride that covers so many pixels, as a function of these."""
    return lambda size: -(-size // stride) * stride


def mirror_center(image: Float[Tensor, "b c h w"], height: int, width: int) -> Float[Tensor, "b c h_out w_out"]:
    """The image in the middle of `height` x `width` pixels, mirrored outwards as often as it takes.

    Not `torch.nn.functional.pad`, whose reflection must be smaller than the image.
    """
    rows = _mirrored(image.shape[-2], height, image.device)
    columns = _mirrored(image.shape[-1], width, image.device)
    return image.index_select(-2, rows).index_select(-1, columns)


def _mirrored(size: int, target: int, device: torch.device) -> Tensor:
    """For each of `target` positions about the middle of `size` pixels, the pixel that a mirror at each end shows."""
    if size == 1:
        return torch.zeros(target, dtype=torch.long, device=device)
    period = 2 * (size - 1)
    place = (torch.arange(target, device=device) - (target - size) // 2) % period
    return torch.minimum(place, period - place)
