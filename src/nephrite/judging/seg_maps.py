"""Label maps of which one is a DICOM SEG: brought onto one grid, without the scan that they were drawn on.

A DICOM SEG holds the slices that mark something, as a rule, and a NIfTI file the whole scan. So both are placed on the
grid of the reference, as far as either reaches. Its label values are the numbers of its segments.
"""

from __future__ import annotations

import sqlite3
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from jaxtyping import Float, Int, UInt8
from nibabel.affines import voxel_sizes
from nibabel.orientations import apply_orientation

from nephrite.errors import DicomError, VolumeError
from nephrite.imaging.dicom_elements import BROKEN
from nephrite.imaging.geometry import TENTH, to_ipl

SUFFIX = ".dcm"
TO_RAS = np.diag([-1.0, -1.0, 1.0, 1.0])  # from DICOM's patient system, x to left and y to posterior
_BROKEN = (*BROKEN, AttributeError, IndexError, RuntimeError, sqlite3.Error)  # highdicom looks frames up in a table


@dataclass(frozen=True)
class PlacedLabels:
    """A label map in space.

    Attributes:
        labels: with axes I, P, L.
        affine: voxel index to mm, RAS+.
        path: its file.
    """

    labels: UInt8[np.ndarray, "slice height width"]
    affine: Float[np.ndarray, "4 4"]
    path: Path

    @property
    def spacing(self) -> tuple[float, float, float]:
        """Millimeters between slices, rows, columns."""
        slices, rows, columns = (round(float(size), 6) for size in voxel_sizes(self.affine))
        return slices, rows, columns


def read_segmentation(path: Path) -> PlacedLabels:
    """Read a DICOM SEG: segment numbers as label values; slices that it leaves out mark nothing.

    Raises:
        DicomError: it cannot be read, its segments overlap, or its slices are not evenly spaced.
    """
    from highdicom.seg import segread

    try:
        volume = segread(path).get_volume(combine_segments=True, dtype=np.uint8)
    except _BROKEN as error:
        finding = f"is no DICOM SEG that makes one label map ({type(error).__name__})"
        remedy = "export it as binary segments or a label map, of which none overlap, on even slices"
        raise DicomError(path, finding, remedy) from error
    return turned(np.asarray(volume.array), TO_RAS @ volume.affine, path)


def turned(labels: UInt8[np.ndarray, "a b c"], affine: Float[np.ndarray, "4 4"], path: Path) -> PlacedLabels:
    """A label map with its axes brought to I, P, L, whichever order they are stored in.

    Args:
        labels: as stored.
        affine: stored index to mm, RAS+.
        path: of the file.
    """
    to = to_ipl(affine)
    # where the first voxel of each new axis lies: at the end of an axis that is turned around
    back = np.zeros((4, 4))
    back[3, 3] = 1
    for axis, (new, flip) in enumerate(to):
        back[axis, int(new)] = flip
        back[axis, 3] = 0 if flip > 0 else labels.shape[axis] - 1
    return PlacedLabels(np.ascontiguousarray(apply_orientation(labels, to)), affine @ back, path)


def on_one_grid(
    reference: PlacedLabels, predicted: PlacedLabels
) -> tuple[UInt8[np.ndarray, "slice height width"], UInt8[np.ndarray, "slice height width"]]:
    """Both label maps on the reference's grid, as far as either reaches; background beyond.

    Raises:
        VolumeError: voxels of one lie more than a tenth of a voxel off those of the other.
    """
    # the first voxel of the prediction, and a step along each of its axes, in voxels of the reference
    between = np.linalg.inv(reference.affine) @ predicted.affine
    start = np.rint(between[:3, 3]).astype(int)
    reach = np.abs(between[:3, :3] - np.eye(3)) @ (np.array(predicted.labels.shape) - 1)
    drift = float((np.abs(between[:3, 3] - start) + reach).max())
    if drift > TENTH:
        finding = f"lies up to {drift:.3g} voxels off the grid of {reference.path.name}"
        raise VolumeError(predicted.path, finding, "give the label map of this very scan")
    # the box that holds both
    low = np.minimum(0, start)
    high = np.maximum(reference.labels.shape, start + predicted.labels.shape)
    return _within(reference.labels, -low, high - low), _within(predicted.labels, start - low, high - low)


def _within(
    labels: UInt8[np.ndarray, "slice height width"], start: Int[np.ndarray, "3"], shape: Int[np.ndarray, "3"]
) -> UInt8[np.ndarray, "slice height width"]:
    box = np.zeros(shape, np.uint8)
    place = tuple(slice(first, first + size) for first, size in zip(start, labels.shape, strict=True))
    box[place] = labels
    return box
