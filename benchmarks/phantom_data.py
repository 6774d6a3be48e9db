"""What the benchmarks run on: phantom patients in the layout of KiTS19, and their pair stores."""

from __future__ import annotations

import contextlib
import io
from pathlib import Path

import nibabel as nib
import numpy as np

from nephrite.config import Config, load_config
from nephrite.phantom.phantom import write_patient
from nephrite.recording import SilentRun
from nephrite.stages.prepare import prepare

PARAMS = Path(__file__).resolve().parent.parent / "params.yaml"
PATIENTS, SEED = 4, 19
SPLIT = "{train: 0.5, validation: 0.25, test: 0.25, salt: h}"  # with this salt no part is empty


def write_volumes(folder: Path) -> Path:
    """Write the phantom patients at 512 x 512 pixels, as `acquire` does."""
    for number in range(PATIENTS):
        write_patient(folder, SEED, number)
    return folder


def write_tall_case(source: Path, target: Path, slices: int) -> int:
    """Write a case of `slices` slices by repeating those of another; return its scan's bytes, uncompressed."""
    target.mkdir(parents=True)
    sizes = {}
    for name in ("imaging", "segmentation"):
        scan = nib.nifti1.load(source / f"{name}.nii.gz")
        voxels = np.resize(np.asarray(scan.dataobj), (slices, *scan.shape[1:]))
        nib.nifti1.save(nib.nifti1.Nifti1Image(voxels, scan.affine), target / f"{name}.nii.gz")
        sizes[name] = voxels.nbytes
    return sizes["imaging"]


def bench_config(size: int, workers: int = 1) -> Config:
    """The project's settings, but for size, split (it suits four patients), loss (the capstone's) and processes."""
    in_plane = f"prepare.in_plane={{kind: resize, size: {size}}}"
    split = f"prepare.split={SPLIT}"
    return load_config(PARAMS, (in_plane, split, f"prepare.workers={workers}", "train_segmenter.loss=dice"))


def run_prepare(raw: Path, pairs: Path, *, size: int, workers: int = 1) -> None:
    """The stage itself, without its progress bar."""
    with contextlib.redirect_stderr(io.StringIO()):
        prepare(bench_config(size, workers), SilentRun(), raw=raw, pairs=pairs)
