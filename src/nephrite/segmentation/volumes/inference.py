"""Logits of whole volumes by overlapping patches, averaged with weights that fall towards a patch's edge.

Half a patch of overlap and a Gaussian of an eighth of its side (Isensee et al. 2021, nnU-Net, methods), by MONAI.

b  batch    c  channels    d, h, w  slices, height and width
"""

from __future__ import annotations

from itertools import chain, combinations

import torch
from jaxtyping import Float
from monai.inferers.utils import sliding_window_inference
from torch import Tensor, nn

from nephrite.segmentation.in_process.inference import OVERLAP, SIGMA
from nephrite.segmentation.volumes.patches import PatchSize

AXES = (-3, -2, -1)
FLIPS = tuple(chain.from_iterable(combinations(AXES, count) for count in range(len(AXES) + 1)))
PATCHES = 4  # at a time


def volume_logits(
    network: nn.Module,
    image: Float[Tensor, "b 1 d h w"],
    patch: PatchSize,
    *,
    overlap: float = OVERLAP,
    mirroring: bool = False,
) -> Float[Tensor, "b c d h w"]:
    """Logits of volumes of any size; what is smaller than a patch is continued by its outermost slices.

    Args:
        network: of patches.
        image: in [0, 1], on the network's device.
        patch: what the network learned from.
        overlap: of neighboring patches.
        mirroring: average over the volume mirrored in each combination of its axes (Isensee et al. 2021): eight passes.
    """
    views = []
    for axes in FLIPS if mirroring else FLIPS[:1]:
        found = sliding_window_inference(
            image.flip(axes),
            patch,
            PATCHES,
            network,
            overlap=overlap,
            mode="gaussian",
            sigma_scale=SIGMA,
            padding_mode="replicate",
        )
        assert isinstance(found, Tensor)
        views.append(found.flip(axes))
    return torch.stack(views).mean(dim=0) if mirroring else views[0]
