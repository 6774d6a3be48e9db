"""Patient splits by hash: a patient's split follows from its id alone, so new patients move no others."""

from __future__ import annotations

import hashlib
import itertools
import math
from collections.abc import Iterable, Mapping, Sequence

from nephrite.config import SPLITS, SplitSettings, TrialSettings
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


def training_subset(
    patients: Iterable[str], fraction: float, *, cell: int, trial: TrialSettings, least: int = 0
) -> list[str]:
    """The patients whose labels a cell knows at a label fraction, sorted: of those of training, or of validation.

    Up to 'trial.disjoint_fraction' cells share no patient: cell 0 takes the first patients of one ranking by hash, cell
    1 the next, and so on as far as they reach. A cell goes on with the others in a ranking of its own, and one that
    nothing was left for starts with it. So smaller fractions are nested in larger ones, further cells change none, and
    a new patient takes a place without reordering the others.

    Args:
        patients: all of training, or of validation.
        fraction: of them, rounded to whole patients.
        cell: number of the cell.
        trial: for the seed, and the share up to which cells are disjoint.
        least: patients that are taken whatever the fraction.

    Raises:
        ConfigError: the fraction leaves no patient, and is not 0.
    """
    if fraction == 0:  # of 'trial.without_labels'
        return []
    known = sorted(set(patients))
    count = max(round(fraction * len(known)), least)
    if count == 0:
        finding = f"{fraction:g} of {len(known)} training patients rounds to none"
        raise ConfigError("trial.label_fractions", finding, f"take at least {1 / max(len(known), 1):.2g}")
    # patients of its own, as far as they reach
    block = max(1, round(trial.disjoint_fraction * len(known)))
    start = cell * block
    own = _ranked(known, f"{trial.seed}")[start : start + block] if start + block <= len(known) else []
    # then any, in the cell's own order
    others = [patient for patient in _ranked(known, f"{trial.seed}:{cell}") if patient not in own]
    return sorted([*own, *others][:count])


def shared_patients(patients: Iterable[str], fraction: float, *, cells: Sequence[int], trial: TrialSettings) -> float:
    """The share of its training patients that a cell has in common with another, on average over all pairs of cells.

    With a single cell it is what a second one would have in common with it if both were drawn at random.

    Raises:
        ConfigError: the fraction leaves no patient.
    """
    known = sorted(set(patients))
    subsets = [set(training_subset(known, fraction, cell=cell, trial=trial)) for cell in cells]
    if len(subsets) == 1:
        return len(subsets[0]) / len(known)
    shared = [len(one & other) / len(one) for one, other in itertools.combinations(subsets, 2)]
    return math.fsum(shared) / len(shared)


def _ranked(patients: Iterable[str], key: str) -> list[str]:
    return sorted(patients, key=lambda patient: hashlib.sha256(f"{key}:{patient}".encode()).digest())
