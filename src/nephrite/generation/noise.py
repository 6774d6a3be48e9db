"""Random numbers from each slice's own seed, so that a slice does not depend on the rest of its batch.

b  batch
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import torch
from jaxtyping import Float
from torch import Tensor, nn


def normal_noise(shape: Sequence[int], seeds: Sequence[int]) -> Float[Tensor, "..."]:
    """Standard normal numbers, for each slice by its own seed."""
    return torch.stack([torch.randn(tuple(shape), generator=torch.Generator().manual_seed(seed)) for seed in seeds])


@contextmanager
def slice_noise(network: nn.Module, seeds: Sequence[int]) -> Iterator[None]:
    """Let dropout act in evaluation mode, each slice of the batch with features dropped by its own seed."""
    sources = [torch.Generator().manual_seed(seed) for seed in seeds]

    # dropout that draws per slice, so a batch paints what single slices would
    def drop(module: nn.Dropout, inputs: tuple[Tensor], _: Tensor) -> Tensor:
        (features,) = inputs
        draws = torch.stack([torch.rand(features.shape[1:], generator=source) for source in sources])
        return features * (draws >= module.p).to(features.device) / (1 - module.p)

    layers = [module for module in network.modules() if isinstance(module, nn.Dropout) and module.p > 0]
    hooks = [layer.register_forward_hook(drop) for layer in layers]
    try:
        yield
    finally:
        for hook in hooks:
            hook.remove()
