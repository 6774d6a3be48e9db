"""Statistics of batch normalization: painted slices are normalized by their own, and the averages are of real slices.

A batch of real and painted slices has statistics of both, and so have the running averages by which test slices are
normalized. So a real test slice would meet other statistics in an arm with painted slices than in one without, whatever
these slices teach (as between clean and adversarial images: Xie et al. 2020, "Adversarial Examples Improve Image
Recognition", CVPR, section 3).
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from jaxtyping import Bool, Float
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm


def batch_normalizations(network: nn.Module) -> list[_BatchNorm]:
    """Layers that normalize by the statistics of a batch and keep running averages of them."""
    return [layer for layer in network.modules() if isinstance(layer, _BatchNorm) and layer.track_running_stats]


def forward_apart(
    network: nn.Module, image: Float[Tensor, "b 1 h w"], painted: Bool[Tensor, " b"]
) -> Float[Tensor, "b c h w"]:
    """One training pass in which real and painted slices have statistics of their own.

    Running averages are those of real slices alone; a batch without a real slice gives its own, since there are no
    others. A network without batch normalization sees the batch as a whole.

    Args:
        network: in training mode.
        image: slices in [0, 1].
        painted: which of them are painted.
    """
    mixed = painted.any() and not painted.all()
    layers = batch_normalizations(network) if mixed else []
    if not layers:
        whole: Tensor = network(image)
        return whole
    # real slices first, so that their order of passes is that of a batch without painted ones
    order = torch.cat([(~painted).nonzero()[:, 0], painted.nonzero()[:, 0]])
    real = _logits(network, image[~painted])
    with _averages_kept(layers):
        fake = _logits(network, image[painted])
    return torch.cat([real, fake])[order.argsort()]


def _logits(network: nn.Module, image: Float[Tensor, "b 1 h w"]) -> Float[Tensor, "b c h w"]:
    """A single slice passes twice: statistics stay the same, and a layer of one pixel refuses to take them of one."""
    logits: Tensor = network(image if len(image) > 1 else image.repeat(2, 1, 1, 1))
    return logits[: len(image)]


@contextmanager
def _averages_kept(layers: list[_BatchNorm]) -> Iterator[None]:
    """Within the block, layers normalize by the batch and leave their running averages alone."""
    for layer in layers:
        layer.track_running_stats = False
    try:
        yield
    finally:
        for layer in layers:
            layer.track_running_stats = True
