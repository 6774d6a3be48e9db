"""Which slices of a patient are neighbors, and which of them make a volume.

A real scan is one run of neighboring slices: readers refuse series with gaps. A synthetic patient holds those slices of
its source that were painted, and accepted: as many runs as there are places without a slice of the source between.
What learns from volumes takes a run of at least `LEAST` slices as one; shorter runs, and single slices, it leaves out.
"""

from __future__ import annotations

from collections.abc import Iterable
from itertools import pairwise
from typing import NamedTuple

from nephrite.errors import StoreError
from nephrite.store.slices import PairStore

LEAST = 8  # slices: 24 to 40 mm of CT, and half a patch of the 3-D network's default


class Run(NamedTuple):
    """Neighboring slices of a patient, by their positions in the store."""

    patient: str
    part: range


def runs_of(store: PairStore, patient: str) -> list[Run]:
    """All runs of neighboring slices of a patient, in their order."""
    count, provenance = len(store.label(patient)), store.patient(patient).provenance
    if provenance is None:
        return [Run(patient, range(count))]
    gaps = [place for place, (one, next_one) in enumerate(pairwise(provenance.source_slices), 1) if next_one != one + 1]
    return [Run(patient, range(start, end)) for start, end in pairwise([0, *gaps, count])]


def volumes_of(store: PairStore, patients: Iterable[str]) -> list[Run]:
    """Runs of some patients that are volumes: real scans as they are, and synthetic runs of at least `LEAST` slices."""
    least = LEAST if store.manifest.kind == "synthetic" else 1
    return [run for patient in patients for run in runs_of(store, patient) if len(run.part) >= least]


def count_outside(store: PairStore, *, asker: str) -> tuple[int, int]:
    """How many slices of a store are part of no volume, and how many there are.

    Args:
        store: of slices.
        asker: who needs volumes; for the error.

    Raises:
        StoreError: none of them is part of one.
    """
    patients = store.patients()
    total = sum(len(store.label(patient)) for patient in patients)
    outside = total - sum(len(run.part) for run in volumes_of(store, patients))
    if patients and outside == total:
        longest = max(len(run.part) for patient in patients for run in runs_of(store, patient))
        finding = f"holds runs of at most {longest} neighboring slices, and {asker} learns from {LEAST} or more"
        remedy = "paint whole patients ('synthesize.ratio' a whole number, 'screen.filter' all), or take 2-D segmenters"
        raise StoreError(store.root, finding, remedy)
    return outside, total
