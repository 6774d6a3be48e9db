"""The task of a backend: patients and their volumes, a budget, seeds, and a folder."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Protocol, TypeAlias

import numpy as np
from jaxtyping import Bool, Float32, UInt8

from nephrite.config import Augmentation, ComputeSettings, MixingStrategy, TrainSegmenterSettings
from nephrite.store.slices import PairStore, SliceRef
from nephrite.store.thinning import thin

if TYPE_CHECKING:
    from nephrite.augment.lesions import LesionBank
    from nephrite.recording import Run

Row: TypeAlias = dict[str, float]


class LabeledSource(Protocol):
    """Where volumes and label maps lie: a pair store, or one whose labels are replaced."""

    def windowed(self, ref: SliceRef, /) -> Float32[np.ndarray, "height width"]:
        """One slice in [0, 1]."""

    def label(self, patient: str, /) -> UInt8[np.ndarray, "slice height width"]:
        """All label maps of a patient."""

    def slices(self, *, labeled_only: bool = False) -> list[SliceRef]:
        """References to all slices; with `labeled_only`, to those with any class."""

    @property
    def volumes(self) -> PairStore:
        """The store that holds the scans."""


@dataclass(frozen=True)
class Cohort:
    """Patients whose labels are known.

    Attributes:
        source: of their volumes and label maps.
        patients: ids.
        most: take no more slices than this, evenly over all; None = all.
    """

    source: LabeledSource
    patients: Sequence[str]
    most: int | None = None

    def slices(self) -> list[SliceRef]:
        """Their slices, in the order of the source."""
        known = set(self.patients)
        found = [ref for ref in self.source.slices() if ref.patient in known]
        return found if self.most is None else thin(found, self.most)

    def holds(self) -> Bool[np.ndarray, " slice"]:
        """Of each of their slices, whether it holds any class."""
        known = {*self.source.slices(labeled_only=True)}
        return np.array([ref in known for ref in self.slices()], dtype=bool)


@dataclass(frozen=True)
class Addition:
    """Synthetic or pseudo-labeled patients beside the real ones; how they are used, `training.mixing.Extra` says."""

    cohort: Cohort
    way: MixingStrategy
    share: float


@dataclass(frozen=True, kw_only=True)
class FitTask:
    """What a backend learns, what shows how well, and where it works.

    Attributes:
        training: real patients to learn from.
        additions: what is mixed with them.
        validation: whole patients; they choose the weights where 'train_segmenter.weights' is 'best'.
        channels: name to label values; a channel is a structure that is to be found.
        region: label values of the region whose Dice is shown, and may choose the weights.
        vanished: validation patients who have the region in their scan, and nothing of it on the grid.
        threshold: a probability at or above it is foreground.
        augmentation: of what is learned from.
        unsure: whether some labels are `IGNORED`, the ignore index.
        lesions: what is pasted into what is learned from; None where nothing is.
        pasted_onto: the patients whose slices alone get lesions, as often as 'train_segmenter.lesion_free' says; None =
            all, as often as 'copy_paste' says.
        settings: steps, batch size, learning rate, loss: the same in all arms.
        compute: devices and precision.
        weights_seed: for the initial weights.
        order_seed: for the order of slices and augmentation.
        folder: gets the weights and the checkpoints.
        run: records the newest row of the history after each epoch.
        text: names the training before its progress bar.
        confirms_seed: whether a program that says it is seeded is put to the test first; in one arm of a trial.
        done: what a program made of this task in an image of its own; None = it is trained here.
    """

    training: Cohort
    additions: tuple[Addition, ...] = ()
    validation: Cohort
    channels: Mapping[str, tuple[int, ...]]
    region: tuple[int, ...]
    threshold: float
    augmentation: Augmentation
    unsure: bool = False
    lesions: LesionBank | None = None
    pasted_onto: frozenset[str] | None = None
    vanished: frozenset[str] = frozenset()
    settings: TrainSegmenterSettings
    compute: ComputeSettings
    weights_seed: int
    order_seed: int
    folder: Path
    run: Run
    text: str
    confirms_seed: bool = False
    done: Path | None = None
