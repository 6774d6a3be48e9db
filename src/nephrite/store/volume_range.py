"""How large each class is in patients whose label maps are known: what a prediction is compared with."""

from __future__ import annotations

from collections.abc import Sequence

from nephrite.store.slices import PairStore


def volume_ranges(store: PairStore, patients: Sequence[str]) -> dict[str, tuple[float, float]]:
    """Class name to the smallest and the largest volume, in mm3 of the scans' own voxels.

    A patient without a class has 0 of it. Classes that nobody has are left out, and all where nobody is asked for.

    Args:
        store: of real slices.
        patients: whose label maps are known.
    """
    known = [store.patient(patient).volumes for patient in patients]
    found: dict[str, tuple[float, float]] = {}
    for name in store.manifest.classes.values():
        sizes = [volumes[name][0] if name in volumes else 0.0 for volumes in known]
        if any(sizes):
            found[name] = (min(sizes), max(sizes))
    return found
