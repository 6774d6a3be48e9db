"""How the pixels of a DICOM file are stored (PS3.5 section 10), and their decoding.

pydicom decodes what is not compressed, and RLE; gdcm JPEG and JPEG Lossless; pyjpegls JPEG-LS; openjpeg JPEG 2000.
"""

from __future__ import annotations

from functools import lru_cache
from pathlib import Path

import numpy as np
from jaxtyping import Integer
from pydicom import Dataset, dcmread
from pydicom.pixels.decoders.base import get_decoder
from pydicom.pixels.utils import pixel_array
from pydicom.uid import (
    UID,
    DeflatedExplicitVRLittleEndian,
    ExplicitVRBigEndian,
    ExplicitVRLittleEndian,
    ImplicitVRLittleEndian,
    JPEGExtended12Bit,
)

from nephrite.errors import DicomError, VolumeError
from nephrite.imaging.dicom_elements import BROKEN, numbers


def find_syntax(path: Path, header: Dataset) -> str:
    """How the pixels are stored: as the file says, else as its elements are; refused where nothing here reads it.

    Args:
        path: of the file.
        header: what was read of it.

    Raises:
        DicomError: the syntax is unknown, or no decoder for it is installed.
    """
    syntax = header.file_meta.get("TransferSyntaxUID") or _guess_syntax(path, header)
    try:
        decoder = get_decoder(syntax)
    except (NotImplementedError, ValueError):
        raise DicomError(path, f"transfer syntax {syntax} is unknown", "decompress the series") from None
    if not decoder.is_available:
        packages = " or ".join(decoder.missing_dependencies)
        finding = f"is compressed as {syntax.name} ({syntax}) and no decoder is installed"
        raise DicomError(path, finding, f"install one of: {packages}, or decompress the series")
    bits = numbers(header, "BitsStored", 1)
    if syntax == JPEGExtended12Bit and bits is not None and bits[0] > 8:
        finding = f"is compressed as {syntax.name} with {bits[0]:.0f} bits, which no decoder here reads"
        raise DicomError(path, finding, "decompress the series")
    return str(syntax)


def _guess_syntax(path: Path, header: Dataset) -> UID:
    """Of a file without meta information, or whose meta information names no syntax: by how its elements lie."""
    implicit, little = header.original_encoding
    whole = dcmread(path, force=True)
    if "PixelData" in whole and whole["PixelData"].is_undefined_length:
        finding = "does not say how its pixels are compressed (no TransferSyntaxUID)"
        raise DicomError(path, finding, "export it again with its file meta information")
    explicit = ExplicitVRLittleEndian if little else ExplicitVRBigEndian
    return ImplicitVRLittleEndian if implicit else explicit


def decode_pixels(
    path: Path, syntax: str, *, size: tuple[int, int], frame: int | None
) -> tuple[Integer[np.ndarray, "height width"], Dataset]:
    """Stored values of one image, and the part of its header that says what they mean.

    Args:
        path: of the file.
        syntax: as `find_syntax` found it.
        size: rows and columns.
        frame: of a multi-frame file, from 0; else None.

    Raises:
        VolumeError: the pixel data are missing, truncated, damaged, or not one whole number per pixel.
    """
    header = Dataset()
    try:
        if syntax == DeflatedExplicitVRLittleEndian:  # the whole data set is, so nothing can be read from its middle
            header = _inflate(path)
            pixels = pixel_array(header, index=frame)
        else:
            pixels = pixel_array(path, ds_out=header, index=frame, transfer_syntax_uid=UID(syntax))
    except (*BROKEN, AttributeError, IndexError, MemoryError, RuntimeError) as error:
        raise VolumeError(path, "pixel data are missing, truncated or damaged", "fetch it again") from error
    if pixels.shape != size or pixels.dtype.kind not in "iu":
        finding = f"pixel data have shape {pixels.shape} and type {pixels.dtype}, not {size} whole numbers"
        raise VolumeError(path, finding, "export the series again")
    return pixels, header


@lru_cache(maxsize=1)  # the frames of a file are asked for one after the other
def _inflate(path: Path) -> Dataset:
    return dcmread(path)
