"""What was painted, slice by slice, as two tables beside the slices of a painter.

overlap.csv   patient, slice, dice, nearest_patient, nearest_slice: the training mask that each slice's is most like
edits.csv     patient, class, action, done, place, size, radius: what was done to the lesions of new masks, in mm
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from jaxtyping import UInt8

from nephrite.files import write_table
from nephrite.generation.requests import Asked
from nephrite.store.slices import PairStore, SliceRef
from nephrite.training.nearest_masks import Nearest, TrainingMasks

OVERLAP, EDITS = "overlap.csv", "edits.csv"


class Book:
    """The rows of overlap.csv and edits.csv: one per synthetic slice and per edited lesion."""

    def __init__(self, store: PairStore, labeled: Sequence[str]) -> None:
        self.classes, self.known = store.manifest.classes, TrainingMasks(store, labeled)
        self.patients: list[str] = []
        self.overlaps: list[tuple[str, int, float, str, int]] = []
        self.edits: list[tuple[str, str, str, bool, str, str, float]] = []

    def enter(self, patient: str, asked: Asked) -> None:
        """Add one synthetic patient; the nearest mask of an unchanged mask is itself."""
        self._enter(patient, self._copies(asked) if asked.seed is None else self.known.nearest(asked.request.label))
        self.edits += [
            (patient, self.classes[edit.label], edit.action, edit.done, edit.place or "", edit.size, edit.radius)
            for edit in asked.edits
        ]

    def enter_brought(self, patient: str, label: UInt8[np.ndarray, "slice height width"]) -> None:
        """Add one synthetic patient whom another program made."""
        self._enter(patient, self.known.nearest(label))

    def _enter(self, patient: str, rows: Sequence[Nearest]) -> None:
        self.patients.append(patient)
        self.overlaps += [(patient, number, round(dice, 4), *ref) for number, (dice, ref) in enumerate(rows)]

    def _copies(self, asked: Asked) -> list[Nearest]:
        return [Nearest(1.0, SliceRef(asked.source.source, position)) for position in asked.source.positions]

    def write(self, root: Path) -> None:
        """Write both tables."""
        write_table(root / OVERLAP, ("patient", "slice", "dice", "nearest_patient", "nearest_slice"), self.overlaps)
        write_table(root / EDITS, ("patient", "class", "action", "done", "place", "size", "radius"), self.edits)

    @property
    def metrics(self) -> dict[str, float]:
        """Metrics of the whole store."""
        return {
            "slices": float(len(self.overlaps)),
            "patients": float(len(self.patients)),
            "edited_lesions": float(sum(row[3] for row in self.edits)),
            "nearest_mask_dice": float(np.mean([row[2] for row in self.overlaps])),
        }
