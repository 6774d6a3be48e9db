from __future__ import annotations

from pathlib import Path

import pytest

from nephrite.errors import SourceError
from nephrite.imaging.layouts.filed import all_scans, count_unlabeled, labeled_scans, nothing_found
from nephrite.imaging.layouts.pairing import Channel
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


@pytest.mark.parametrize(("layout", "number"), [("nnunet", None), ("decathlon", 1)])
def test_channels_that_are_asked_for_are_told(layout: str, number: int | None, tmp_path: Path) -> None:
    endings = ("_0000", "_0001") if layout == "nnunet" else ("",)
    for name in [f"imagesTr/a{end}" for end in endings] + [f"imagesTs/b{end}" for end in endings] + ["labelsTr/a"]:
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / f"{name}.nii.gz").touch()
    (tmp_path / "dataset.json").write_text('{"channel_names": {"0": "T2", "1": "ADC"}}')
    (case,) = labeled_scans(tmp_path, ["ADC"])
    assert case.channels == (Channel(tmp_path / f"imagesTr/a{endings[-1]}.nii.gz", number),)
    assert case.image == case.channels[0].path
    assert [channel.path.parent.name for scan in all_scans(tmp_path, ["ADC"]) for channel in scan.channels] == [
        "imagesTr",
        "imagesTs",
    ]
    assert [scan.name for scan in all_scans(tmp_path / "imagesTs", ["ADC"])] == ["b"]
    assert count_unlabeled(tmp_path, ["ADC"]) == 1


def test_a_channel_of_a_layout_that_has_one_is_refused(tmp_path: Path) -> None:
    for name in ("images/a.nii.gz", "labels/a.nii.gz"):
        (tmp_path / name).parent.mkdir()
        (tmp_path / name).touch()
    with pytest.raises(SourceError, match=r"has one channel, by its layout; leave 'acquire.channels' out"):
        labeled_scans(tmp_path, ["0"])
    (tmp_path / "images").rename(tmp_path / "imagesTr")
    (tmp_path / "labels").rename(tmp_path / "labelsTr")
    (tmp_path / "imagesTr" / "a.nii.gz").rename(tmp_path / "imagesTr" / "a_0000.nii.gz")
    with pytest.raises(SourceError, match=r"a_0001.nii.gz: is missing, and is a channel to learn from"):
        labeled_scans(tmp_path, ["1"])
