"""The lesions that 'copy_paste' pastes: those of an arm's patients, each for the slices of the others."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence

import torch
from torch import Tensor

from nephrite.augment.lesions import LesionBank
from nephrite.errors import ConfigError
from nephrite.store.slices import PairStore, SliceRef


def fill_bank(
    store: PairStore,
    slices: Sequence[SliceRef],
    classes: Mapping[int, int | None],
    *,
    place: str,
    onto: Collection[str] | None = None,
) -> LesionBank:
    """Cut out the lesions of some slices.

    Args:
        store: of real slices.
        slices: of the patients whose labels the arm knows.
        classes: label value of each lesion class to that of the organ that holds it; None = it lies anywhere.
        place: the arm, for errors.
        onto: patients whose slices are to take them; None = those of `slices`.

    Raises:
        ConfigError: there is no lesion that can be cut out, or no slice that could take one of another patient: the
            baseline would equal the arm without 'copy_paste'.
    """
    # lesions of the training slices
    images = ((ref.patient, torch.from_numpy(store.windowed(ref))[None], _label(store, ref)) for ref in slices)
    bank, patients = LesionBank.from_slices(images, classes), {ref.patient for ref in slices}
    named = store.manifest.classes
    pasted = f"pastes {[named[value] for value in classes]}"
    if not bank.lesions:
        finding = f"{pasted}, and its {len(patients)} patients have none that is large enough and not cut off"
        raise ConfigError(place, f"{finding} by the border of its slice", "take more patients")
    # at least one slice must be able to take one
    takers = patients if onto is None else onto
    rows = [row for row in store.index if row["patient"] in takers]
    if not any(bank.donors(row["patient"], {value for value in named if row[named[value]]}) for row in rows):
        organs = [named[organ] for organ in classes.values() if organ is not None]
        within = f" with {organs}" if organs else ""
        finding = f"{pasted} of other patients, and no slice{within} of its {len(patients)} patients could take one"
        raise ConfigError(place, finding, "take more patients, or leave 'copy_paste' out")
    return bank


def _label(store: PairStore, ref: SliceRef) -> Tensor:
    return torch.from_numpy(store.label(ref.patient)[ref.position].copy())
