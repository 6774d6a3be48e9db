"""Features of a slice: what a segmenter makes of it at its deepest level, averaged over the slice."""

from __future__ import annotations

from typing import Any

from jaxtyping import Float
from torch import Tensor, nn

from nephrite.models.unet import UNet
from nephrite.segmentation.networks import Segmenter


def logits_and_features(
    network: Segmenter, image: Float[Tensor, "b 1 h w"]
) -> tuple[Float[Tensor, "b c h w"], Float[Tensor, "b f"]]:
    """Logits and features of one forward pass.

    Features are what leaves the bottom of a U-Net, or the last level of an FPN's encoder, pooled over all places.
    """
    caught: list[Tensor] = []

    def catch(_: nn.Module, __: Any, output: Tensor | list[Tensor]) -> None:
        caught.append(output if isinstance(output, Tensor) else output[-1])

    inner = network.network
    hook = (inner.bottom if isinstance(inner, UNet) else inner.pyramid.encoder).register_forward_hook(catch)
    try:
        logits: Tensor = network(image)
    finally:
        hook.remove()
    return logits, caught[0].float().mean(dim=(2, 3))
