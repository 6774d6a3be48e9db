"""What a helper segmenter makes of painted slices, and which training masks theirs are most like.

b  slices of a batch    c  channels of the segmenter    f  features
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import NamedTuple

import numpy as np
import torch
from jaxtyping import Bool, Float32, UInt8

from nephrite.segmentation.features import logits_and_features
from nephrite.segmentation.networks import Segmenter
from nephrite.store.slices import PairStore, SliceRef
from nephrite.training.data import Pairs
from nephrite.training.nearest_masks import TrainingMasks

BATCH = 32


class Examined(NamedTuple):
    """A batch of slices, and what a segmenter makes of it.

    Attributes:
        image: windowed to [0, 1].
        label: label values that were asked for.
        found: masks of the channels.
        features: of the segmenter's deepest level, one row per slice.
    """

    image: Float32[np.ndarray, "b h w"]
    label: UInt8[np.ndarray, "b h w"]
    found: Bool[np.ndarray, "b c h w"]
    features: Float32[np.ndarray, "b f"]


def examine(helper: Segmenter, store: PairStore, slices: Sequence[SliceRef], *, threshold: float) -> Iterator[Examined]:
    """Show slices to the helper, one batch at a time; float32, whatever its training's precision was.

    Args:
        helper: in evaluation mode; its device is used.
        store: where the slices are.
        slices: to be shown, in this order.
        threshold: of the sigmoid.
    """
    pairs, device = Pairs((store, slices)), next(helper.parameters()).device
    for start in range(0, len(pairs), BATCH):
        batch = pairs[range(start, min(start + BATCH, len(pairs)))]
        with torch.inference_mode():
            logits, features = logits_and_features(helper, batch.image.to(device))
            found = (logits.sigmoid() >= threshold).cpu().numpy()
        yield Examined(batch.image[:, 0].numpy(), batch.label.numpy(), found, features.cpu().numpy())


def nearest_masks(store: PairStore, slices: Sequence[SliceRef], known: TrainingMasks) -> Float32[np.ndarray, " slice"]:
    """Dice of each mask with the training mask that it is most like; NaN for a mask without any class.

    Args:
        store: of the masks that are looked up.
        slices: theirs.
        known: the training masks.
    """
    overlap = np.full(len(slices), np.nan, np.float32)
    for start in range(0, len(slices), BATCH):
        label = np.stack([store.label(ref.patient)[ref.position] for ref in slices[start : start + BATCH]])
        dice = [each.dice for each in known.nearest(label)]
        overlap[start : start + BATCH] = np.where(np.isin(label, known.classes).any((1, 2)), dice, np.nan)
    return overlap
