"""`prepare` against the script that one writes with nibabel in an afternoon; and how much memory it takes."""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from statistics import median

import nibabel as nib
import numpy as np
from interleaved import Row, interleave, median_ratio, spread
from phantom_data import run_prepare, write_tall_case
from PIL import Image

SIZE, TALL = 96, 240  # pixels per side in the store; slices of the largest volume
SPEED_TARGET, MEMORY_TARGET = 1.5, 1.5


def plain_script(raw: Path, target: Path) -> None:
    """Read with get_fdata, resize slice by slice, save as npy: int16 and uint8, as the store has them."""
    for case in sorted(raw.iterdir()):
        image = nib.nifti1.load(case / "imaging.nii.gz").get_fdata()
        label = nib.nifti1.load(case / "segmentation.nii.gz").get_fdata()
        images = [resized(plane.astype(np.float32), Image.Resampling.BILINEAR) for plane in image]
        labels = [resized(plane.astype(np.uint8), Image.Resampling.NEAREST) for plane in label]
        folder = target / case.name
        folder.mkdir(parents=True, exist_ok=True)
        np.save(folder / "image.npy", np.stack(images).astype(np.int16))
        np.save(folder / "label.npy", np.stack(labels))


def resized(plane: np.ndarray, resampling: Image.Resampling) -> np.ndarray:
    """One slice (row, column) at the store's size."""
    return np.array(Image.fromarray(plane).resize((SIZE, SIZE), resampling))


def speed_rows(raw: Path, repeats: int = 5) -> Iterator[Row]:
    """Slices per second with one process, which is what the script has, and with two."""
    slices = sum(nib.nifti1.load(path).shape[0] for path in raw.glob("*/imaging.nii.gz"))
    with tempfile.TemporaryDirectory() as scratch:

        def fresh() -> Path:
            return Path(tempfile.mkdtemp(dir=scratch)) / "store"

        seconds = interleave(
            {
                "one": lambda: run_prepare(raw, fresh(), size=SIZE),
                "script": lambda: plain_script(raw, fresh()),
                "two": lambda: run_prepare(raw, fresh(), size=SIZE, workers=2),
            },
            repeats,
        )
    script = slices / median(seconds["script"])
    for workers in ("one", "two"):
        ratios = [plain / own for plain, own in zip(seconds["script"], seconds[workers], strict=True)]
        ratio, rate = median_ratio(seconds["script"], seconds[workers]), slices / median(seconds[workers])
        name = f"prepare ({workers} process{'es' if workers == 'two' else ''}) against a nibabel script (one)"
        target = f"at least {SPEED_TARGET} times the slices/s" if workers == "one" else "-"
        details = (
            f"{spread(ratios)} times; {rate:.0f} against {script:.0f} slices/s ({slices} slices, 512 to {SIZE} px)"
        )
        yield Row(name, target, f"{ratio:.2f} times", ratio >= SPEED_TARGET if workers == "one" else None, details)


def memory_row(raw: Path) -> Row:
    """Peak of the resident set of a process of its own, beyond what its imports take."""
    what = f"peak memory of prepare against a volume of {TALL} slices, uncompressed, in its on-disk type"
    target = f"at most {MEMORY_TARGET} times, beyond the interpreter with its imports"
    if not Path("/proc/self/status").exists():
        return Row(what, target, "-", None, "read from /proc, which this system lacks")
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        volume = write_tall_case(next(iter(sorted(raw.iterdir()))), folder / "raw" / "case_00000", TALL)
        probe = Path(__file__).with_name("memory_probe.py")
        command = [sys.executable, str(probe), str(folder / "raw"), str(folder / "store"), str(SIZE)]
        found = json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout)
    beyond = found["peak"] - found["imports"]
    details = (
        f"{beyond / 2**20:.0f} of {volume / 2**20:.0f} MiB, and {found['imports'] / 2**20:.0f} MiB before it starts"
    )
    return Row(what, target, f"{beyond / volume:.2f} times", beyond <= MEMORY_TARGET * volume, details)
