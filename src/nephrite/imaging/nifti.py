"""The KiTS layout: a scan and its label map as two NIfTI files.

A file is read once, in its on-disk type; blocks are cut, scaled and checked when they are asked for. So what is held is
one file and one block, never a scaled copy of the whole.
"""

from __future__ import annotations

import gzip
import io
import zlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import cast

import nibabel as nib
import numpy as np
from jaxtyping import Num
from nibabel.arrayproxy import ArrayProxy
from nibabel.orientations import apply_orientation, axcodes2ornt, io_orientation, ornt_transform
from nibabel.spatialimages import HeaderDataError

from nephrite.errors import VolumeError
from nephrite.imaging.volume import (
    ORIENTATION,
    Image,
    LabelMap,
    ScanVolume,
    Volume,
    check_finite,
    slice_blocks,
    to_label_map,
    to_planes,
)

_READ_BYTES = 1 << 20
_PIECE = 1 << 18  # voxels looked at together: small enough for the processor's cache
_INT16 = np.iinfo(np.int16)


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
    header: nib.Nifti1Header

    @property
    def planes(self) -> tuple[int, int, int]:
        """Number of slices, rows, columns."""
        slices, rows, columns = self.along_target(self.shape)
        return int(slices), int(rows), int(columns)

    @property
    def spacing(self) -> tuple[float, float, float]:
        """Millimeters between the centers of slices, rows, columns."""
        slices, rows, columns = self.along_target(tuple(nib.affines.voxel_sizes(self.affine)))
        return slices, rows, columns

    @property
    def transform(self) -> np.ndarray:
        """Nibabel's orientation transform that brings the stored axes to I, P, L."""
        return np.asarray(ornt_transform(io_orientation(self.affine), axcodes2ornt(tuple(ORIENTATION))))

    @property
    def is_scaled(self) -> bool:
        """Whether stored values differ from intensities."""
        return (self.slope, self.intercept) != (1.0, 0.0)

    def along_target(self, values: Sequence[float] | Sequence[int]) -> tuple[float, ...]:
        """Reorder one value per stored axis to one per target axis, without the noise of float32 headers."""
        return tuple(round(float(values[axis]), 6) for axis in np.argsort(self.transform[:, 0]))

    def read(self) -> Num[np.ndarray, "first second third"]:
        """Read all voxels once, as stored: in the on-disk type, unscaled, first axis densest.

        Raises:
            VolumeError: the file ends early or its checksum is wrong.
        """
        # read into the final array
        voxels = np.empty(int(np.prod(self.shape)) * self.dtype.itemsize, np.uint8)
        try:
            with _open_bytes(self.path) as file:
                file.seek(self.offset)
                held = _fill(file, voxels.data)
                file.read(1)  # reaching the end makes gzip compare its checksum
        except (EOFError, OSError, zlib.error) as error:
            raise VolumeError(self.path, f"is truncated or damaged ({error})", "fetch the file again") from error
        # gzip can end early without an error
        if held < voxels.nbytes:
            finding = f"is truncated: {held} of {voxels.nbytes} bytes of voxels"
            raise VolumeError(self.path, finding, "fetch the file again")
        return voxels.view(self.dtype).reshape(self.shape, order="F")

    def oriented(self, stored: Num[np.ndarray, "first second third"]) -> Num[np.ndarray, "slice height width"]:
        """A view with axes I, P, L."""
        return np.asarray(apply_orientation(stored, self.transform))

    def holds_int16(self, stored: Num[np.ndarray, "first second third"]) -> bool:
        """Whether every intensity is a whole number that fits int16 (KiTS19 stores Hounsfield units as float64)."""
        if not (self.slope.is_integer() and self.intercept.is_integer()):
            return False
        if not self.is_scaled and np.can_cast(self.dtype, np.int16):
            return True
        values = stored.reshape(-1, order="F")  # a view
        pieces = (values[start : start + _PIECE] for start in range(0, len(values), _PIECE))
        return all(self._piece_holds_int16(piece) for piece in pieces)

    def _piece_holds_int16(self, piece: Num[np.ndarray, " voxel"]) -> bool:
        if piece.dtype.kind == "f" and not np.array_equal(piece, np.rint(piece)):
            return False
        ends = (float(end) * self.slope + self.intercept for end in (piece.min(), piece.max()))
        return all(_INT16.min <= end <= _INT16.max for end in ends)

    def scaled(self, stored: Num[np.ndarray, "slice height width"], dtype: type[np.int16] | type[np.float32]) -> Image:
        """Copy stored voxels as intensities of `dtype`.

        Raises:
            VolumeError: an intensity is NaN or infinite.
        """
        if dtype is np.int16 and not self.is_scaled:
            return to_planes(stored, np.int16)
        with np.errstate(over="ignore", invalid="ignore"):  # what overflows becomes infinite and is refused
            block = to_planes(stored, np.float32)
            block *= np.float32(self.slope)
            block += np.float32(self.intercept)
        check_finite(block, self.path)
        return block.astype(dtype, copy=False)


@dataclass(frozen=True, kw_only=True)
class NiftiScan(ScanVolume):
    """A scan that is one NIfTI file."""

    image: NiftiFile

    def image_blocks(self, size: int) -> Iterator[tuple[slice, Image]]:
        """See `Volume`; the file is read as a whole first and released after the last block."""
        stored = self.image.read()
        dtype = np.int16 if self.image.holds_int16(stored) else np.float32
        voxels = self.image.oriented(stored)
        for part in slice_blocks(len(voxels), size):
            yield part, self.image.scaled(voxels[part], dtype)


@dataclass(frozen=True, kw_only=True)
class NiftiVolume(NiftiScan, Volume):
    """A volume of the KiTS layout; scan and label map are never in memory together if one is read after the other."""

    label: NiftiFile

    def label_blocks(self, size: int, classes: Mapping[int, str]) -> Iterator[tuple[slice, LabelMap]]:
        """See `Volume`; the file is read as a whole first and released after the last block."""
        file = self.label
        voxels = file.oriented(file.read())
        for part in slice_blocks(len(voxels), size):
            block = voxels[part]
            if file.is_scaled:
                block = np.round(block * file.slope + file.intercept, 4)  # the header's float32 0.1 is 0.100000001
            yield part, to_label_map(block, classes, file.path)


def open_nifti_scan(image: Path) -> NiftiScan:
    """Open a scan without a label map: one NIfTI file.

    Raises:
        VolumeError: the file is empty, not a NIfTI, without slices, or not 3-D.
    """
    scan = open_nifti(image)
    return NiftiScan(
        spacing=scan.spacing, shape=scan.planes, sources={"image": (image,)}, header=scan.header, image=scan
    )


def open_kits(image: Path, label: Path) -> NiftiVolume:
    """Open a KiTS case: two NIfTI files on one voxel grid.

    Raises:
        VolumeError: a file is empty, not a NIfTI, without slices, or not 3-D; shapes or affines differ.
    """
    # both lie on one voxel grid
    scan, mask = open_nifti(image), open_nifti(label)
    if scan.planes != mask.planes:
        finding = f"shape {mask.planes} differs from the image's {scan.planes}"
        raise VolumeError(label, finding, "give the label map of this very scan")
    _check_grids(scan, mask)
    return NiftiVolume(
        spacing=scan.spacing,
        shape=scan.planes,
        sources={"image": (image,), "label": (label,)},
        header=scan.header,
        image=scan,
        label=mask,
    )


def open_nifti(path: Path) -> NiftiFile:
    """Read and check a NIfTI header.

    Raises:
        VolumeError: the file is empty, not a NIfTI, without slices, not 3-D, not real numbers, or has no orientation.
    """
    # header only: voxels are read block by block
    image = _load_header(path)
    proxy = cast(ArrayProxy, image.dataobj)
    affine = np.asarray(image.affine, dtype=np.float64)
    # one number per voxel, and known axes
    if proxy.dtype.kind not in "iuf":
        raise VolumeError(path, f"holds {proxy.dtype} and not one number per voxel", "save it as integers or floats")
    if not np.isfinite(affine).all() or np.isnan(io_orientation(affine)).any():
        raise VolumeError(path, "the affine does not say how the axes lie", "save it with a valid sform or qform")
    return NiftiFile(
        path,
        _shape_3d(path, proxy.shape),
        proxy.dtype,
        proxy.offset,
        float(proxy.slope),
        float(proxy.inter),
        affine,
        image.header,
    )


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
