"""Segmenters by name. Each takes a batch of slices in [0, 1] of any in-plane size and returns logits of that size.

b  batch    c  channels of the logits, one sigmoid each    h, w  height and width of a slice in pixels
"""

from __future__ import annotations

from typing import cast

import torch
from jaxtyping import Float
from torch import Tensor, nn

from nephrite.errors import ConfigError
from nephrite.models.pretrained import (
    WHEEL_ENCODER,
    hub_weights,
    input_statistics,
    load_by_position,
    wheel_weights,
)
from nephrite.models.unet import Halving, Normalization, Padding, UNet, crop_center
from nephrite.segmentation.fpn import FPNSettings
from nephrite.segmentation.unet import UNetSettings


class Segmenter(nn.Module):
    """A network behind a frame that takes any in-plane size.

    The slice is mirrored to the smallest size that the network takes and whose output covers it, and the logits are
    cropped to the slice: the overlap-tile strategy with one tile (Ronneberger 2015, section 2, figure 2).
    """

    def __init__(self, network: UNet | FeaturePyramid) -> None:
        super().__init__()
        self.network = network

    def forward(self, image: Float[Tensor, "b 1 h w"]) -> Float[Tensor, "b c h w"]:
        """Logits of every pixel."""
        height, width = image.shape[-2:]
        framed = mirror_center(image, self.network.input_size(height), self.network.input_size(width))
        return crop_center(self.network(framed), height, width)


class FeaturePyramid(nn.Module):
    """FPN of segmentation_models_pytorch on one-channel slices (Lin 2017; for segmentation Kirillov 2019).

    The channel is repeated to three and normalized as the encoder's training images were.

    Raises:
        ConfigError: the library has no such encoder, or cannot make a pyramid of it.
    """

    STRIDE = 32
    mean: Tensor
    std: Tensor

    def __init__(self, encoder: str, channels: int) -> None:
        import segmentation_models_pytorch as smp  # type: ignore[import-untyped]  # ships no types

        super().__init__()
        try:
            self.pyramid = smp.FPN(encoder, encoder_weights=None, in_channels=3, classes=channels)
        except (KeyError, RuntimeError, ValueError) as error:
            raise _unusable(encoder) from error
        for name, values in zip(("mean", "std"), input_statistics(encoder), strict=True):
            self.register_buffer(name, torch.tensor(values).view(1, 3, 1, 1), persistent=False)

    def forward(self, image: Float[Tensor, "b 1 h w"]) -> Float[Tensor, "b c h w"]:
        """Logits; height and width must be multiples of 32."""
        return cast(Tensor, self.pyramid((image.expand(-1, 3, -1, -1) - self.mean) / self.std))

    def input_size(self, size: int) -> int:
        """The smallest multiple of the encoder's stride that covers `size` pixels."""
        return -(-size // self.STRIDE) * self.STRIDE


def build_segmenter(settings: UNetSettings | FPNSettings, *, channels: int) -> Segmenter:
    """The segmenter that the settings name.

    Args:
        settings: an entry of 'train_segmenter.segmenters'.
        channels: number of sigmoid outputs.

    Raises:
        WeightsError: pretrained weights are not available.
        ConfigError: the encoder's name is unknown.
    """
    if isinstance(settings, UNetSettings):
        return build_unet(channels=channels, **settings.model_dump(exclude={"kind"}))
    return build_fpn(channels=channels, encoder=settings.encoder, weights=settings.weights)


def build_unet(
    *,
    channels: int,
    base_width: int,
    depth: int,
    padding: Padding,
    normalization: Normalization,
    halving: Halving = "up_convolution",
) -> Segmenter:
    """A U-Net on one-channel slices; the arguments are those of `UNet`."""
    network = UNet(
        1, channels, base_width=base_width, depth=depth, padding=padding, normalization=normalization, halving=halving
    )
    return Segmenter(network)


def build_fpn(*, channels: int, encoder: str, weights: str) -> Segmenter:
    """An FPN whose encoder is pretrained on ImageNet (`weights` "imagenet") or not ("none").

    Raises:
        WeightsError: the weights are neither in an installed package, nor in the hub's cache, nor reachable.
        ConfigError: the encoder's name is unknown.
    """
    network = FeaturePyramid(encoder, channels)
    if weights == "imagenet":
        load_imagenet(network, encoder)
    return Segmenter(network)


def load_imagenet(network: FeaturePyramid, encoder: str) -> None:
    """Fill the encoder with ImageNet weights.

    Raises:
        WeightsError: the weights are neither in an installed package, nor in the hub's cache, nor reachable.
    """
    import segmentation_models_pytorch as smp

    if encoder == WHEEL_ENCODER:
        load_by_position(network.pyramid.encoder.model, wheel_weights(), name=encoder)
        return
    with hub_weights(encoder):
        source = smp.encoders.get_encoder(encoder, weights=True if encoder.startswith("tu-") else "imagenet")
    network.pyramid.encoder.load_state_dict(source.state_dict())


def _unusable(encoder: str) -> ConfigError:
    return ConfigError(
        f"encoder '{encoder}'",
        "cannot be the encoder of an FPN of segmentation_models_pytorch",
        f"take e.g. 'resnext101_32x8d' or '{WHEEL_ENCODER}'",
    )


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
