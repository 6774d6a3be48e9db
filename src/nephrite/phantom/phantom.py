"""An abdomen phantom in the layout of KiTS19: what Nephrite can run on without any download.

It follows KiTS19 (Heller et al. 2019) in file names, axis order, voxel sizes, classes and, roughly, in the sizes of
kidneys and tumors. It is a drawing. Scores on it say that the software works; they say nothing about patients.
"""

from __future__ import annotations

import gzip
from dataclasses import dataclass
from pathlib import Path

import nibabel as nib
import numpy as np
from jaxtyping import Float32, Int16, UInt8

from nephrite.files import whole_folder
from nephrite.phantom.anatomy import Habitus, body_reach, draw_habitus, paint_organs, paint_trunk
from nephrite.phantom.canvas import Canvas, smooth_field
from nephrite.phantom.kidneys import (
    Kidney,
    Lesion,
    draw_kidneys,
    draw_lesions,
    paint_kidney,
    paint_lesion,
    paint_surrounding_fat,
)
from nephrite.phantom.skeleton import paint_bones

AIR = -1000.0
THICKNESSES = (3.5, 4.0, 5.0)  # mm
MATRIX = 512
SLICES = (25, 70)
LOWEST = -1024.0


@dataclass(frozen=True)
class Scan:
    """How a patient was scanned.

    Attributes:
        thickness: distance in mm from slice to slice.
        field: width and height in mm of the square image.
        top: position of the first slice, and `slices` their number.
        softness: width in mm of an edge, from the kernel's blur.
        noise: deviation in Hounsfield units inside the body.
        grain: weight of a pixel's neighbors in the noise, 0 for white noise.
        table: depth in mm of the table's surface under the patient's back.
    """

    thickness: float
    field: float
    top: float
    slices: int
    softness: float
    noise: float
    grain: float
    table: float


def draw_patient(
    seed: int, number: int, *, matrix: int = MATRIX
) -> tuple[
    Int16[np.ndarray, "slice height width"], UInt8[np.ndarray, "slice height width"], tuple[float, float, float]
]:
    """Draw patient `number` of `seed`; the others need not be drawn.

    Args:
        seed: chooses the population.
        number: chooses the patient within it.
        matrix: rows and columns of a slice; the field of view stays, so fewer pixels are larger ones.

    Returns:
        Hounsfield units; classes (0, 1 kidney, 2 tumor); voxel size in mm per axis. Slices run from head to feet,
        rows from front to back, columns from the patient's right to left.
    """
    # independent random streams: a change of one part leaves the others as they are
    parts = [np.random.default_rng(part) for part in np.random.SeedSequence([seed, number]).spawn(6)]
    # draw the patient and the scan
    habitus = draw_habitus(parts[0])
    kidneys = draw_kidneys(habitus, parts[1])
    lesions = draw_lesions(kidneys, habitus, parts[2])
    scan = _draw_scan(habitus, kidneys, lesions, parts[3])
    # paint from the outside to the inside
    canvas = _blank_canvas(scan, habitus, matrix)
    label = np.zeros(canvas.image.shape, dtype=np.uint8)
    cavity = paint_trunk(canvas, habitus)
    paint_organs(cavity, habitus, parts[4])
    paint_surrounding_fat(cavity, kidneys, lesions, parts[4])
    paint_bones(canvas, habitus, parts[4])
    for kidney in kidneys:
        paint_kidney(cavity, label, kidney, contrast=habitus.contrast, rng=parts[4])
    for lesion in lesions:
        paint_lesion(cavity, label, lesion)
    _paint_table(canvas, scan, habitus)
    return _scanned(canvas.image, scan, parts[5]), label, (scan.thickness, scan.field / matrix, scan.field / matrix)


def write_patient(folder: Path, seed: int, number: int, *, matrix: int = MATRIX) -> Path:
    """Write patient `number` of `seed` to `folder`/case_00000 as KiTS19 does; equal arguments give equal bytes.

    Returns:
        The case's folder, which is written whole or not at all.

    Raises:
        DiskFullError: no space is left on the device.
    """
    image, label, spacing = draw_patient(seed, number, matrix=matrix)
    target = folder / f"case_{number:05d}"
    with whole_folder(target, None) as partial:
        write_volume(partial / "imaging.nii.gz", image, spacing)
        write_volume(partial / "segmentation.nii.gz", label, spacing)
    return target


def _draw_scan(habitus: Habitus, kidneys: list[Kidney], lesions: list[Lesion], rng: np.random.Generator) -> Scan:
    thickness = float(rng.choice(THICKNESSES, p=[0.3, 0.2, 0.5]))
    # the scan covers kidneys and lesions, and the body across
    shapes = [kidney.hull for kidney in kidneys] + [lesion.body for lesion in lesions]
    top = min(shape.center[2] - shape.reach[2] for shape in shapes) - rng.uniform(5.0, 30.0)
    bottom = max(shape.center[2] + shape.reach[2] for shape in shapes) + rng.uniform(5.0, 30.0)
    width, front, back = body_reach(habitus)
    field = np.clip(max(2 * width, back - front) * rng.uniform(1.04, 1.3), 0.6 * MATRIX, 0.977 * MATRIX)
    return Scan(
        thickness=thickness,
        field=float(field),
        top=float(top),
        slices=int(np.clip(np.ceil((bottom - top) / thickness), *SLICES)),
        softness=float(rng.uniform(0.8, 1.8)),
        noise=float(np.exp(rng.uniform(np.log(8.0), np.log(20.0)))),
        grain=float(rng.uniform(0.2, 0.8)),
        table=float(rng.uniform(2.0, 12.0)),
    )


def _blank_canvas(scan: Scan, habitus: Habitus, matrix: int) -> Canvas:
    """Air, with the body's middle in the middle of the image, turned by the patient's roll."""
    _, front, back = body_reach(habitus)
    pixel = scan.field / matrix
    across = (np.arange(matrix) - (matrix - 1) / 2) * pixel
    down, turn = across + (front + back) / 2, np.radians(habitus.roll)
    x = np.cos(turn) * across[None, :] + np.sin(turn) * down[:, None]
    y = np.cos(turn) * down[:, None] - np.sin(turn) * across[None, :]
    z = (scan.top + scan.thickness * np.arange(scan.slices)).astype(np.float32)
    image = np.full((scan.slices, matrix, matrix), AIR, dtype=np.float32)
    return Canvas(image, z, y.astype(np.float32), x.astype(np.float32), float(np.hypot(scan.softness, pixel)))


def _paint_table(canvas: Canvas, scan: Scan, habitus: Habitus) -> None:
    """Paint the thin shell of a hollow, curved table where there is air; it does not turn with the patient."""
    rows = np.arange(canvas.y.shape[0])
    pixel = np.float32(scan.field / len(rows))
    _, front, back = body_reach(habitus)
    across = (rows - (len(rows) - 1) / 2) * pixel
    down = across[:, None] - (back - front) / 2 - scan.table + across[None, :] ** 2 / np.float32(900.0)
    shells = np.clip(1.5 - np.minimum(np.abs(down), np.abs(down - 32.0)) / pixel, 0.0, 1.0)
    shells = np.where(np.abs(across)[None, :] < 210.0, shells, 0.0).astype(np.float32)
    canvas.image[...] += np.where(canvas.image < -700.0, shells * np.float32(1050.0), np.float32(0.0))


def _scanned(
    image: Float32[np.ndarray, "slice height width"], scan: Scan, rng: np.random.Generator
) -> Int16[np.ndarray, "slice height width"]:
    """Add texture, faint streaks and grainy noise (less in air), and round to whole Hounsfield units."""
    result = np.empty(image.shape, dtype=np.int16)
    knots = rng.standard_normal((12, 48, 48), dtype=np.float32)
    side = np.linspace(-1, 1, image.shape[1], dtype=np.float32)
    place = np.linspace(-1, 1, len(image), dtype=np.float32)
    center, weight = np.float32(1.0), np.float32(scan.grain)
    # scaled so that smoothing keeps the noise's deviation
    gain = np.float32(scan.noise) / (center + 2 * weight**2)
    ring = np.hypot(side[:, None], side[None, :]) > 1.0  # corners that the scanner does not reconstruct
    for index in range(len(image)):
        # noise of this slice: grain, streaks, drift
        grain = rng.standard_normal(image.shape[1:], dtype=np.float32)
        grain = _spread(_spread(grain, weight).T, weight).T * gain
        grain += np.float32(0.25 * scan.noise) * rng.standard_normal((len(side), 1), dtype=np.float32)
        grain += np.float32(5.0) * smooth_field(knots, place[index : index + 1], side, side)[0]
        # less noise in air; then the range of the scanner
        plane = image[index] + grain * np.clip((image[index] + 1000.0) / 700.0, 0.05, 1.0)
        plane[ring] = LOWEST
        result[index] = np.clip(np.rint(plane), LOWEST, 3071)
    return result


def _spread(noise: Float32[np.ndarray, "row column"], weight: np.float32) -> Float32[np.ndarray, "row column"]:
    result = noise.copy()
    result[1:] += weight * noise[:-1]
    result[:-1] += weight * noise[1:]
    return result


def write_volume(path: Path, volume: np.ndarray, spacing: tuple[float, float, float]) -> None:
    """Write a gzipped NIfTI-1 file with KiTS19's affine and without a time stamp."""
    affine = np.zeros((4, 4))
    affine[0, 2], affine[1, 1], affine[2, 0], affine[3, 3] = -spacing[2], -spacing[1], -spacing[0], 1.0
    scan = nib.Nifti1Image(volume, affine)
    scan.header.set_xyzt_units("mm")
    path.write_bytes(gzip.compress(scan.to_bytes(), compresslevel=1, mtime=0))
