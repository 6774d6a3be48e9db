"""Sets of synthetic scans as public programs write them, made by a small program that is none of Nephrite's.

It draws ellipses, in the layouts of MAISI and of FreeTumor.
"""

from __future__ import annotations

import json
from pathlib import Path

import nibabel as nib
import numpy as np
from scipy.ndimage import gaussian_filter

KIDNEY, TUMOR = 5, 403  # label values of a set, of which one is too large for 8 bits
NOBODY: dict[str, list[str]] = {"patients": []}
CLEAN = {"generator": "ellipses", "version": "1", "license": "CC0-1.0", "trained_on": NOBODY, "masks_from": NOBODY}
AFFINE = np.diag([0.8, 0.8, 5.0, 1.0])  # RAS: columns to the right, rows to the front, slices upwards


def draw_fake(seed: int, slices: int = 5) -> tuple[np.ndarray, np.ndarray]:
    """Hounsfield units and label values of one fake: column, row, slice."""
    rng = np.random.default_rng(seed)
    image, label = np.full((48, 40, slices), -1000.0), np.zeros((48, 40, slices), np.int16)
    columns, rows = np.mgrid[:48, :40]
    column, row = rng.uniform(14, 34), rng.uniform(14, 26)
    for place in range(slices):
        far = np.hypot((columns - column) / 11, (rows - row) / 8) * rng.uniform(0.9, 1.1)
        for value, size, hounsfield in ((1, 1.6, -80.0), (KIDNEY, 0.7, 40.0), (TUMOR, 0.3, 110.0)):
            image[far < size, place], label[far < size, place] = hounsfield, value
        image[..., place] = gaussian_filter(image[..., place], 0.7) + rng.normal(0, 8, far.shape)
    return image, label


def save(path: Path, voxels: np.ndarray, affine: np.ndarray = AFFINE) -> Path:
    """Write a NIfTI file."""
    path.parent.mkdir(parents=True, exist_ok=True)
    nib.save(nib.Nifti1Image(voxels, affine), path)
    return path


def tell(folder: Path, **provenance: object) -> None:
    """Write the file that says where a set comes from."""
    (folder / "provenance.json").write_text(json.dumps({**CLEAN, **provenance}))


def write_maisi(folder: Path, fakes: int = 3, *, first_seed: int = 900) -> Path:
    """A set as MAISI writes it: flat, Hounsfield units, many label values."""
    for number in range(fakes):
        image, label = draw_fake(first_seed + number)
        save(folder / f"sample_{number}_image.nii.gz", image.astype(np.int16))
        save(folder / f"sample_{number}_label.nii.gz", label)
    tell(folder)
    return folder


def write_freetumor(folder: Path, fakes: int = 3) -> Path:
    """A set as FreeTumor writes it: two folders, intensities from 0 to 1."""
    for number in range(fakes):
        image, label = draw_fake(950 + number)
        save(folder / "img" / f"{number}.nii.gz", ((np.clip(image, -1000, 1000) + 1000) / 2000).astype(np.float32))
        named = np.select([label == KIDNEY, label == TUMOR], [1, 2], 0)
        save(folder / "lab" / f"{number}.nii.gz", named.astype(np.uint8))
    tell(folder)
    return folder


def maisi(path: Path, **others: object) -> str:
    """The setting of a set in MAISI's layout, as text for '--set'."""
    content = {"path": str(path), "classes": {str(KIDNEY): "kidney", str(TUMOR): "tumor"}, **others}
    return f"acquire.synthetic={{maisi: {json.dumps(content)}}}"


ARMS = (  # settings of a trial that learns from it
    "train_gan={maisi: {method: {kind: folder, source: maisi}}}",
    "trial.training_sets={real: [real, real+geometric], synthetic: [{name: real+maisi, synthesizer: maisi}]}",
    *("trial.synthesizers=[maisi]", "trial.question=[real+maisi, real]", "trial.reference=real"),
)
