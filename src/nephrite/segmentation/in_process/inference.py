"""Forward passes of a trained segmenter: logits of slices of any size, sigmoid outputs, and features.

A network that learned from windows predicts larger slices by overlapping windows. Their logits are averaged with
weights that fall towards a window's edge, where it sees less of the surroundings: half a window of overlap, a Gaussian
of an eighth of its side (Isensee et al. 2021, nnU-Net, methods).

b  batch    c  channels    h, w  height and width in pixels
"""

from __future__ import annotations

import numpy as np
import torch
from jaxtyping import Float, Float32
from torch import Tensor, nn

from nephrite.segmentation.in_process.features import logits_and_features

OVERLAP = 0.5  # of neighboring windows
SIGMA = 0.125  # of the weights, as share of a window's side
WINDOWS = 32  # at a time
FLIPS = ((), (-1,), (-2,), (-2, -1))  # axes


def slice_logits(
    network: nn.Module, image: Float[Tensor, "b 1 h w"], *, window: int | None = None, mirroring: bool = False
) -> Float[Tensor, "b c h w"]:
    """Logits of slices.

    Args:
        network: a segmenter.
        image: slices in [0, 1], on the network's device.
        window: pixels per side of what the network learned from; slices that are not larger go through at once, and so
            do all with None.
        mirroring: average over the slice as it is, and mirrored in rows, in columns and in both (Isensee et al. 2021):
            four passes.
    """
    if not mirroring:
        return _of_windows(network, image, window)
    views = [_of_windows(network, image.flip(axes), window).flip(axes) for axes in FLIPS]
    return torch.stack(views).mean(dim=0)


def sigmoid_outputs(
    network: nn.Module,
    planes: Float32[np.ndarray, "slice height width"],
    *,
    window: int | None = None,
    mirroring: bool = False,
) -> Float32[np.ndarray, "slice channel height width"]:
    """Sigmoid outputs for slices in [0, 1], on the network's device.

    Float32 whatever the training's precision: scores then do not depend on the processor, and a forward pass is short.

    Args:
        network: in evaluation mode.
        planes: as many as fit into memory.
        window, mirroring: see `slice_logits`.
    """
    with torch.inference_mode():
        logits = slice_logits(network, _batch(network, planes), window=window, mirroring=mirroring)
        outputs: np.ndarray = logits.sigmoid().cpu().numpy()
    return outputs


def outputs_and_features(
    network: nn.Module,
    planes: Float32[np.ndarray, "slice height width"],
    source: nn.Module,
    *,
    window: int | None = None,
) -> tuple[Float32[np.ndarray, "slice channel height width"], Float32[np.ndarray, "slice feature"]]:
    """Sigmoid outputs, and features of one forward pass over the whole slice, for slices in [0, 1].

    Args:
        network: in evaluation mode.
        planes: as many as fit into memory.
        source: the part of the network whose output is the features.
        window: see `slice_logits`.
    """
    image = _batch(network, planes)
    with torch.inference_mode():
        logits, features = logits_and_features(network, image, source)
        if _needs_windows(image, window):
            logits = slice_logits(network, image, window=window)
        return logits.sigmoid().cpu().numpy(), features.cpu().numpy()


def _of_windows(network: nn.Module, image: Float[Tensor, "b 1 h w"], window: int | None) -> Float[Tensor, "b c h w"]:
    if window is None or not _needs_windows(image, window):
        whole: Tensor = network(image)
        return whole
    from monai.inferers.utils import sliding_window_inference

    logits = sliding_window_inference(
        image, (window, window), WINDOWS, network, overlap=OVERLAP, mode="gaussian", sigma_scale=SIGMA
    )
    assert isinstance(logits, Tensor)
    return logits


def _needs_windows(image: Tensor, window: int | None) -> bool:
    return window is not None and max(image.shape[-2:]) > window


def _batch(network: nn.Module, planes: Float32[np.ndarray, "slice height width"]) -> torch.Tensor:
    return torch.from_numpy(planes)[:, None].to(next(network.parameters()).device)
