from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from nephrite.errors import SourceError
from nephrite.imaging.cases import Scan
from nephrite.imaging.pointed import scans_at
from tests.conftest import write_series


def test_a_nifti_file_is_a_scan_by_its_name(tmp_path: Path) -> None:
    for name in ("p1.nii.gz", "p2.nii"):
        (tmp_path / name).touch()
        assert scans_at(tmp_path / name) == [Scan(name[:2], "nifti", tmp_path / name)]


def test_of_a_file_in_kits_layout_the_folder_names_the_patient(tmp_path: Path) -> None:
    (tmp_path / "case_1").mkdir()
    (tmp_path / "case_1" / "imaging.nii.gz").touch()
    assert scans_at(tmp_path / "case_1" / "imaging.nii.gz")[0].patient == "case_1"


def test_a_folder_is_a_series_where_slices_lie_in_it_itself(tmp_path: Path) -> None:
    write_series(tmp_path / "p1", np.zeros((2, 8, 8)))
    (tmp_path / "DICOMDIR").write_bytes(b"\0" * 128 + b"DICM")  # of the disc that the series came on
    series = Scan("p1", "dicom", tmp_path / "p1")
    assert scans_at(tmp_path / "p1") == [series]
    assert scans_at(tmp_path) == [series]


@pytest.mark.parametrize(
    ("name", "told"),
    [
        ("gone", "is not there; give a NIfTI file"),
        ("p1/1.dcm", "is one DICOM file, and a scan is a series of them; give the folder of the series"),
        ("notes.txt", "is no scan: neither NIfTI"),
        ("two words.nii", "cannot be a patient id"),
    ],
)
def test_what_is_no_scan_is_refused(tmp_path: Path, name: str, told: str) -> None:
    write_series(tmp_path / "p1", np.zeros((2, 8, 8)))
    for other in ("notes.txt", "two words.nii"):
        (tmp_path / other).touch()
    with pytest.raises(SourceError, match=told):
        scans_at(tmp_path / name)
