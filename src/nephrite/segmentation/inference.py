"""What a trained segmenter finds: in a patient, in scans without labels, in single slices."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import torch
from jaxtyping import Float32
from torch import nn

from nephrite.segmentation.backend import StoredScan, Trained
from nephrite.segmentation.features import logits_and_features
from nephrite.store.slices import PairStore
from nephrite.training.pseudo_labels import PseudoLabels, sure_labels


def label_scans(
    teacher: Trained,
    store: PairStore,
    patients: Sequence[str],
    channels: Mapping[str, tuple[int, ...]],
    *,
    confidence: float,
) -> PseudoLabels:
    """Let a teacher label scans; where it is sure neither that a structure is there nor that it is not, it abstains.

    Args:
        teacher: ready to predict; one without probabilities is sure of its label maps.
        store: where the scans are; its labels of them are not read.
        patients: whose scans.
        channels: output channel to label values.
        confidence: between 0.5 and 1; sure is an output of at least it, or of at most 1 minus it.
    """
    labels = {}
    for patient in patients:
        found = teacher.backend.predict(teacher, StoredScan(store, patient))
        outputs = found.probabilities
        labels[patient] = found.labels if outputs is None else sure_labels(outputs, channels, confidence)
    return PseudoLabels(store, labels)


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
    """The same, with features.

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
