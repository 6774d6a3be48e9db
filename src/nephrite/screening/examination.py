"""What a helper segmenter finds in painted slices, and the training mask nearest to each painted mask.

b  slices of a batch    c  channels of the segmenter    f  features
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import NamedTuple

import numpy as np
from jaxtyping import Bool, Float32, UInt8

from nephrite.segmentation.backend import Trained
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


def examine(helper: Trained, store: PairStore, slices: Sequence[SliceRef], *, threshold: float) -> Iterator[Examined]:
    """Show slices to the helper, one batch at a time; float32, whatever its training's precision was.

    Args:
        helper: ready to predict, of a kind that gives features.
        store: where the slices are.
        slices: to be shown, in this order.
        threshold: of the sigmoid.
    """
    pairs = Pairs((store, slices))
    for start in range(0, len(pairs), BATCH):
        batch = pairs[range(start, min(start + BATCH, len(pairs)))]
        image = batch.image[:, 0].numpy()
        probabilities, features = helper.backend.examine(helper, image)
        yield Examined(image, batch.label.numpy(), probabilities >= threshold, features)


def nearest_masks(store: PairStore, slices: Sequence[SliceRef], known: TrainingMasks) -> Float32[np.ndarray, " slice"]:
    """Dice of each mask with the training mask that it is most like; NaN for a mask without any class.

    Args:
        store: of the masks that are looked up.
        slices: theirs.
        known: the training masks.
    """
    overlap = np.full(len(slices), np.nan, np.float32)
    for start in range(0, len(slices), BATCH):
        label = store.labels_of(slices[start : start + BATCH])
        dice = [each.dice for each in known.nearest(label)]
        overlap[start : start + BATCH] = np.where(np.isin(label, known.classes).any((1, 2)), dice, np.nan)
    return overlap
