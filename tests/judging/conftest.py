"""Given scores that are made up, and label maps of small scans."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest

from nephrite.judging.given import GivenScores, Score, gather

GAINS = {"real": 0.0, "fakes": 0.1}
SPACING = (2.0, 1.0, 1.0)  # mm of slices, rows, columns
MakeGiven = Callable[..., GivenScores]


def scores_of(
    *, gains: Mapping[str, float] = GAINS, replicates: int = 3, patients: int = 10, spread: float = 0.02
) -> list[Score]:
    """Dice of each patient; a gain for each arm, and some noise."""
    generator = np.random.default_rng(1)
    ease = generator.uniform(0.4, 0.7, patients)
    return [
        Score(f"p{number:02d}", arm, str(replicate), "tumor", "dice", float(value))
        for arm, gain in gains.items()
        for replicate in range(replicates)
        for number, value in enumerate(ease + gain + generator.normal(0, spread, patients))
    ]


@pytest.fixture
def make_given() -> MakeGiven:
    return lambda **arguments: gather(scores_of(**arguments), "scores.csv")


def write_map(
    path: Path, labels: np.ndarray, *, spacing: tuple[float, float, float] = SPACING, shift: float = 0
) -> None:
    """Write a label map with the axes slice, row, column, as a scan from head to foot has them."""
    path.parent.mkdir(parents=True, exist_ok=True)
    affine = np.diag([*(-length for length in spacing[::-1]), 1.0])
    affine[0, 3] = shift
    image = nib.Nifti1Image(labels.transpose(2, 1, 0).astype(np.uint8), affine)
    image.header.set_xyzt_units("mm")
    nib.save(image, path)


def box(rows: slice, value: int = 2) -> np.ndarray:
    """A box in a small scan."""
    labels = np.zeros((6, 16, 16), np.uint8)
    labels[2:4, rows, 4:12] = value
    return labels


@pytest.fixture
def folders(tmp_path: Path) -> Path:
    """Two arms, two replicates, three patients, the last one without any tumor; 'fakes' finds all, 'real' half."""
    found = {"real": slice(4, 8), "fakes": slice(4, 12)}
    for patient in ("a", "b"):
        write_map(tmp_path / "references" / f"{patient}.nii.gz", box(slice(4, 12)))
        for arm, rows in found.items():
            for replicate in ("0", "1"):
                write_map(tmp_path / "predictions" / arm / replicate / f"{patient}.nii.gz", box(rows))
    write_map(tmp_path / "references" / "c.nii.gz", box(slice(0, 0)))
    for arm in found:
        for replicate in ("0", "1"):
            write_map(tmp_path / "predictions" / arm / replicate / "c.nii.gz", box(slice(0, 0)))
    return tmp_path
