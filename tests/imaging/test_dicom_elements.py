from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from pydicom import Dataset, dcmread

from nephrite.imaging.dicom_elements import is_dicom, numbers, sop_class


@pytest.mark.parametrize(
    ("content", "wanted"),
    [
        (b"", False),
        (b"some text that is longer than a header", False),
        (bytes(128) + b"DICM", True),
        (b"\x08\x00\x05\x00CS\x0a\x00", False),
        (b"\x08\x00\x05\x00CS\x0a\x00ISO_IR 100", True),
        (b"\x00\x08\x00\x05CS\x00\x0aISO_IR 100", True),
        (b"\x10\x00\x05\x00CS\x0a\x00ISO_IR 100", False),
    ],
)
def test_dicom_is_known_by_its_first_bytes(tmp_path: Path, content: bytes, wanted: bool) -> None:
    (tmp_path / "x").write_bytes(content)
    assert is_dicom(tmp_path / "x") == wanted


def test_sop_class_is_that_of_the_data_set_first(write_slice: Callable[..., Path]) -> None:
    header = dcmread(write_slice("a.dcm", 0.0))
    header.file_meta.MediaStorageSOPClassUID = header.SOPClassUID
    header.SOPClassUID = "1.2.3"
    assert sop_class(header) == "1.2.3"
    del header.SOPClassUID
    assert sop_class(header) == "1.2.840.10008.5.1.4.1.1.2"


def test_numbers_are_finite_and_as_many_as_asked_for() -> None:
    header = Dataset()
    header.PixelSpacing = [0.5, 0.75]
    found = numbers(header, "PixelSpacing", 2)
    assert found is not None
    assert np.array_equal(found, [0.5, 0.75])
    assert numbers(header, "PixelSpacing", 3) is None
    assert numbers(header, "SliceThickness", 1) is None
