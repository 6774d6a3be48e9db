"""A patient's scan and label map, read in blocks of slices; this file reads the KiTS layout (NIfTI).

Every reader returns a `Volume`. Its axes are slice, row, column with the axis codes I, P, L: the first slice is the
most superior, rows run to posterior, columns to left (KiTS19's own order, Heller et al. 2019). A block is cut, scaled
and checked when it is asked for, so what is held is one file in its on-disk type plus one block.
"""

from __future__ import annotations

import gzip
import io
import zlib
from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TypeAlias, cast

import nibabel as nib
import numpy as np
from jaxtyping import Float32, Int16, Num, UInt8
from nibabel.arrayproxy import ArrayProxy
from nibabel.orientations import apply_orientation, axcodes2ornt, io_orientation, ornt_transform
from nibabel.spatialimages import HeaderDataError

from nephrite.errors import LabelValueError, VolumeError

ORIENTATION = "IPL"
_READ_BYTES = 1 << 20

Image: TypeAlias = Int16[np.ndarray, "slice height width"] | Float32[np.ndarray, "slice height width"]
LabelMap: TypeAlias = UInt8[np.ndarray, "slice height width"]


@dataclass(frozen=True, kw_only=True)
class Volume(ABC):
    """One patient's scan and label map on one voxel grid; nothing but headers is read until blocks are asked for.

    Attributes:
        spacing: mm between the centers of slices, rows, columns.
        shape: number of slices, rows, columns.
        sources: the files behind "image" and "label".
        orientation: axis codes of slice, row, column.
    """

    spacing: tuple[float, float, float]
    shape: tuple[int, int, int]
    sources: Mapping[str, tuple[Path, ...]]
    orientation: str = ORIENTATION

    @abstractmethod
    def image_blocks(self, size: int) -> Iterator[tuple[slice, Image]]:
        """Yield the scan as (range of slices, block): Hounsfield units for CT, raw intensity for MR.

        A block is int16 where the file is small integers without scaling, else float32, and owns its memory.
        Blocks of 16 to 64 slices read fastest: the slice axis is the densest one in a KiTS file.

        Raises:
            VolumeError: NaN or infinite intensities, a truncated or damaged file.
        """

    @abstractmethod
    def label_blocks(self, size: int, classes: Mapping[int, str]) -> Iterator[tuple[slice, LabelMap]]:
        """Yield the label map as (range of slices, block); `classes` names the values allowed beside 0.

        Raises:
            LabelValueError: values that are not integers, or not among the classes.
            VolumeError: a truncated or damaged file.
        """


@dataclass(frozen=True)
class NiftiFile:
    """One NIfTI file, described by its header: where its voxels lie and what they mean."""

    path: Path
    shape: tuple[int, int, int]  # as stored
    dtype: np.dtype[np.generic]
    offset: int  # bytes before the first voxel, after decompression
    slope: float
    intercept: float
    affine: np.ndarray  # voxel index to mm, RAS+

    @property
    def transform(self) -> np.ndarray:
        """Nibabel's orientation transform that brings the stored axes to I, P, L."""
        return np.asarray(ornt_transform(io_orientation(self.affine), axcodes2ornt(tuple(ORIENTATION))))

    @property
    def is_scaled(self) -> bool:
        """Whether stored values differ from intensities."""
        return (self.slope, self.intercept) != (1.0, 0.0)

    def along_target(self, values: tuple[float, ...]) -> tuple[float, ...]:
        """Reorder one value per stored axis to one per target axis."""
        return tuple(float(values[axis]) for axis in np.argsort(self.transform[:, 0]))

    def read(self) -> Num[np.ndarray, "slice height width"]:
        """Read all voxels once, unscaled, as a view with axes I, P, L on memory of the on-disk size.

        Raises:
            VolumeError: the file ends early or its checksum is wrong.
        """
        voxels = np.empty(int(np.prod(self.shape)) * self.dtype.itemsize, np.uint8)
        try:
            with _open_bytes(self.path) as file:
                file.seek(self.offset)
                held = _fill(file, voxels.data)
                file.read(1)  # reaching the end makes gzip compare its checksum
        except (EOFError, OSError, zlib.error) as error:
            raise VolumeError(self.path, f"is truncated or damaged ({error})", "fetch the file again") from error
        if held < voxels.nbytes:
            finding = f"is truncated: {held} of {voxels.nbytes} bytes of voxels"
            raise VolumeError(self.path, finding, "fetch the file again")
        stored = voxels.view(self.dtype).reshape(self.shape, order="F")
        return np.asarray(apply_orientation(stored, self.transform))

    def scaled(self, stored: Num[np.ndarray, "slice height width"]) -> Image:
        """Copy stored voxels as intensities: int16 if that holds every value exactly, else float32.

        Raises:
            VolumeError: an intensity is NaN or infinite.
        """
        if not self.is_scaled and np.can_cast(self.dtype, np.int16):
            return stored.astype(np.int16, order="C")
        with np.errstate(over="ignore", invalid="ignore"):  # what overflows becomes infinite and is refused
            block = stored.astype(np.float32, order="C")
            block *= np.float32(self.slope)
            block += np.float32(self.intercept)
        check_finite(block, self.path)
        return block


@dataclass(frozen=True, kw_only=True)
class NiftiVolume(Volume):
    """A volume of the KiTS layout; scan and label map are never in memory together if one is read after the other."""

    image: NiftiFile
    label: NiftiFile

    def image_blocks(self, size: int) -> Iterator[tuple[slice, Image]]:
        """See `Volume`; the file is read as a whole first and released after the last block."""
        voxels = self.image.read()
        for part in slice_blocks(len(voxels), size):
            yield part, self.image.scaled(voxels[part])

    def label_blocks(self, size: int, classes: Mapping[int, str]) -> Iterator[tuple[slice, LabelMap]]:
        """See `Volume`; the file is read as a whole first and released after the last block."""
        file, voxels = self.label, self.label.read()
        for part in slice_blocks(len(voxels), size):
            block = voxels[part]
            if file.is_scaled:
                block = block * file.slope + file.intercept
            yield part, to_label_map(block, classes, file.path)


def open_kits(image: Path, label: Path) -> NiftiVolume:
    """Open a KiTS case: two NIfTI files on one voxel grid.

    Raises:
        VolumeError: a file is empty, not a NIfTI, without slices, or not 3-D; shapes or affines differ.
    """
    scan, mask = open_nifti(image), open_nifti(label)
    shape, mask_shape = (tuple(int(size) for size in file.along_target(file.shape)) for file in (scan, mask))
    if shape != mask_shape:
        finding = f"shape {mask_shape} differs from the image's {shape}"
        raise VolumeError(label, finding, "give the label map of this very scan")
    _check_grids(scan, mask)
    spacing = scan.along_target(tuple(nib.affines.voxel_sizes(scan.affine)))
    return NiftiVolume(
        spacing=(spacing[0], spacing[1], spacing[2]),
        shape=(shape[0], shape[1], shape[2]),
        sources={"image": (image,), "label": (label,)},
        image=scan,
        label=mask,
    )


def open_nifti(path: Path) -> NiftiFile:
    """Read and check a NIfTI header.

    Raises:
        VolumeError: the file is empty, not a NIfTI, without slices, not 3-D, not real numbers, or has no orientation.
    """
    image = _load_header(path)
    proxy = cast(ArrayProxy, image.dataobj)
    affine = np.asarray(image.affine, dtype=np.float64)
    if proxy.dtype.kind not in "iuf":
        raise VolumeError(path, f"holds {proxy.dtype} and not one number per voxel", "save it as integers or floats")
    if not np.isfinite(affine).all() or np.isnan(io_orientation(affine)).any():
        raise VolumeError(path, "the affine does not say how the axes lie", "save it with a valid sform or qform")
    return NiftiFile(
        path, _shape_3d(path, proxy.shape), proxy.dtype, proxy.offset, float(proxy.slope), float(proxy.inter), affine
    )


def slice_blocks(count: int, size: int) -> Iterator[slice]:
    """Ranges of at most `size` slices that cover `count` slices."""
    for start in range(0, count, size):
        yield slice(start, min(start + size, count))


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


def to_label_map(values: Num[np.ndarray, "..."], classes: Mapping[int, str], place: Path) -> UInt8[np.ndarray, "..."]:
    """Convert label values of any number type to uint8, refusing what is not 0 or a class.

    Raises:
        LabelValueError: names the values and the classes.
    """
    if values.dtype.kind == "f":
        whole = np.isfinite(values) & (values == np.rint(values))
        if not whole.all():
            example = values[~whole].flat[0]
            finding = f"label value {example:g} is not an integer"
            raise LabelValueError(place, finding, "save the label map without interpolation, as uint8")
    with np.errstate(invalid="ignore"):  # what does not fit differs from its source and is refused
        labels = values.astype(np.uint8, order="C")
    allowed = np.zeros(256, dtype=bool)
    allowed[[0, *classes]] = True
    if not allowed[labels].all() or (values.dtype != np.uint8 and not np.array_equal(labels, values)):
        found = sorted({int(value) for value in np.unique(values)} - {0, *classes})
        raise _unknown_values(found, classes, place)
    return labels


def _unknown_values(found: list[int], classes: Mapping[int, str], place: Path) -> LabelValueError:
    shown = ", ".join(map(str, found[:8])) + (", ..." if len(found) > 8 else "")
    known = ", ".join(f"{value}: {name}" for value, name in classes.items())
    finding = f"values {{{shown}}} are not among the classes {{{known}}}"
    return LabelValueError(place, finding, "add them to 'prepare.classes' or fix the file")


def _load_header(path: Path) -> nib.Nifti1Image:
    if path.stat().st_size == 0:
        raise VolumeError(path, "is empty", "fetch the file again")
    try:
        image = nib.load(path)
    except (nib.filebasedimages.ImageFileError, HeaderDataError, EOFError, OSError, zlib.error, ValueError) as error:
        finding = f"is not a readable NIfTI file ({type(error).__name__})"
        raise VolumeError(path, finding, "fetch the file again, or convert it to NIfTI") from error
    if not isinstance(image, nib.Nifti1Image):  # NIfTI-2 is a subclass
        raise VolumeError(path, f"is {type(image).__name__} and not NIfTI", "convert it to NIfTI")
    return image


def _shape_3d(path: Path, shape: tuple[int, ...]) -> tuple[int, int, int]:
    """Drop trailing axes of length one and give a plain 2-D image its slice axis."""
    sizes = list(shape) + [1] * (3 - len(shape))
    if 0 in sizes:
        raise VolumeError(path, f"holds zero slices (shape {tuple(shape)})", "export the series again")
    if any(size != 1 for size in sizes[3:]):
        raise VolumeError(path, f"has {len(sizes)} axes (shape {tuple(shape)})", "save one 3-D volume per case")
    return sizes[0], sizes[1], sizes[2]


def _check_grids(scan: NiftiFile, mask: NiftiFile) -> None:
    """Refuse a label map whose corners lie more than one voxel away from the scan's corners."""
    ends = np.array(scan.along_target(scan.shape)) - 1
    corners = np.stack(np.meshgrid(*[(0.0, end) for end in ends], indexing="ij"), axis=-1).reshape(-1, 3)
    drift = nib.affines.apply_affine(np.linalg.inv(_target_affine(scan)) @ _target_affine(mask), corners) - corners
    if np.abs(drift).max() > 1:
        spacings = ["x".join(f"{mm:.4g}" for mm in nib.affines.voxel_sizes(file.affine)) for file in (mask, scan)]
        finding = (
            f"lies up to {np.abs(drift).max():.3g} voxels away from the image"
            f" (spacing {spacings[0]} mm against {spacings[1]} mm)"
        )
        raise VolumeError(mask.path, finding, "give the label map of this very scan, or correct its affine")


def _target_affine(file: NiftiFile) -> np.ndarray:
    inverse = nib.orientations.inv_ornt_aff(file.transform, file.shape)
    return np.asarray(file.affine @ inverse)


def _open_bytes(path: Path) -> io.BufferedIOBase:
    return gzip.open(path, "rb") if path.suffix == ".gz" else path.open("rb")


def _fill(file: io.BufferedIOBase, target: memoryview) -> int:
    """Read into `target` piece by piece: gzip's own `readinto` would first build a second copy of everything."""
    held = 0
    while held < len(target):
        count = file.readinto(target[held : held + _READ_BYTES])
        if not count:
            break
        held += count
    return held
