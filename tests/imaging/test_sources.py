from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
from PIL import Image

from nephrite.config import Config
from nephrite.errors import SourceError
from nephrite.imaging.dicom import DicomVolume
from nephrite.imaging.label_maps.region_volume import RegionVolume
from nephrite.imaging.nifti import NiftiVolume
from nephrite.imaging.sources import Case, find_cases, find_either, find_scans, open_scan, open_volume
from nephrite.store.slices import UNLABELED


def kits(folder: Path, name: str, *files: str) -> None:
    (folder / name).mkdir(parents=True)
    for file in files or ("imaging.nii.gz", "segmentation.nii.gz"):
        image = nib.Nifti1Image(np.zeros((2, 3, 4), np.uint8), np.eye(4))
        image.to_filename(folder / name / file)


def moai(folder: Path, name: str, *kinds: str) -> None:
    for kind in kinds or ("DICOM", "Label"):
        (folder / kind / name).mkdir(parents=True)


def test_kits_cases_of_any_name_are_sorted(tmp_path: Path) -> None:
    kits(tmp_path, "case_00002")
    kits(tmp_path, "LIDC-IDRI-0001", "imaging.nii", "segmentation.nii.gz")
    kits(tmp_path, "10.b", "imaging.nii", "segmentation.nii")
    assert [(case.patient, case.layout) for case in find_cases(tmp_path)] == [
        ("10.b", "kits"),
        ("LIDC-IDRI-0001", "kits"),
        ("case_00002", "kits"),
    ]


@pytest.mark.parametrize("root", ["", "train"])
def test_moai_cases_are_found_with_or_without_train(tmp_path: Path, root: str) -> None:
    moai(tmp_path / root, "b")
    moai(tmp_path / root, "a")
    cases = find_cases(tmp_path)
    assert [case.patient for case in cases] == ["a", "b"]
    assert cases[0].label == tmp_path / root / "Label" / "a"


def test_both_layouts_may_lie_side_by_side(tmp_path: Path) -> None:
    kits(tmp_path, "k")
    moai(tmp_path / "train", "m")
    assert [case.layout for case in find_cases(tmp_path)] == ["kits", "moai"]


def test_other_folders_are_not_cases(tmp_path: Path) -> None:
    kits(tmp_path, "a")
    for name in (".cache", "b.partial"):
        kits(tmp_path, name)
    (tmp_path / "docs of the set").mkdir()
    assert [case.patient for case in find_cases(tmp_path)] == ["a"]


def test_cases_open_with_the_reader_of_their_layout(
    tmp_path: Path, write_slice: Callable[..., Path], load: Callable[..., Config]
) -> None:
    kits(tmp_path / "set", "k")
    moai(tmp_path / "set", "m")
    write_slice("0.dcm", 0.0).rename(tmp_path / "set" / "DICOM" / "m" / "0.dcm")
    Image.new("L", (8, 6)).save(tmp_path / "set" / "Label" / "m" / "0.png")
    first, second = (open_volume(case, load().prepare) for case in find_cases(tmp_path / "set"))
    assert isinstance(first, NiftiVolume)
    assert isinstance(second, DicomVolume)


def move(path: Path, folder: Path) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    path.rename(folder / path.name)


@pytest.mark.parametrize("place", ["d", "DICOM/d", "train/DICOM/d", "d/parts"])
def test_dicom_with_its_label_object_is_a_case(
    tmp_path: Path,
    write_slice: Callable[..., Path],
    write_structures: Callable[..., Path],
    load: Callable[..., Config],
    place: str,
) -> None:
    suffix = "" if place == "d/parts" else ".dcm"
    kits(tmp_path / "set", "k")
    move(write_slice(f"a{suffix}", 0.0, FrameOfReferenceUID="1.2.840.777777"), tmp_path / "set" / place)
    square = np.array([[-3, -2, 0], [-2, -2, 0], [-2, -1, 0]])
    path = write_structures([("kidney", [square])])
    move(path.rename(path.with_suffix(suffix)), tmp_path / "set" / place)
    (case, _) = cases = find_cases(tmp_path / "set")
    assert [(case.patient, case.layout) for case in cases] == [("d", "dicom"), ("k", "kits")]
    assert case.scan == next(scan for scan in find_scans(tmp_path / "set") if scan.patient == "d")
    assert isinstance(open_volume(case, load().prepare), RegionVolume)


def test_label_objects_may_lie_where_png_labels_lie(
    tmp_path: Path, write_slice: Callable[..., Path], write_structures: Callable[..., Path], load: Callable[..., Config]
) -> None:
    move(write_slice("a.dcm", 0.0, FrameOfReferenceUID="1.2.840.777777"), tmp_path / "set" / "DICOM" / "d")
    square = np.array([[-3, -2, 0], [-2, -2, 0], [-2, -1, 0]])
    move(write_structures([("kidney", [square])]), tmp_path / "set" / "Label" / "d")
    (case,) = find_cases(tmp_path / "set")
    assert case.layout == "moai"
    assert isinstance(open_volume(case, load().prepare), RegionVolume)


def test_scans_without_labels_are_no_cases(tmp_path: Path, write_slice: Callable[..., Path]) -> None:
    kits(tmp_path / "set", "k")
    move(write_slice("a.dcm", 0.0), tmp_path / "set" / UNLABELED / "d")
    assert [case.patient for case in find_cases(tmp_path / "set")] == ["k"]


def test_missing_folder_is_refused(tmp_path: Path) -> None:
    with pytest.raises(SourceError, match="nowhere: is not a folder"):
        find_cases(tmp_path / "nowhere")


def test_folder_without_cases_is_refused(tmp_path: Path) -> None:
    (tmp_path / "case_00000").mkdir()
    with pytest.raises(SourceError, match="holds no case"):
        find_cases(tmp_path)


@pytest.mark.parametrize(
    ("present", "missing"), [("imaging.nii.gz", "segmentation.nii.gz"), ("segmentation.nii", "imaging.nii.gz")]
)
def test_missing_half_of_a_kits_case_is_named(tmp_path: Path, present: str, missing: str) -> None:
    kits(tmp_path, "case_00012", present)
    with pytest.raises(SourceError, match=rf"case_00012/{missing}: is missing"):
        find_cases(tmp_path)


@pytest.mark.parametrize(("present", "missing"), [("DICOM", "Label"), ("Label", "DICOM")])
def test_missing_half_of_a_moai_case_is_named(tmp_path: Path, present: str, missing: str) -> None:
    moai(tmp_path / "train", "a")
    moai(tmp_path / "train", "b", present)
    with pytest.raises(SourceError, match=f"train/{missing}/b: is missing"):
        find_cases(tmp_path)


def test_one_patient_in_two_layouts_is_refused(tmp_path: Path) -> None:
    kits(tmp_path, "a")
    moai(tmp_path / "train", "a")
    with pytest.raises(SourceError, match="patient a is there twice"):
        find_cases(tmp_path)


def test_ids_that_differ_in_case_only_are_one_patient(tmp_path: Path) -> None:
    kits(tmp_path, "Case_1")
    kits(tmp_path, "case_1")
    with pytest.raises(SourceError, match="patient case_1 is there twice"):
        find_cases(tmp_path)


def test_two_scans_in_one_case_are_refused(tmp_path: Path) -> None:
    kits(tmp_path, "a", "imaging.nii", "imaging.nii.gz", "segmentation.nii")
    with pytest.raises(SourceError, match=r"holds both imaging\.nii\.gz and imaging\.nii"):
        find_cases(tmp_path)


@pytest.mark.parametrize("name", ["Jane Doe", "fälle", "a,b"])
def test_name_that_cannot_be_an_id_is_refused(tmp_path: Path, name: str) -> None:
    kits(tmp_path, name)
    with pytest.raises(SourceError, match=r"cannot be a patient id.*rename the case's folder or file"):
        find_cases(tmp_path)


def scan(path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    nib.Nifti1Image(np.zeros((2, 3, 4), np.int16), np.eye(4)).to_filename(path)


def test_scans_of_every_layout_are_found(tmp_path: Path, write_slice: Callable[..., Path]) -> None:
    kits(tmp_path / "set", "case_1", "imaging.nii.gz")
    kits(tmp_path / "set", "case_2")
    scan(tmp_path / "set" / "plain.1.nii.gz")
    for place in ("d1/0.DCM", "DICOM/d2/0", "train/DICOM/d3/0"):
        target = tmp_path / "set" / place
        target.parent.mkdir(parents=True)
        write_slice("0.dcm", 0.0).rename(target)
    scans = find_scans(tmp_path / "set")
    assert [(scan.patient, scan.layout) for scan in scans] == [
        ("case_1", "nifti"),
        ("case_2", "nifti"),
        ("d1", "dicom"),
        ("d2", "dicom"),
        ("d3", "dicom"),
        ("plain.1", "nifti"),
    ]
    assert [open_scan(scan).shape for scan in scans[2:]] == [(1, 6, 8)] * 3 + [(4, 3, 2)]


def test_label_maps_are_no_scans(tmp_path: Path) -> None:
    kits(tmp_path, "a", "segmentation.nii.gz")
    scan(tmp_path / "segmentation.nii.gz")
    scan(tmp_path / "imaging.nii.gz")
    assert [scan.patient for scan in find_scans(tmp_path)] == ["imaging"]


def test_folder_without_scans_is_refused(tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("none")
    with pytest.raises(SourceError, match=r"holds no scan: neither <case>/imaging\.nii\.gz.*; give the folder above"):
        find_scans(tmp_path)
    with pytest.raises(SourceError, match="nowhere: is not a folder"):
        find_scans(tmp_path / "nowhere")


def test_one_patient_with_two_scans_is_refused(tmp_path: Path) -> None:
    kits(tmp_path, "a", "imaging.nii")
    scan(tmp_path / "A.nii.gz")
    with pytest.raises(SourceError, match=r"patient [aA] is there twice"):
        find_scans(tmp_path)


def test_file_whose_name_cannot_be_an_id_is_refused(tmp_path: Path) -> None:
    scan(tmp_path / "Jane Doe.nii.gz")
    with pytest.raises(SourceError, match="cannot be a patient id"):
        find_scans(tmp_path)


def test_scans_come_with_the_label_map_that_lies_beside_them(tmp_path: Path, write_slice: Callable[..., Path]) -> None:
    kits(tmp_path / "set", "a", "imaging.nii.gz", "segmentation.nii.gz")
    kits(tmp_path / "set", "b", "imaging.nii.gz")
    (tmp_path / "set" / "c.nii.gz").touch()
    moai(tmp_path / "set" / "train", "d", "DICOM", "Label")
    moai(tmp_path / "set" / "train", "e", "DICOM")
    found = find_either(tmp_path / "set")
    assert [(case.patient, isinstance(case, Case)) for case in found] == [
        ("a", True),
        ("b", False),
        ("c", False),
        ("d", True),
        ("e", False),
    ]


def test_pairs_lie_beside_other_layouts_and_their_label_maps_are_no_scans(tmp_path: Path) -> None:
    kits(tmp_path, "a", "imaging.nii.gz")
    for name in ("b_image", "b_label", "c_image", "d"):
        scan(tmp_path / f"{name}.nii.gz")
    found = find_either(tmp_path)
    assert [(each.patient, isinstance(each, Case)) for each in found] == [
        ("a", False),
        ("b", True),
        ("c", False),
        ("d", False),
    ]


@pytest.mark.parametrize("place", ["images/a", "sub-1/anat/sub-1_T1w", "imagesTs/a"])
def test_scans_of_other_layouts_are_found_and_opened(tmp_path: Path, place: str) -> None:
    scan(tmp_path / f"{place}.nii.gz")
    if place == "images/a":
        scan(tmp_path / "labels" / "a.nii.gz")
    (found,) = find_scans(tmp_path)
    assert (found.patient, found.person) == (("sub-1", "sub-1") if "sub" in place else ("a", None))
    assert open_scan(found).shape == (4, 3, 2)


@pytest.mark.parametrize("find", [find_cases, find_scans])
def test_channels_of_one_scan_are_refused_and_not_taken_for_patients(
    tmp_path: Path, find: Callable[[Path], object]
) -> None:
    for name in ("brats_0000", "brats_0001", "other"):
        kits(tmp_path, name)
    with pytest.raises(SourceError, match=r"brats_0001.*: is a further channel of brats by its name"):
        find(tmp_path)


def test_patients_who_are_numbered_are_no_channels(tmp_path: Path) -> None:
    for number in range(10):
        kits(tmp_path, f"case_{number:04d}")
    assert len(find_cases(tmp_path)) == 10
    kits(tmp_path / "more", "a_0001")
    kits(tmp_path / "more", "a_0002")
    assert len(find_cases(tmp_path / "more")) == 2
