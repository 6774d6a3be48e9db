from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.uid import ExplicitVRLittleEndian, RTStructureSetStorage

from nephrite.config import Config
from nephrite.imaging.layouts.pairing import Pair
from nephrite.imaging.sources import Scan, find_cases, find_scans, open_volume
from nephrite.privacy.copies import foreign_copies, plain_copies, renamed_copies, write_copy

MarkSlice = Callable[..., Path]
VALUES = np.arange(48).reshape(6, 8)
KIDNEY = {1: "kidney"}


@pytest.fixture
def moai(mark_slice: MarkSlice, tmp_path: Path) -> Path:
    """One MOAI case whose files lie in another order than its slices, with a note and a structure set beside them."""
    root = tmp_path / "source"
    images, labels = root / "DICOM" / "DOEJANE", root / "Label" / "DOEJANE"
    labels.mkdir(parents=True)
    for number, z in ((1, 10), (2, 30), (3, 20)):
        mark_slice(images / f"DOEJANE_{number}.dcm", VALUES + number, number, z)
        Image.fromarray(np.full((6, 8), number == 2, np.uint8)).save(labels / f"doejane label {number}.png")
    (images / "notes.txt").write_text("DOEJANE")
    structures = Dataset()
    structures.SOPClassUID, structures.SOPInstanceUID = RTStructureSetStorage, "1.2.5"
    structures.file_meta = FileMetaDataset()
    structures.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    structures.save_as(images / "DOEJANE structures", enforce_file_format=True)
    return root


def test_dicom_files_get_numbers_and_labels_those_of_their_images(moai: Path, tmp_path: Path) -> None:
    (case,) = find_cases(moai)
    copies = renamed_copies(case, moai, "p1")
    assert [(copy.source.name, str(copy.target)) for copy in copies] == [
        ("DOEJANE_2.dcm", "DICOM/p1/0001.dcm"),
        ("DOEJANE_3.dcm", "DICOM/p1/0002.dcm"),
        ("DOEJANE_1.dcm", "DICOM/p1/0003.dcm"),
        ("doejane label 2.png", "Label/p1/0001.png"),
        ("doejane label 3.png", "Label/p1/0002.png"),
        ("doejane label 1.png", "Label/p1/0003.png"),
        ("DOEJANE structures", "DICOM/p1/regions-0001.dcm"),
    ]


def test_copied_case_is_the_same_scan(moai: Path, tmp_path: Path, load: Callable[..., Config]) -> None:
    settings = load().prepare
    (case,) = find_cases(moai)
    for copy in renamed_copies(case, moai, "p1"):
        write_copy(copy, tmp_path / "raw", "ab" * 32)
    (copied,) = find_cases(tmp_path / "raw")
    before, after = open_volume(case, settings), open_volume(copied, settings)
    assert (before.spacing, before.shape) == (after.spacing, after.shape)
    assert np.array_equal(next(before.image_blocks(8))[1], next(after.image_blocks(8))[1])
    assert np.array_equal(next(before.label_blocks(8, KIDNEY))[1], next(after.label_blocks(8, KIDNEY))[1])
    left = [path for path in (tmp_path / "raw").rglob("*") if path.is_file() and b"DOEJANE" in path.read_bytes()]
    assert not left


def test_without_a_salt_bytes_stay(moai: Path, tmp_path: Path) -> None:
    copy = renamed_copies(find_cases(moai)[0], moai, "p1")[0]
    write_copy(copy, tmp_path / "raw", None)
    assert (tmp_path / "raw" / copy.target).read_bytes() == copy.source.read_bytes()


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("doe.nii.gz", "p1.nii.gz"),
        ("doe.nii", "p1.nii"),
        ("doe/imaging.nii.gz", "p1/imaging.nii.gz"),
    ],
)
def test_nifti_scans_get_the_name_of_the_patient(name: str, expected: str, tmp_path: Path) -> None:
    (tmp_path / name).parent.mkdir(exist_ok=True)
    (tmp_path / name).touch()
    (scan,) = find_scans(tmp_path)
    assert [str(copy.target) for copy in renamed_copies(scan, tmp_path, "p1")] == [expected]
    assert [str(copy.target) for copy in plain_copies(scan, tmp_path)] == [name]


def test_scan_alone_takes_no_labels(moai: Path) -> None:
    scan = Scan("DOEJANE", "dicom", moai / "DICOM" / "DOEJANE")
    assert {copy.target.suffix for copy in renamed_copies(scan, moai, "p1")} == {".dcm"}


@pytest.mark.parametrize("numbered", [False, True])
def test_pairs_of_synthetic_scans_get_folders_of_their_own(numbered: bool) -> None:
    names = [f"case_{number}" for number in range(10)]
    pairs = [Pair(name, Path(f"img/{name}.nii.gz"), Path(f"lab/{name}.png")) for name in names]
    copies = foreign_copies(pairs, numbered)
    first = "01" if numbered else "case_0"
    assert [str(copy.target) for copy in copies[:2]] == [f"{first}/imaging.nii.gz", f"{first}/segmentation.png"]
    assert [copy.source for copy in copies[-2:]] == [Path("img/case_9.nii.gz"), Path("lab/case_9.png")]
    assert len({copy.target for copy in copies}) == 20
