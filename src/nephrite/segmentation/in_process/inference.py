"""Forward passes of a trained segmenter: sigmoid outputs, and features."""

from __future__ import annotations

import numpy as np
import torch
from jaxtyping import Float32
from torch import nn

from nephrite.segmentation.in_process.features import logits_and_features


def sigmoid_outputs(
    network: nn.Module, planes: Float32[np.ndarray, "slice height width"]
) -> Float32[np.ndarray, "slice channel height width"]:
    """Sigmoid outputs for slices in [0, 1], on the network's device.

    Float32 whatever the training's precision: scores then do not depend on the processor, and a forward pass is short.

    Args:
        network: in evaluation mode.
        planes: as many as fit into memory.
    """
    with torch.inference_mode():
        outputs: np.ndarray = network(_batch(network, planes)).sigmoid().cpu().numpy()
    return outputs


def outputs_and_features(
    network: nn.Module, planes: Float32[np.ndarray, "slice height width"], source: nn.Module
) -> tuple[Float32[np.ndarray, "slice channel height width"], Float32[np.ndarray, "slice feature"]]:
    """Sigmoid outputs and features of one forward pass, for slices in [0, 1].

    Args:
        network: in evaluation mode.
        planes: as many as fit into memory.
        source: the part of the network whose output is the features.
    """
    with torch.inference_mode():
        logits, features = logits_and_features(network, _batch(network, planes), source)
        return logits.sigmoid().cpu().numpy(), features.cpu().numpy()


def _batch(network: nn.Module, planes: Float32[np.ndarray, "slice height width"]) -> torch.Tensor:
    return torch.from_numpy(planes)[:, None].to(next(network.parameters()).device)
