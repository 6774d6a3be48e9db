"""Features of a slice: the output of a segmenter's deepest level, averaged over the slice."""

from __future__ import annotations

from typing import Any

from jaxtyping import Float
from torch import Tensor, nn


def logits_and_features(
    network: nn.Module, image: Float[Tensor, "b 1 h w"], source: nn.Module
) -> tuple[Float[Tensor, "b c h w"], Float[Tensor, "b f"]]:
    """Logits and features of one forward pass.

    Args:
        network: a segmenter.
        image: slices in [0, 1].
        source: its part whose output, of a list the last one, is pooled over all places.
    """
    caught: list[Tensor] = []

    def catch(_: nn.Module, __: Any, output: Tensor | list[Tensor]) -> None:
        caught.append(output if isinstance(output, Tensor) else output[-1])

    hook = source.register_forward_hook(catch)
    try:
        logits: Tensor = network(image)
    finally:
        hook.remove()
    return logits, caught[0].float().mean(dim=(2, 3))
