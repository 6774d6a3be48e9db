"""A NIfTI file without what says who was scanned: voxels, their type and scale, and the grid stay, all else goes.

Gone are descrip, aux_file, intent_name, db_name and all other fields of the header, extensions, what follows the
voxels, and the names and times that gzip keeps.
"""

from __future__ import annotations

import io
import shutil
from pathlib import Path
from typing import IO, cast

import nibabel as nib
import numpy as np
from isal import igzip, isal_zlib

from nephrite.errors import VolumeError
from nephrite.imaging.packed import DAMAGED, open_bytes

FIELDS = (
    "sizeof_hdr dim datatype bitpix pixdim scl_slope scl_inter xyzt_units qform_code sform_code quatern_b quatern_c"
    " quatern_d qoffset_x qoffset_y qoffset_z srow_x srow_y srow_z magic eol_check"
)
NO_EXTENSION = bytes(4)
LEVEL = 2  # of ISA-L's four: four times as quick as zlib's fastest, and files are as small
_PIECE = 1 << 20
_AGAIN = "fetch the file again"


def copy_nifti(source: Path, target: Path, *, number: int | None = None) -> None:
    """Copy a scan or a label map; a file that holds nothing else is copied byte by byte.

    Args:
        source: file.
        target: file.
        number: of the volume that is copied, of a file of four axes; None = all of it.

    Raises:
        VolumeError: it is no NIfTI, is truncated or damaged, or has no such volume.
    """
    try:
        with open_bytes(source) as file:
            header, clean = _header(source, file)
            is_clean = number is None and _rest_is_clean(file, header, clean) and _wrapping_is_clean(source)
        skipped = 0 if number is None else number * _one_volume(source, clean, number)
        if is_clean:
            shutil.copyfile(source, target)
            return
        with open_bytes(source) as file, target.open("wb") as raw:
            file.seek(int(header["vox_offset"]) + skipped)
            if source.suffix != ".gz":
                _write(file, raw, clean)
                return
            with _packing(raw) as packed:
                _write(file, packed, clean)
    except DAMAGED as error:
        if isinstance(error, OSError) and error.errno:  # of the file system, not of gzip
            raise
        raise VolumeError(source, f"is truncated or damaged ({error})", _AGAIN) from error


def clean_header(header: nib.Nifti1Header) -> nib.Nifti1Header:
    """A header of the same kind and byte order with the fields that geometry and intensities need."""
    clean = type(header)(endianness=header.endianness)
    for field in FIELDS.split():
        if field in header.structarr.dtype.names:
            clean[field] = header[field]
    for field in set(header.structarr.dtype.names) - set(FIELDS.split()):
        clean[field] = np.zeros_like(clean[field])
    clean["vox_offset"] = header.sizeof_hdr + len(NO_EXTENSION)
    return clean


def _header(path: Path, file: io.BufferedIOBase) -> tuple[nib.Nifti1Header, nib.Nifti1Header]:
    block = file.read(nib.Nifti2Header.sizeof_hdr)
    kind = next((kind for kind in (nib.Nifti1Header, nib.Nifti2Header) if kind.may_contain_header(block)), None)
    if kind is None or len(block) < kind.sizeof_hdr:
        finding = "is not a readable NIfTI file (no NIfTI header)" if block else "is empty"
        raise VolumeError(path, finding, "fetch the file again, or convert it to NIfTI")
    header = kind(block[: kind.sizeof_hdr], check=False)  # type: ignore[no-untyped-call]  # nibabel has no types
    return header, clean_header(header)


def _one_volume(path: Path, header: nib.Nifti1Header, number: int) -> int:
    """Make a header of four axes one of three; gives the bytes of a volume."""
    axes, count = int(header["dim"][0]), int(header["dim"][4])
    if axes != 4 or not number < count:
        finding = f"has {axes} axes and {count if axes == 4 else 1} channels, and channel {number} is asked for"
        raise VolumeError(path, finding, "correct 'acquire.channels', or leave it out")
    dimensions, steps = header["dim"].copy(), header["pixdim"].copy()
    dimensions[0], dimensions[4], steps[4] = 3, 1, 1
    header["dim"], header["pixdim"] = dimensions, steps
    return _voxel_bytes(header)


def _rest_is_clean(file: io.BufferedIOBase, header: nib.Nifti1Header, clean: nib.Nifti1Header) -> bool:
    """Whether a file holds the clean header, no extension, the voxels and nothing more."""
    if header.binaryblock != clean.binaryblock:
        return False
    file.seek(header.sizeof_hdr)
    if file.read(len(NO_EXTENSION)) != NO_EXTENSION:
        return False
    left = _voxel_bytes(header)
    while piece := file.read(_PIECE):
        left -= len(piece)
    return left >= 0


def _packing(raw: IO[bytes]) -> io.BufferedIOBase:
    """What packs whatever is written to it into a gzip file without name and time."""
    packed = igzip.IGzipFile(filename="", mode="wb", compresslevel=LEVEL, fileobj=raw, mtime=0)  # type: ignore[no-untyped-call]  # isal has no types here
    return cast(io.BufferedIOBase, packed)


def _wrapping_is_clean(path: Path) -> bool:
    """Whether a gzip file has one member, without name, comment, further fields or time (RFC 1952)."""
    if path.suffix != ".gz":
        return True
    with path.open("rb") as file:
        if any(file.read(8)[3:]):  # flags and time
            return False
        file.seek(0)
        unpacking = isal_zlib.decompressobj(wbits=isal_zlib.MAX_WBITS | 16)
        while piece := file.read(_PIECE):
            while piece and not unpacking.eof:
                unpacking.decompress(piece, _PIECE)
                piece = unpacking.unconsumed_tail
            if unpacking.unused_data or (unpacking.eof and file.read(1)):
                return False
    return True


def _write(file: io.BufferedIOBase, target: IO[bytes] | io.BufferedIOBase, clean: nib.Nifti1Header) -> None:
    target.write(clean.binaryblock + NO_EXTENSION)
    left = _voxel_bytes(clean)
    while left > 0 and (piece := file.read(min(_PIECE, left))):
        target.write(piece)
        left -= len(piece)
    while file.read(_PIECE):  # reaching the end makes gzip compare its checksum
        pass


def _voxel_bytes(header: nib.Nifti1Header) -> int:
    count = int(header["dim"][0])
    voxels = int(np.prod([max(int(size), 0) for size in header["dim"][1 : 1 + min(max(count, 0), 7)]], dtype=object))
    return voxels * (int(header["bitpix"]) // 8)
