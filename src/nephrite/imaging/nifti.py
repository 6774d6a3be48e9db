"""The KiTS layout: a scan and its label map as two NIfTI files.

A file is read once, in its on-disk type; blocks are cut, scaled and checked when they are asked for. So what is held is
one file and one block, never a scaled copy of the whole.
"""

from __future__ import annotations

import io
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

import nibabel as nib
import numpy as np
from jaxtyping import Num
from nibabel.orientations import apply_orientation
from nibabel.spatialimages import HeaderDataError
from nibabel.wrapstruct import WrapStructError

from nephrite.errors import VolumeError
from nephrite.imaging.geometry import Geometry, declared_geometry, match_grids, nifti_geometry
from nephrite.imaging.intensity import AIR
from nephrite.imaging.packed import DAMAGED, open_bytes
from nephrite.imaging.volume import (
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
_LAST_BYTE = 1 << 40  # a terabyte: nothing that is a scan begins there
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
    geometry: Geometry
    header: nib.Nifti1Header

    @property
    def is_scaled(self) -> bool:
        """Whether stored values differ from intensities."""
        return (self.slope, self.intercept) != (1.0, 0.0)

    @property
    def step(self) -> float:
        """Between neighboring values that the file can hold; 0 for floats."""
        return abs(self.slope) if self.is_scaled and self.dtype.kind in "iu" else 0.0

    def read(self) -> Num[np.ndarray, "first second third"]:
        """Read all voxels once, as stored: in the on-disk type, unscaled, first axis densest.

        Raises:
            VolumeError: the file ends early or its checksum is wrong.
        """
        # read into the final array
        voxels = np.empty(int(np.prod(self.shape)) * self.dtype.itemsize, np.uint8)
        try:
            with open_bytes(self.path) as file:
                file.seek(self.offset)
                held = _fill(file, voxels.data)
                file.read(1)  # reaching the end makes gzip compare its checksum
        except DAMAGED as error:
            raise VolumeError(self.path, f"is truncated or damaged ({error})", "fetch the file again") from error
        # gzip can end early without an error
        if held < voxels.nbytes:
            finding = f"is truncated: {held} of {voxels.nbytes} bytes of voxels"
            raise VolumeError(self.path, finding, "fetch the file again")
        return voxels.view(self.dtype).reshape(self.shape, order="F")

    def oriented(self, stored: Num[np.ndarray, "first second third"]) -> Num[np.ndarray, "slice height width"]:
        """A view with axes I, P, L."""
        return np.asarray(apply_orientation(stored, self.geometry.transform))

    def holds_int16(self, stored: Num[np.ndarray, "first second third"]) -> bool:
        """Whether every intensity is a whole number that fits int16 (KiTS19 stores Hounsfield units as float64)."""
        if not (self.slope.is_integer() and self.intercept.is_integer()):
            return False
        if not self.is_scaled and np.can_cast(self.dtype, np.int16):
            return True
        return all(self._piece_holds_int16(piece) for piece in _pieces(stored))

    def padding(self, stored: Num[np.ndarray, "first second third"]) -> float | None:
        """What a padding value is read as; None where nothing pads the scan.

        NIfTI does not name a padding value, as DICOM does. It is taken to be the lowest one where that lies below air
        with nothing between (-2000, -3024), which is what a converter leaves. It is read as the DICOM reader does.
        """
        # the lowest intensity, as stored
        extreme = np.min if self.slope > 0 else np.max
        fill = extreme([extreme(piece) for piece in _pieces(stored)])
        if not self._intensity(fill) < AIR:
            return None
        # all others lie at air or above
        others = [extreme(rest) for piece in _pieces(stored) if (rest := piece[piece != fill]).size]
        next_lowest = self._intensity(extreme(others)) if others else AIR
        if next_lowest < AIR:
            return None
        return AIR if next_lowest < 0 else 0.0

    def _intensity(self, stored: np.generic) -> float:
        return float(stored) * self.slope + self.intercept

    def _piece_holds_int16(self, piece: Num[np.ndarray, " voxel"]) -> bool:
        if piece.dtype.kind == "f" and not np.array_equal(piece, np.rint(piece)):
            return False
        return all(_INT16.min <= self._intensity(end) <= _INT16.max for end in (piece.min(), piece.max()))

    def scaled(self, stored: Num[np.ndarray, "slice height width"], dtype: type[np.int16] | type[np.float32]) -> Image:
        """Copy stored voxels as intensities of `dtype`.

        Raises:
            VolumeError: an intensity is NaN or infinite.
        """
        if dtype is np.int16 and not self.is_scaled:
            return to_planes(stored, np.int16)
        with np.errstate(over="ignore", invalid="ignore"):  # what overflows becomes infinite and is refused
            if self.is_scaled:  # in float64 as DICOM's rescale, or the same scan in both formats is not the same
                block = (to_planes(stored, np.float64) * self.slope + self.intercept).astype(np.float32)
            else:
                block = to_planes(stored, np.float32)
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
        voxels, padding = self.image.oriented(stored), self.image.padding(stored)
        for part in slice_blocks(len(voxels), size):
            block = self.image.scaled(voxels[part], dtype)
            if padding is not None:
                block[block < AIR] = padding
            yield part, block


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
                block = block * file.slope + file.intercept
            yield part, to_label_map(block, classes, file.path, step=file.step)


def open_nifti_scan(image: Path) -> NiftiScan:
    """Open a scan without a label map: one NIfTI file.

    Raises:
        VolumeError: the file is empty, not a NIfTI, without slices, not 3-D, or its grid is not usable.
    """
    scan = open_nifti(image)
    return NiftiScan(
        spacing=scan.geometry.spacing,
        shape=scan.geometry.planes,
        sources={"image": (image,)},
        header=scan.header,
        unit_given=scan.geometry.unit_given,
        image=scan,
    )


def open_kits(image: Path, label: Path) -> NiftiVolume:
    """Open a KiTS case: two NIfTI files on one voxel grid.

    Raises:
        VolumeError: a file is empty, not a NIfTI, without slices, not 3-D, or its grid is not usable; grids differ.
    """
    # both lie on one voxel grid
    scan, mask = open_nifti(image), open_nifti(label, remedy="save the label map with the image's affine")
    grid = match_grids(scan.geometry, mask.geometry, label)
    return NiftiVolume(
        spacing=scan.geometry.spacing,
        shape=scan.geometry.planes,
        sources={"image": (image,), "label": (label,)},
        header=scan.header,
        unit_given=scan.geometry.unit_given,
        image=scan,
        label=replace(mask, geometry=grid),
    )


def open_nifti(
    path: Path, *, remedy: str = "save it with a valid sform or qform", codes: str | None = None
) -> NiftiFile:
    """Read and check a NIfTI header.

    Args:
        path: of the file.
        remedy: what helps where the file has no orientation.
        codes: where its axes lead, where that is told and not read.

    Raises:
        VolumeError: the file is empty, not a NIfTI, without slices, not 3-D, not real numbers, has no orientation, or
            is sheared.
    """
    # header only: voxels are read block by block
    header, dtype, (slope, intercept) = _load_header(path)
    if dtype.kind not in "iuf":
        raise VolumeError(path, f"holds {dtype} and not one number per voxel", "save it as integers or floats")
    shape = _shape_3d(path, header.get_data_shape())
    told = declared_geometry(header, shape, codes) if codes else None
    geometry = told or nifti_geometry(path, header, shape, remedy)
    return NiftiFile(path, shape, dtype, _offset(path, header), slope, intercept, geometry, header)


def _offset(path: Path, header: nib.Nifti1Header) -> int:
    """Bytes before the first voxel; the field is a float, and may hold anything."""
    offset = float(header["vox_offset"])
    if not 0 <= offset <= _LAST_BYTE:
        raise VolumeError(path, f"says that its voxels begin at byte {offset:g}", "fetch the file again")
    return int(header.get_data_offset())


def _load_header(path: Path) -> tuple[nib.Nifti1Header, np.dtype[np.generic], tuple[float, float]]:
    """Header, type of the voxels, and the slope and intercept that make intensities of them."""
    if path.stat().st_size == 0:
        raise VolumeError(path, "is empty", "fetch the file again")
    remedy = "fetch the file again, or convert it to NIfTI"
    try:
        with open_bytes(path) as file:
            block = file.read(nib.Nifti2Header.sizeof_hdr)
        kind = next((kind for kind in (nib.Nifti1Header, nib.Nifti2Header) if kind.may_contain_header(block)), None)
        if kind is None:
            raise VolumeError(path, "is not a readable NIfTI file (no NIfTI header)", remedy)
        header = kind(block[: kind.sizeof_hdr])  # type: ignore[no-untyped-call]  # nibabel has no types
        slope, intercept = header.get_slope_inter()
        return header, header.get_data_dtype(), (float(1 if slope is None else slope), float(intercept or 0))
    except (*DAMAGED, HeaderDataError, WrapStructError, ValueError) as error:
        finding = f"is not a readable NIfTI file ({type(error).__name__})"
        raise VolumeError(path, finding, remedy) from error


def _shape_3d(path: Path, shape: tuple[int, ...]) -> tuple[int, int, int]:
    """Drop trailing axes of length one and give a plain 2-D image its slice axis."""
    sizes = list(shape) + [1] * (3 - len(shape))
    if 0 in sizes:
        raise VolumeError(path, f"holds zero slices (shape {tuple(shape)})", "export the series again")
    if any(size != 1 for size in sizes[3:]):
        raise VolumeError(
            path,
            f"has {len(sizes)} axes (shape {tuple(shape)})",
            "name one in 'acquire.channels' (or by --channel) if dataset.json names them, else save it as a 3-D volume",
        )
    return sizes[0], sizes[1], sizes[2]


def _pieces(stored: Num[np.ndarray, "first second third"]) -> Iterator[Num[np.ndarray, " voxel"]]:
    """All voxels, some at a time."""
    values = stored.reshape(-1, order="F")  # a view
    return (values[start : start + _PIECE] for start in range(0, len(values), _PIECE))


def _fill(file: io.BufferedIOBase, target: memoryview) -> int:
    """Read into `target` piece by piece: gzip's own `readinto` would first build a second copy of everything."""
    held = 0
    while held < len(target):
        count = file.readinto(target[held : held + _READ_BYTES])
        if not count:
            break
        held += count
    return held
