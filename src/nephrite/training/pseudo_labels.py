"""Self-training: a student learns from the confident labels that a teacher segmenter gives to scans without labels.

After Xie, Luong, Hovy, Le, "Self-training with Noisy Student improves ImageNet classification", CVPR 2020: a teacher is
trained on the labeled patients, then a student on both, with augmentation as the noise.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float32, UInt8

from nephrite.config import IGNORED
from nephrite.imaging.masks import paint_labels
from nephrite.store.slices import PairStore, SliceRef


@dataclass(frozen=True)
class PseudoLabels:
    """Slices of a store, with a teacher's labels instead of the store's.

    Attributes:
        store: where the scans are; its own labels of these patients are never read.
        labels: patient to label maps; `IGNORED`, the ignore index, where the teacher is not sure.
    """

    store: PairStore
    labels: Mapping[str, UInt8[np.ndarray, "slice height width"]]

    @property
    def volumes(self) -> PairStore:
        """The store that holds the scans."""
        return self.store

    def windowed(self, ref: SliceRef) -> Float32[np.ndarray, "height width"]:
        """One slice in [0, 1]."""
        return self.store.windowed(ref)

    def label(self, patient: str) -> UInt8[np.ndarray, "slice height width"]:
        """The teacher's label maps of a patient."""
        return self.labels[patient]

    def slices(self, *, labeled_only: bool = False) -> list[SliceRef]:
        """References to all slices; with `labeled_only`, to those in which the teacher found a class."""
        return [
            SliceRef(patient, place)
            for patient, maps in self.labels.items()
            for place, label in enumerate(maps)
            if not labeled_only or believed(label).any()
        ]


def blank_labels(store: PairStore, patients: Sequence[str]) -> PseudoLabels:
    """Scans of a store as if they came without labels: its labels of them are never read."""
    return PseudoLabels(store, {name: np.zeros(store.image(name).shape, np.uint8) for name in patients})


def sure_labels(
    probability: Float32[np.ndarray, "slice channel height width"],
    channels: Mapping[str, tuple[int, ...]],
    confidence: float,
) -> UInt8[np.ndarray, "slice height width"]:
    """Label maps of confident pixels; `IGNORED` where any channel is neither surely present nor surely absent.

    Args:
        probability: of each channel.
        channels: name to label values, in the order of `probability`; which value a pixel gets, `paint_labels` says.
        confidence: between 0.5 and 1; sure is a probability of at least it, or of at most 1 minus it.
    """
    unsure = ((probability > 1 - confidence) & (probability < confidence)).any(axis=1)
    labels = paint_labels(np.moveaxis(probability >= confidence, 1, 0), channels)
    labels[unsure] = IGNORED
    return labels


def believed(label: UInt8[np.ndarray, "*shape"]) -> Bool[np.ndarray, "*shape"]:
    """Mask of the pixels in which a class was found."""
    found: Bool[np.ndarray, "*shape"] = (label > 0) & (label != IGNORED)
    return found


def found_somewhere(labels: Mapping[str, UInt8[np.ndarray, "slice height width"]]) -> list[str]:
    """Patients in whose scans a class was found."""
    return [patient for patient, maps in labels.items() if believed(maps).any()]
