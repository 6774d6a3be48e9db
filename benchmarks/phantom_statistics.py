"""Compare the phantom's label statistics with those of real label volumes in the layout of KiTS19.

    python benchmarks/phantom_statistics.py --labels FOLDER --patients 60

FOLDER holds case_*/segmentation.nii.gz. Prints a Markdown table: median, and the 10th to 90th percentile.
"""

from __future__ import annotations

import argparse
import sys
from collections import defaultdict
from collections.abc import Iterable, Iterator
from pathlib import Path

import nibabel as nib
import numpy as np
from scipy import ndimage

from nephrite.phantom.phantom import draw_patient

ORGAN_ML, TUMOR_ML = 10.0, 0.1  # smaller pieces are crumbs of the annotation
Case = tuple[np.ndarray, tuple[float, ...]]


def read_cases(folder: Path) -> Iterator[Case]:
    """Label volumes (slice, height, width) and voxel sizes in mm of all cases of a folder."""
    for path in sorted(folder.glob("*/segmentation.nii.gz")):
        scan = nib.nifti1.load(path)
        yield np.asarray(scan.dataobj), tuple(map(float, scan.header.get_zooms()))


def draw_cases(patients: int, seed: int, matrix: int) -> Iterator[Case]:
    """Label volumes and voxel sizes of the phantom's first patients."""
    for number in range(patients):
        _, label, spacing = draw_patient(seed, number, matrix=matrix)
        yield label, spacing


def measure_case(label: np.ndarray, spacing: tuple[float, ...]) -> dict[str, list[float]]:
    """Sizes of one patient's kidneys (with and without tumor) and tumors."""
    volume = float(np.prod(spacing)) / 1000
    found: dict[str, list[float]] = defaultdict(list)
    pieces, _ = ndimage.label(label > 0)
    for number, box in enumerate(ndimage.find_objects(pieces), 1):
        organ = pieces[box] == number
        if organ.sum() * volume < ORGAN_ML:
            continue
        slices = box[0].stop - box[0].start
        found["kidney, ml"].append(float((organ & (label[box] == 1)).sum() * volume))
        found["kidney and tumor, ml"].append(float(organ.sum() * volume))
        found["slices per organ"].append(slices)
        found["organ from top to bottom, mm"].append(slices * spacing[0])
        found["organ from front to back, mm"].append((box[1].stop - box[1].start) * spacing[1])
        found["organ from right to left, mm"].append((box[2].stop - box[2].start) * spacing[2])
    sizes = ndimage.sum_labels(label == 2, *_tumors(label)) * volume
    sizes = sizes[sizes >= TUMOR_ML]
    found["tumor diameter (equal volume), mm"] = list((6000 * sizes / np.pi) ** (1 / 3))
    found["tumors per patient"] = [len(sizes)]
    found["organs per patient"] = [len(found["kidney, ml"])]
    found["slice distance, mm"] = [spacing[0]]
    found["pixel size, mm"] = [spacing[1]]
    return found


def measure_cases(cases: Iterable[Case]) -> dict[str, np.ndarray]:
    """All patients' sizes by measure."""
    pooled: dict[str, list[float]] = defaultdict(list)
    for label, spacing in cases:
        for name, values in measure_case(label, spacing).items():
            pooled[name] += values
    return {name: np.array(values) for name, values in pooled.items()}


def format_table(phantom: dict[str, np.ndarray], real: dict[str, np.ndarray]) -> str:
    """Markdown rows: measure, phantom, real; median (10th to 90th percentile)."""
    rows = ["| measure | phantom | real labels |", "|---|---|---|"]
    rows += [f"| {name} | {_spread(phantom[name])} | {_spread(real.get(name))} |" for name in phantom]
    return "\n".join(rows)


def main() -> None:
    """Read the arguments, print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--labels", type=Path, help="folder with case_*/segmentation.nii.gz to compare with")
    parser.add_argument("--patients", type=int, default=60)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--matrix", type=int, default=256, help="rows and columns of the phantom's slices")
    options = parser.parse_args()
    real = measure_cases(read_cases(options.labels)) if options.labels else {}
    phantom = measure_cases(draw_cases(options.patients, options.seed, options.matrix))
    sys.stdout.write(format_table(phantom, real) + "\n")


def _tumors(label: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    pieces, count = ndimage.label(label == 2)
    return pieces, np.arange(1, count + 1)


def _spread(values: np.ndarray | None) -> str:
    if values is None or not len(values):
        return "-"
    low, middle, high = np.percentile(values, [10, 50, 90])
    digits = 0 if middle >= 10 else 2
    return f"{middle:.{digits}f} ({low:.{digits}f} to {high:.{digits}f})"


if __name__ == "__main__":
    main()
