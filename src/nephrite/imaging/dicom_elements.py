"""Elements of DICOM headers, and files that are DICOM without saying so."""

from __future__ import annotations

import struct
import zlib
from pathlib import Path

import numpy as np
from jaxtyping import Float
from pydicom import Dataset
from pydicom.errors import BytesLengthException, InvalidDicomError

BROKEN = (  # what pydicom raises for a damaged header, also later, as it converts an element when that is asked for
    BytesLengthException, EOFError, InvalidDicomError, KeyError, NotImplementedError, OSError, TypeError, ValueError,
    struct.error, zlib.error,
)  # fmt: skip
_FIRST_GROUPS = (b"\x02\x00", b"\x08\x00", b"\x00\x08", b"\x00\x02")  # of a file without preamble, both byte orders


def is_dicom(path: Path) -> bool:
    """Whether a file looks like DICOM by its first bytes: with or without preamble and file meta information."""
    with path.open("rb") as file:
        start = file.read(132)
    return start[128:] == b"DICM" or (len(start) > 8 and start[:2] in _FIRST_GROUPS)


def sop_class(header: Dataset) -> str:
    """What kind of object a file holds, by its data set or else by its meta information; '' where neither says so."""
    return str(header.get("SOPClassUID") or header.file_meta.get("MediaStorageSOPClassUID") or "")


def numbers(header: Dataset, keyword: str, count: int) -> Float[np.ndarray, " count"] | None:
    """An element's finite numbers, or None where it is missing, empty or something else."""
    try:
        values = np.atleast_1d(np.asarray(header.get(keyword), dtype=np.float64))
    except (ValueError, TypeError):
        return None
    return values if values.shape == (count,) and np.isfinite(values).all() else None
