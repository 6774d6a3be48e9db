"""Blind baselines: what masks score that never look at the image.

A segmenter that is not clearly better has learned where lesions lie in the files, not what they look like.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float

from nephrite.config import Config
from nephrite.metrics.overlap import volume_dice
from nephrite.metrics.windows import windows_of
from nephrite.store.grid_loss import vanished_patients
from nephrite.store.slices import PairStore

NOTHING, MEAN_MASK = "predict nothing", "mean training mask"
LEVELS = np.arange(1, 100) / 100  # thresholds on the mean mask that are tried

Masks = Bool[np.ndarray, "slice height width"]


@dataclass(frozen=True)
class BlindBaseline:
    """A mask that is the same for every image.

    Attributes:
        name: of the baseline.
        dice: score of each patient that is judged, in the order of the patients' ids.
        threshold: share of the training slices from which on a pixel is marked; None where nothing is.
    """

    name: str
    dice: tuple[float, ...]
    threshold: float | None = None


def blind_baselines(config: Config, store: PairStore, split: str) -> tuple[BlindBaseline, ...]:
    """The baselines' Dice of the primary region, in windows where the trial scores windows.

    The mean mask is that of all training patients, of each alike; the best threshold on them is taken. A region that
    vanished on the grid counts as missed, as it does for arms.

    Args:
        config: settings.
        store: of real slices.
        split: whose patients are judged.
    """
    # what is to be found, in the views that are scored
    labels = config.evaluate.regions[config.trial.primary].labels
    judged = store.patients(split)
    lost = vanished_patients(store, judged, labels)
    truth = [_views(config, store, patient, labels) for patient in judged]
    # the same mask for all: from training patients alone
    training = [_views(config, store, patient, labels) for patient in store.patients("train")]
    mean = np.mean([views.mean(axis=0, dtype=np.float64) for views in training], axis=0)
    threshold = best_threshold(mean, training)
    # scores; what vanished was missed
    nothing = np.zeros(mean.shape, dtype=bool)
    return (
        BlindBaseline(NOTHING, _scores(nothing, truth, judged, lost)),
        BlindBaseline(MEAN_MASK, _scores(mean >= threshold, truth, judged, lost), threshold),
    )


def best_threshold(mean: Float[np.ndarray, "height width"], patients: Sequence[Masks]) -> float:
    """The level from which on marking the mean mask's pixels gives some patients the best mean Dice.

    Args:
        mean: how often each pixel belongs to the region.
        patients: region of each patient.
    """
    levels = [level for level in LEVELS if level <= mean.max()] or [LEVELS[0]]
    found = [float(np.mean([_dice(mean >= level, views) for views in patients])) for level in levels]
    return float(levels[int(np.argmax(found))])


def _views(config: Config, store: PairStore, patient: str, labels: Collection[int]) -> Masks:
    label = np.asarray(store.label(patient))
    windows = windows_of(config, patient, label)
    parts = [window.cut(label) for window in windows] or [label]
    return np.isin(np.concatenate(parts), list(labels))


def _scores(
    mask: Bool[np.ndarray, "height width"], truth: Sequence[Masks], patients: Sequence[str], lost: Collection[str]
) -> tuple[float, ...]:
    return tuple(0.0 if patient in lost else _dice(mask, views) for patient, views in zip(patients, truth, strict=True))


def _dice(mask: Bool[np.ndarray, "height width"], views: Masks) -> float:
    return volume_dice(np.broadcast_to(mask, views.shape), views)
