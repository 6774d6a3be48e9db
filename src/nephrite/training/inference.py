"""What a trained segmenter finds in a patient."""

from __future__ import annotations

import numpy as np
import torch
from jaxtyping import Bool

from nephrite.imaging.slices import PairStore, SliceRef
from nephrite.models.segmenters import Segmenter
from nephrite.training.data import Pairs


def predict_patient(
    network: Segmenter, store: PairStore, patient: str, *, threshold: float, batch_size: int
) -> Bool[np.ndarray, "slice channel height width"]:
    """Masks of all slices of one patient: where the sigmoid output reaches the threshold.

    Float32 whatever the training's precision: scores then do not depend on the processor, and a forward pass is short.

    Args:
        network: in evaluation mode; its device is used.
        store: where the slices are.
        patient: id.
        threshold: of the sigmoid.
        batch_size: slices at a time.
    """
    count = len(store.image(patient))
    slices = Pairs((store, [SliceRef(patient, position) for position in range(count)]))
    device = next(network.parameters()).device
    masks = []
    with torch.inference_mode():
        for start in range(0, count, batch_size):
            batch = slices[range(start, min(start + batch_size, count))]
            masks.append((network(batch.image.to(device)).sigmoid() >= threshold).cpu().numpy())
    return np.concatenate(masks)
