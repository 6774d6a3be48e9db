"""What label maps lost on the store's grid: regions that shrank much, or vanished, when slices were resized or cropped.

A region that vanished is not absent: the patient has it, and no segmenter on this grid can show that it finds it.
"""

from __future__ import annotations

import logging
from collections.abc import Collection, Iterable, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
from jaxtyping import Float

from nephrite.store.slices import PairStore, Patient, read_patient
from nephrite.words import counted

logger = logging.getLogger(__name__)
LEAST = 0.5  # of a region's volume in the scan's own voxels: below it a warning is due
_SHOWN = 8  # patients named in a line


class GridLoss(NamedTuple):
    """A class of one patient that shrank to less than half, or vanished; volumes in mm3."""

    patient: str
    name: str
    scan: float
    grid: float

    @property
    def vanished(self) -> bool:
        """Whether nothing of it is left."""
        return self.grid == 0

    def __str__(self) -> str:
        return f"{self.patient} ({_milliliters(self.scan)} to {_milliliters(self.grid)} ml)"


def grid_losses(patients: Iterable[Patient]) -> list[GridLoss]:
    """The classes that some patients have and that lost more than half of their volume."""
    return [
        GridLoss(patient.patient, name, scan, grid)
        for patient in patients
        for name, (scan, grid) in patient.volumes.items()
        if grid < LEAST * scan
    ]


def loss_lines(losses: Iterable[GridLoss], count: int, who: str) -> list[str]:
    """One line for each class that vanished in some patients, or shrank in some.

    Args:
        losses: of the patients.
        count: how many patients were looked at.
        who: they are, in the singular.
    """
    groups: dict[tuple[str, bool], list[GridLoss]] = {}
    for loss in losses:
        groups.setdefault((loss.name, loss.vanished), []).append(loss)
    lines = []
    for (name, vanished), found in sorted(groups.items(), key=lambda item: (not item[0][1], item[0][0])):
        what = "vanished on the grid" if vanished else "shrank on the grid to less than half"
        more = f" and {len(found) - _SHOWN} more" if len(found) > _SHOWN else ""
        shown = ", ".join(map(str, found[:_SHOWN]))
        lines.append(f"{name} {what} in {len(found)} of {counted(count, who)}: {shown}{more}.")
    return lines


def vanished_volume(patient: Patient, classes: Mapping[int, str], values: Collection[int]) -> float:
    """Milliliters of a region in the patient's scan, if nothing of it is left on the grid; else 0.

    Args:
        patient: of a store.
        classes: label value to name.
        values: the region's label values.
    """
    volumes: Float[np.ndarray, "class 2"] = np.array(
        [patient.volumes.get(classes[value], (0.0, 0.0)) for value in values], dtype=np.float64
    ).reshape(-1, 2)
    scan, grid = volumes.sum(axis=0)
    return float(scan) / 1000 if grid == 0 else 0.0


def vanished_patients(store: PairStore, patients: Iterable[str], values: Collection[int]) -> frozenset[str]:
    """Those of some patients who have a region in their scan, and nothing of it on the grid."""
    classes = store.manifest.classes
    return frozenset(name for name in patients if vanished_volume(store.patient(name), classes, values))


def _milliliters(volume: float) -> str:
    return f"{volume / 1000:.3g}"


def warn_of_losses(root: Path, patients: Sequence[str]) -> list[GridLoss]:
    """Warn of classes that vanished or shrank much on the grid: the settings may be too coarse for them."""
    losses = grid_losses(read_patient(root, patient) for patient in sorted(patients))
    for line in loss_lines(losses, len(patients), "patient"):
        logger.warning("%s Finer slices keep more: 'prepare.in_plane'.", line)
    return losses
