"""Patient splits by hash: a patient's split follows from its id alone, so new patients move no others."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping

from nephrite.config import SPLITS, SplitSettings
from nephrite.errors import ConfigError, SplitError
from nephrite.store.slices import UNLABELED


def assign_split(patient: str, settings: SplitSettings) -> str:
    """Return 'train', 'validation' or 'test' for a patient id."""
    salted = hashlib.sha256(f"{settings.salt}:{patient}".encode()).digest()
    place = int.from_bytes(salted[:8], "big") / 2**64
    if place < settings.train:
        return "train"
    return "validation" if place < settings.train + settings.validation else "test"


def split_patients(patients: Iterable[str], settings: SplitSettings) -> dict[str, str]:
    """Map each patient id to its split.

    Raises:
        SplitError: a split with a share above zero got no patient.
    """
    placed = {patient: assign_split(patient, settings) for patient in sorted(patients)}
    for name in SPLITS:
        share = getattr(settings, name)
        if share > 0 and name not in placed.values():
            raise SplitError(
                "prepare.split",
                f"{len(placed)} patients leave none for '{name}' (share {share:g})",
                "add patients, or change the shares or 'prepare.split.salt'",
            )
    return placed


def unlabeled_patients(splits: Mapping[str, str], labeled: Iterable[str]) -> list[str]:
    """Patients whose scans a cell may see without labels, sorted: those that have none, and other training patients.

    Args:
        splits: patient to split.
        labeled: training patients whose labels the cell knows.
    """
    known = set(labeled)
    return sorted(name for name, split in splits.items() if split in ("train", UNLABELED) and name not in known)


def training_subset(patients: Iterable[str], fraction: float, *, cell: int, seed: int) -> list[str]:
    """The training patients whose labels a cell knows at a label fraction, sorted.

    Each cell ranks the patients by a hash of its own, so smaller fractions are nested in larger ones, and a new patient
    takes a place without reordering the others.

    Raises:
        ConfigError: the fraction leaves no patient, and is not 0.
    """
    if fraction == 0:  # of 'trial.without_labels'
        return []
    known = sorted(set(patients))
    count = round(fraction * len(known))
    if count == 0:
        finding = f"{fraction:g} of {len(known)} training patients rounds to none"
        raise ConfigError("trial.label_fractions", finding, f"take at least {1 / max(len(known), 1):.2g}")
    ranked = sorted(known, key=lambda patient: hashlib.sha256(f"{seed}:{cell}:{patient}".encode()).digest())
    return sorted(ranked[:count])
