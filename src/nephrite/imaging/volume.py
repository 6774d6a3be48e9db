"""What every reader returns: a patient's scan, alone or with its label map, read in blocks of slices.

The axes are slice, row, column with the axis codes I, P, L: the first slice is the most superior, rows run to
posterior, columns to left (KiTS19's own order, Heller et al. 2019).
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TypeAlias

import nibabel as nib
import numpy as np
import numpy.typing as npt
from jaxtyping import Float32, Int16, Num, UInt8

from nephrite.errors import LabelValueError, VolumeError

ORIENTATION = "IPL"
ROUNDING = 1e-4  # how far a label value may lie from a whole number
COARSE = 0.5  # step of a scaled file from which neighboring whole numbers could be mistaken for each other
_TILE = 32  # rows and columns that are copied together: with a block of slices they fit the processor's cache

Image: TypeAlias = Int16[np.ndarray, "slice height width"] | Float32[np.ndarray, "slice height width"]
LabelMap: TypeAlias = UInt8[np.ndarray, "slice height width"]


@dataclass(frozen=True, kw_only=True)
class ScanVolume(ABC):
    """One patient's scan; nothing but headers is read until blocks are asked for.

    Attributes:
        spacing: mm between the centers of slices, rows, columns.
        shape: number of slices, rows, columns.
        sources: the files behind "image", and behind "label" if there is one.
        header: the scan's own voxel grid, as NIfTI describes it: order of its axes, shape, affine.
        orientation: axis codes of slice, row, column.
        unit_given: whether the file says what its lengths are measured in; mm is assumed otherwise.
    """

    spacing: tuple[float, float, float]
    shape: tuple[int, int, int]
    sources: Mapping[str, tuple[Path, ...]]
    header: nib.Nifti1Header
    orientation: str = ORIENTATION
    unit_given: bool = True

    @abstractmethod
    def image_blocks(self, size: int) -> Iterator[tuple[slice, Image]]:
        """Yield the scan as (range of slices, block): Hounsfield units for CT, raw intensity for MR.

        All blocks of a volume are int16 if that holds its intensities exactly, else all are float32. A block owns its
        memory. Blocks of 16 to 64 slices read fastest: the slice axis is the densest one in a KiTS file.

        Raises:
            VolumeError: NaN or infinite intensities, a truncated or damaged file.
        """


@dataclass(frozen=True, kw_only=True)
class Volume(ScanVolume):
    """One patient's scan and label map on one voxel grid."""

    @abstractmethod
    def label_blocks(self, size: int, classes: Mapping[int, str]) -> Iterator[tuple[slice, LabelMap]]:
        """Yield the label map as (range of slices, block); `classes` names the values allowed beside 0.

        Raises:
            LabelValueError: values that are not integers, or not among the classes.
            VolumeError: a truncated or damaged file.
        """


def slice_blocks(count: int, size: int) -> Iterator[slice]:
    """Ranges of at most `size` slices that cover `count` slices."""
    for start in range(0, count, size):
        yield slice(start, min(start + size, count))


def to_planes(
    block: Num[np.ndarray, "slice height width"], dtype: npt.DTypeLike
) -> Num[np.ndarray, "slice height width"]:
    """Copy to `dtype` so that each slice is contiguous, whichever axis was densest before.

    In a KiTS file neighbors in a row lie a hundred kilobytes apart; copied row by row, each voxel costs a cache line.
    """
    if block.flags.c_contiguous:
        return block.astype(dtype)
    planes = np.empty(block.shape, dtype)
    for row in range(0, block.shape[-2], _TILE):
        for column in range(0, block.shape[-1], _TILE):
            tile = (..., slice(row, row + _TILE), slice(column, column + _TILE))
            planes[tile] = block[tile]
    return planes


def check_finite(block: Float32[np.ndarray, "slice height width"], place: Path) -> None:
    """Refuse NaN and infinite intensities.

    Raises:
        VolumeError: names how many voxels of the block are not finite.
    """
    with np.errstate(invalid="ignore", over="ignore"):
        total = block.sum(dtype=np.float64)  # NaN and infinity survive a sum: no mask as large as the block
    if not np.isfinite(total):
        count = np.count_nonzero(~np.isfinite(block))
        raise VolumeError(place, f"{count} intensities are NaN or infinite", "fix the file or leave the case out")


def to_label_map(
    values: Num[np.ndarray, "..."], classes: Mapping[int, str], place: Path, *, step: float = 0.0
) -> UInt8[np.ndarray, "..."]:
    """Convert label values of any number type to uint8, refusing what is not 0 or a class.

    Args:
        values: whole numbers but for rounding: of floats, or to `step`.
        classes: names of the values that are allowed beside 0.
        place: for errors.
        step: between neighboring values that the file can hold, where it stores integers with a scale.

    Raises:
        LabelValueError: names the values and the classes.
    """
    # fractions show an interpolated label map
    if values.dtype.kind == "f":
        values = _rounded(values, place, step)
    with np.errstate(invalid="ignore"):  # what does not fit differs from its source and is refused
        labels = to_planes(values, np.uint8)
    allowed = np.zeros(256, dtype=bool)
    allowed[[0, *classes]] = True
    # the largest value is found quickly and mostly says enough
    known = allowed[: int(labels.max(initial=0)) + 1].all() or allowed[labels].all()
    if not known or (values.dtype != np.uint8 and not np.array_equal(labels, values)):
        found = sorted({int(value) for value in np.unique(values)} - {0, *classes})
        raise _unknown_values(found, classes, place)
    return labels


def _rounded(values: Num[np.ndarray, "..."], place: Path, step: float) -> Num[np.ndarray, "..."]:
    """The nearest whole numbers, for values that rounding explains: 0.99999994, or 1.0039 in steps of 2/255."""
    with np.errstate(invalid="ignore"):
        nearest: Num[np.ndarray, "..."] = np.rint(values)
        reach = max(ROUNDING, 0.501 * step) if step < COARSE else ROUNDING
        off = ~(np.abs(values - nearest) <= reach)  # also NaN and infinity
    if off.any():
        example = float(values[off].flat[0])
        finding = (
            f"label value {example:.8g} is not an integer ({np.count_nonzero(off)} voxels are off by over {reach:.1g})"
        )
        raise LabelValueError(place, finding, "save the label map without interpolation, as uint8")
    return nearest


def _unknown_values(found: list[int], classes: Mapping[int, str], place: Path) -> LabelValueError:
    shown = ", ".join(map(str, found[:8])) + (", ..." if len(found) > 8 else "")
    known = ", ".join(f"{value}: {name}" for value, name in classes.items())
    finding = f"values {{{shown}}} are not among the classes {{{known}}}"
    possible = all(0 < value < 256 for value in found)
    remedy = "add them to 'prepare.classes' or fix the file" if possible else "renumber them in the file, as 0 to 255"
    return LabelValueError(place, finding, remedy)
