from __future__ import annotations

from pathlib import Path

import pytest

from nephrite.errors import SourceError
from nephrite.imaging.layouts.filed import all_scans, count_unlabeled, labeled_scans, nothing_found
from tests.own_layouts import PLACES, TEST_SCANS, write_layout


@pytest.fixture
def kits(tmp_path: Path) -> Path:
    """Two cases in KiTS layout; their voxels do not matter."""
    for name in ("sub-1", "sub-2"):
        for role in ("imaging", "segmentation"):
            path = tmp_path / "kits" / name / f"{role}.nii.gz"
            path.parent.mkdir(parents=True, exist_ok=True)
            path.touch()
    return tmp_path / "kits"


@pytest.mark.parametrize("layout", PLACES)
def test_cases_of_every_layout_have_their_scan_and_label_map(layout: str, kits: Path, tmp_path: Path) -> None:
    folder = write_layout(layout, kits, tmp_path / "set")
    images, labels = PLACES[layout]
    found = {scan.name: (scan.image, scan.label) for scan in labeled_scans(folder)}
    assert found == {
        name: (folder / f"{images.format(name)}.nii.gz", folder / f"{labels.format(name)}.nii.gz")
        for name in ("sub-1", "sub-2")
    }
    # scans without label maps are no cases, and are counted
    alone = [scan.name for scan in all_scans(folder) if scan.label is None]
    assert alone == (["test1"] if layout in TEST_SCANS else [])
    assert count_unlabeled(folder) == len(alone)


@pytest.mark.parametrize("layout", ["nnunet", "decathlon"])
def test_folders_of_scans_alone_are_read_under_the_same_names(layout: str, kits: Path, tmp_path: Path) -> None:
    folder = write_layout(layout, kits, tmp_path / "set")
    assert [scan.name for scan in all_scans(folder / "imagesTs")] == ["test1"]
    for path in (folder / "labelsTr").iterdir():
        path.unlink()
    assert sorted(scan.name for scan in all_scans(folder)) == ["sub-1", "sub-2", "test1"]


def test_scans_of_subjects_without_label_maps_are_counted(kits: Path, tmp_path: Path) -> None:
    folder = write_layout("bids", kits, tmp_path / "set")
    for path in folder.rglob("sub-2*_dseg.nii.gz"):
        path.unlink()
    assert [scan.name for scan in labeled_scans(folder)] == ["sub-1"]
    assert count_unlabeled(folder) == 1


def test_a_label_map_without_its_scan_is_refused_where_scans_alone_are_asked_for(kits: Path, tmp_path: Path) -> None:
    folder = write_layout("endings", kits, tmp_path / "set")
    (folder / "sub-1_seg.nii.gz").unlink()
    assert [scan.label is None for scan in all_scans(folder)] == [True, False]
    (folder / "sub-2_img.nii.gz").unlink()
    (folder / "sub-1_seg.nii.gz").touch()
    with pytest.raises(SourceError, match=r"sub-2_seg\.nii\.gz: pairs with nothing"):
        all_scans(folder)


@pytest.mark.parametrize(
    ("name", "finding"),
    [
        ("imagesTr/a.mha", "no .nii.gz or .nii in imagesTr has a label map.*; save scans and label maps as NIfTI"),
        ("Dataset001_Kidney/imagesTr/a_0000.nii.gz", "is above data sets; give one of them, such as Dataset001_Kidney"),
        ("sub-1/anat/sub-1_T1w.nii.gz", "no label map of theirs"),
        ("notes.txt", "holds no case: .*nor pairs of files; give a folder in a layout of docs/own-data.md"),
    ],
)
def test_a_folder_without_cases_is_told_why(name: str, finding: str, tmp_path: Path) -> None:
    (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
    (tmp_path / name).touch()
    with pytest.raises(SourceError, match=finding):
        raise nothing_found(tmp_path)
