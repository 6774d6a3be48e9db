"""Cases of the contract as arrays: intensities in [0, 1], and labels as 0, 1, 2, ..., in the order of their values."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
from jaxtyping import Float32, UInt8

from nephrite.programs.case_folders import DATASET, ENDING, IMAGES, LABELS, SCANS

Volume = Float32[np.ndarray, "column row slice"]


@dataclass(frozen=True)
class Folder:
    """A folder of cases.

    Attributes:
        root: of the folder.
        about: its dataset.json.
    """

    root: Path
    about: Mapping[str, Any]

    @property
    def values(self) -> list[int]:
        """Label values, sorted, without background: class 1 is the first of them."""
        found = (value if isinstance(value, list) else [value] for value in self.about["labels"].values())
        return sorted({one for several in found for one in several} - {0})

    @property
    def channels(self) -> dict[str, list[int]]:
        """Name to label values."""
        return {name: list(values) for name, values in self.about["nephrite"]["channels"].items()}

    def images(self, part: str = IMAGES) -> Iterator[tuple[str, nib.Nifti1Image, Volume]]:
        """Each case's id, its scan's file, and its intensities in [0, 1]."""
        for name, (low, high) in self.about["nephrite"]["windows"].items():
            file = nib.nifti1.load(self.root / part / f"{name}_0000{ENDING}")
            yield name, file, ((file.get_fdata(dtype=np.float32) - low) / (high - low)).clip(0, 1)

    def scans(self) -> Iterator[tuple[str, nib.Nifti1Image, Volume]]:
        """The same of a folder without labels."""
        return self.images(SCANS)

    def cases(self, values: Sequence[int]) -> Iterator[tuple[Volume, UInt8[np.ndarray, "column row slice"]]]:
        """Scans with their classes.

        Args:
            values: label values in the order of the classes.
        """
        classes = np.zeros(256, np.uint8)
        classes[list(values)] = range(1, len(values) + 1)
        for name, _, image in self.images():
            label = nib.nifti1.load(self.root / LABELS / f"{name}{ENDING}")
            yield image, classes[np.asarray(label.dataobj)]


def open_folder(root: Path) -> Folder:
    """A folder of cases."""
    return Folder(root, json.loads((root / DATASET).read_text(encoding="utf-8")))
