"""Patients by hash: each patient's place follows from its id alone, so adding patients moves none."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable

from nephrite.config import SPLITS, SplitSettings
from nephrite.errors import SplitError


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
