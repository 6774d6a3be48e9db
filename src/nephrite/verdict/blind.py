"""Blind baselines: what masks score that never look at the image.

A segmenter that is not clearly better has learned where lesions lie in the files, not what they look like.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float

from nephrite.config import Config, LesionRule, Where
from nephrite.imaging.geometry import voxel_milliliters
from nephrite.metrics.lesions import find_lesions
from nephrite.metrics.overlap import volume_dice
from nephrite.metrics.surface import Spacing
from nephrite.metrics.windows import windows_of
from nephrite.store.grid_loss import vanished_patients
from nephrite.store.persons import Persons, count_persons
from nephrite.store.slices import EXTERNAL, PairStore
from nephrite.verdict.froc import RATES
from nephrite.verdict.measures import Measure

NOTHING, MEAN_MASK, CHANCE = "predict nothing", "mean training mask", "candidates at random places"
LEVELS = np.arange(1, 100) / 100  # thresholds on the mean mask that are tried

Masks = Bool[np.ndarray, "slice height width"]


@dataclass(frozen=True)
class BlindBaseline:
    """A mask that is the same for every image, or candidates that lie anywhere.

    Attributes:
        name: of the baseline.
        scores: of each patient that is judged, in the order of the patients' ids; of chance, the same for all.
        measure: by which it is scored.
        threshold: share of the training slices from which on a pixel is marked; None where nothing is.
    """

    name: str
    scores: tuple[float, ...]
    measure: Measure
    threshold: float | None = None


def blind_baselines(config: Config, store: PairStore, split: str) -> tuple[BlindBaseline, ...]:
    """The baselines of the primary region, in windows where the trial scores windows: Dice, and CPM of its lesions.

    The mean mask is that of all training scans, of each alike; the best threshold on them is taken. A region that
    vanished on the grid counts as missed, as it does for arms.

    Args:
        config: settings.
        store: of real slices.
        split: whose patients the headline is about.
    """
    # what is to be found, in the views that are scored
    labels = config.evaluate.regions[config.trial.primary].labels
    judged = store.patients(split)
    lost = vanished_patients(store, judged, labels)
    views = [_views(config, store, patient, labels) for patient in judged]
    truth = [np.concatenate(parts) for parts in views]
    # the same mask for all: from training patients alone
    training = [np.concatenate(_views(config, store, patient, labels)) for patient in store.patients("train")]
    mean = np.mean([views.mean(axis=0, dtype=np.float64) for views in training], axis=0)
    threshold = best_threshold(mean, training)
    # scores; what vanished was missed
    nothing = np.zeros(mean.shape, dtype=bool)
    region = config.trial.primary
    where: Where = "external" if split == EXTERNAL else "home"
    dice = Measure("dice", region, where)
    persons = store.persons(split)

    def of_persons(mask: Bool[np.ndarray, "height width"]) -> tuple[float, ...]:
        return _means(persons, _scores(mask, truth, judged, lost))

    masks = (
        BlindBaseline(NOTHING, of_persons(nothing), dice),
        BlindBaseline(MEAN_MASK, of_persons(mean >= threshold), dice, threshold),
    )
    # candidates at random, where lesions are counted one by one
    rule = config.evaluate.lesions.get(region)
    seen = [(view, store.patient(name).spacing) for name, parts in zip(judged, views, strict=True) for view in parts]
    chance = chance_of_finding(seen, rule) if rule else None
    if chance is None:
        return masks
    return (*masks, BlindBaseline(CHANCE, (chance,) * count_persons(persons), Measure("cpm", region, where)))


def chance_of_finding(views: Sequence[tuple[Masks, Spacing]], rule: LesionRule) -> float | None:
    """The competition metric of candidates whose centers lie anywhere with equal probability.

    With t of them per image, a lesion that covers the share a of its image is hit with probability 1 - (1 - a) ** t.
    Nearly all of them hit nothing, so t is the rate of false positives. None without any lesion.

    Args:
        views: the region in each window or scan that is scored, and its spacing.
        rule: what a lesion is.
    """
    shares: list[float] = []
    for view, spacing in views:
        found = find_lesions(view.astype(np.float32), view, rule, spacing)
        image = (view[0].size if rule.dimensions == 2 else view.size) * voxel_milliliters(spacing)
        shares += [volume / image for volume in found.lesions]
    if not shares:
        return None
    missed = (1 - np.array(shares)[:, None]) ** np.array(RATES)
    return float(np.mean(1 - missed))


def best_threshold(mean: Float[np.ndarray, "height width"], patients: Sequence[Masks]) -> float:
    """The level from which on marking the mean mask's pixels gives some patients the best mean Dice.

    Args:
        mean: how often each pixel belongs to the region.
        patients: region of each patient.
    """
    levels = [level for level in LEVELS if level <= mean.max()] or [LEVELS[0]]
    found = [float(np.mean([_dice(mean >= level, views) for views in patients])) for level in levels]
    return float(levels[int(np.argmax(found))])


def _views(config: Config, store: PairStore, patient: str, labels: Collection[int]) -> list[Masks]:
    label = np.asarray(store.label(patient))
    windows = windows_of(config, patient, label)
    parts = [window.cut(label) for window in windows] or [label]
    return [np.isin(part, list(labels)) for part in parts]


def _scores(
    mask: Bool[np.ndarray, "height width"], truth: Sequence[Masks], patients: Sequence[str], lost: Collection[str]
) -> tuple[float, ...]:
    return tuple(0.0 if patient in lost else _dice(mask, views) for patient, views in zip(patients, truth, strict=True))


def _means(persons: Persons, scores: Sequence[float]) -> tuple[float, ...]:
    """Scores of scans, in the order of their ids, to those of persons, in the order of theirs."""
    found: dict[str, list[float]] = {}
    for scan, score in zip(sorted(persons), scores, strict=True):
        found.setdefault(persons[scan], []).append(score)
    return tuple(float(np.mean(found[person])) for person in sorted(found))


def _dice(mask: Bool[np.ndarray, "height width"], views: Masks) -> float:
    return volume_dice(np.broadcast_to(mask, views.shape), views)
