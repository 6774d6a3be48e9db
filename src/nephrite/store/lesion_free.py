"""Scans known to be free of lesions, or parts of scans: where a lesion is known to lie, pixels are ignored.

They are a split of their own, and, where 'prepare.lesion_free' says so, the training patients whose labels a cell does
not know. An ignore mask says where a lesion is, though not its outline: a weak label, which counts as one.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from pathlib import Path
from typing import NamedTuple

import numpy as np
from jaxtyping import UInt8

from nephrite.config import IGNORED, LesionFreeSettings
from nephrite.errors import ConfigError, VolumeError
from nephrite.store.persons import Persons, others
from nephrite.store.records import LESION_FREE
from nephrite.store.slices import PairStore

MISSING = "name 'acquire.lesion_free', or set 'prepare.lesion_free.training_patients' and a label fraction below 1"


class LesionFree(NamedTuple):
    """Lesion-free scans that one cell may see.

    Attributes:
        labels: patient to label maps: organs, if known, and `IGNORED`; no lesion.
        masked: patients of whom some pixels are ignored.
    """

    labels: dict[str, UInt8[np.ndarray, "slice height width"]]
    masked: list[str]


def ignore_lesions(
    label: UInt8[np.ndarray, "slice height width"],
    lesions: Collection[int],
    spacing: tuple[float, float, float],
    settings: LesionFreeSettings,
) -> UInt8[np.ndarray, "slice height width"]:
    """A label map with `IGNORED` in place of lesions and about them.

    Args:
        label: label values.
        lesions: label values of lesions.
        spacing: millimeters per slice, row and column.
        settings: of the margin: pixels are counted within a slice, millimeters in space.
    """
    from scipy import ndimage  # noqa: PLC0415 - a quarter of a second, which each worker of 'prepare' would wait for

    known = label.copy()
    lesion = np.isin(label, list(lesions))
    if not lesion.any():
        return known
    if settings.unit == "millimeters":
        far = ndimage.distance_transform_edt(~lesion, sampling=spacing)
        known[far <= settings.margin] = IGNORED
        return known
    for plane, held in zip(known, lesion, strict=True):
        if held.any():
            plane[ndimage.distance_transform_edt(~held) <= settings.margin] = IGNORED
    return known


def check_some_left(place: Path, label: UInt8[np.ndarray, "slice height width"]) -> None:
    """Refuse a lesion-free scan of which nothing is left to learn from.

    Raises:
        VolumeError: names the file.
    """
    if (label == IGNORED).all():
        finding = "is ignored as a whole: its label map, with the margin about it, covers every pixel"
        raise VolumeError(place, finding, "leave the scan out, or lower 'prepare.lesion_free.margin'")


def lesion_free_patients(
    splits: Mapping[str, str], persons: Persons, labeled: Iterable[str], *, training: bool
) -> list[str]:
    """Scans that a cell may see as lesion-free, sorted.

    Args:
        splits: scan to split.
        persons: scan to person.
        labeled: training scans whose labels the cell knows; no other scan of these persons is among the result.
        training: whether the other training patients count as well.
    """
    return others(splits, persons, labeled, allowed={LESION_FREE, "train"} if training else {LESION_FREE})


def demand_lesion_free(
    store: PairStore, labeled: Iterable[str], settings: LesionFreeSettings, *, asker: str
) -> list[str]:
    """The same for a store, where there must be some.

    Raises:
        ConfigError: there are none; names who asks.
    """
    patients = lesion_free_patients(store.splits, store.persons(), labeled, training=settings.training_patients)
    demand_some_free(patients, asker)
    return patients


def demand_some_free(found: Collection[str], asker: str) -> None:
    """Refuse whoever learns from lesion-free scans where there are none.

    Args:
        found: see `lesion_free_patients`.
        asker: an arm or a painter, for the error.

    Raises:
        ConfigError: there are none.
    """
    if not found:
        raise ConfigError(asker, "needs lesion-free scans, and there are none", MISSING)


def read_lesion_free(
    store: PairStore, labeled: Iterable[str], lesions: Collection[int], settings: LesionFreeSettings, *, asker: str
) -> LesionFree:
    """The lesion-free scans of a cell.

    Args:
        store: of real slices.
        labeled: training patients whose labels the cell knows.
        lesions: label values of lesions.
        settings: which patients, and how much about a lesion is ignored.
        asker: who needs them, for errors.

    Raises:
        ConfigError: there are none; or all that they show is ignored.
    """
    patients = demand_lesion_free(store, labeled, settings, asker=asker)
    labels = {}
    for patient in patients:
        label = np.array(store.label(patient))
        if store.splits[patient] != LESION_FREE:
            label = ignore_lesions(label, lesions, store.patient(patient).spacing, settings)
        labels[patient] = label
    masked = [patient for patient, label in labels.items() if (label == IGNORED).any()]
    # a slice of which nothing is known teaches nothing
    if all((labels[patient] == IGNORED).all() for patient in patients):
        finding = f"{settings.margin:g} {settings.unit} about lesions ignores all of {len(patients)} lesion-free scans"
        raise ConfigError("prepare.lesion_free.margin", finding, "make it smaller")
    return LesionFree(labels, masked)


def shows_lesion_free(synthetic: PairStore) -> bool:
    """Whether some slices of a synthetic store were painted on lesion-free scans."""
    found = (synthetic.patient(patient).provenance for patient in synthetic.patients())
    return any(known is not None and known.lesion_free for known in found)


def masked_sources(synthetic: PairStore) -> set[str]:
    """The patients whose lesion-free scans were painted on, and of whom some pixels are ignored."""
    found = {patient: synthetic.patient(patient).provenance for patient in synthetic.patients()}
    return {
        known.source_patient
        for patient, known in found.items()
        if known is not None
        and known.source_patient is not None
        and known.lesion_free
        and (synthetic.label(patient) == IGNORED).any()
    }
