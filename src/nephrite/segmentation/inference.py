"""What a trained segmenter finds in a patient."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

import numpy as np
import torch
from jaxtyping import Bool, Float
from torch import Tensor

from nephrite.segmentation.networks import Segmenter
from nephrite.store.slices import PairStore, SliceRef
from nephrite.training.data import Pairs, SliceSource
from nephrite.training.pseudo_labels import PseudoLabels, blank_labels, to_labels


def predict_patient(
    network: Segmenter, store: PairStore, patient: str, *, threshold: float, batch_size: int
) -> Bool[np.ndarray, "slice channel height width"]:
    """Masks of all slices of one patient: where the sigmoid output reaches the threshold.

    Args:
        network: in evaluation mode; its device is used.
        store: where the slices are.
        patient: id.
        threshold: of the sigmoid.
        batch_size: slices at a time.
    """
    outputs = _probabilities(network, store, patient, len(store.image(patient)), batch_size)
    return np.concatenate([(part >= threshold).cpu().numpy() for part in outputs])


def label_scans(
    teacher: Segmenter,
    store: PairStore,
    patients: Sequence[str],
    channels: Mapping[str, tuple[int, ...]],
    *,
    confidence: float,
    batch_size: int,
) -> PseudoLabels:
    """Let a teacher label scans; where it is sure neither that a structure is there nor that it is not, it abstains.

    Args:
        teacher: in evaluation mode, on the device that predicts.
        store: where the scans are; its labels of them are not read.
        patients: whose scans.
        channels: output channel to label values; a channel stands for the first of its values.
        confidence: between 0.5 and 1; sure is an output of at least it, or of at most 1 minus it.
        batch_size: slices at a time.
    """
    labels = {}
    for patient in patients:
        scan, count = blank_labels(store, [patient]), len(store.image(patient))
        outputs = _probabilities(teacher, scan, patient, count, batch_size)
        labels[patient] = torch.cat([to_labels(part.cpu(), channels, confidence) for part in outputs]).numpy()
    return PseudoLabels(store, labels)


def _probabilities(
    network: Segmenter, source: SliceSource, patient: str, count: int, batch_size: int
) -> Iterator[Float[Tensor, "slice channel height width"]]:
    """Sigmoid outputs for the slices of one patient, batch by batch, on the network's device.

    Float32 whatever the training's precision: scores then do not depend on the processor, and a forward pass is short.
    """
    slices = Pairs((source, [SliceRef(patient, position) for position in range(count)]))
    device = next(network.parameters()).device
    for start in range(0, count, batch_size):
        batch = slices[range(start, min(start + batch_size, count))]
        with torch.inference_mode():
            outputs: Tensor = network(batch.image.to(device)).sigmoid()
        yield outputs
