from __future__ import annotations

import gzip
import shutil
from collections.abc import Callable
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
from PIL import Image

from nephrite.config import Config
from nephrite.errors import DicomError, RemoteError, SourceError
from nephrite.files import sha256
from nephrite.imaging.sources import find_cases
from nephrite.privacy.pseudonyms import pseudonyms
from nephrite.recording import SilentRun
from nephrite.stages.acquire import acquire
from nephrite.versions import push_version
from tests.conftest import write_series

Load = Callable[..., Config]


def from_folder(load: Load, folder: Path) -> Config:
    return load("acquire.source=folder", f"acquire.folder.path={folder}")


def test_phantom_patients_are_written_as_kits_cases(load: Load, tmp_path: Path) -> None:
    metrics = acquire(load("acquire.phantom.patients=2"), SilentRun(), raw=tmp_path / "raw")
    assert metrics == {"cases": 2}
    assert [case.patient for case in find_cases(tmp_path / "raw")] == ["case_00000", "case_00001"]


def test_a_folder_is_copied_byte_by_byte(load: Load, kits_folder: Path, tmp_path: Path) -> None:
    acquire(from_folder(load, kits_folder), SilentRun(), raw=tmp_path / "raw")
    name = "case_00007/segmentation.nii.gz"
    assert sha256(tmp_path / "raw" / name) == sha256(kits_folder / name)


def test_files_that_belong_to_no_case_stay_behind(load: Load, kits_folder: Path, tmp_path: Path) -> None:
    (kits_folder / "case_00001" / "notes.txt").write_text("not ours")
    acquire(from_folder(load, kits_folder), SilentRun(), raw=tmp_path / "raw")
    assert {path.name for path in (tmp_path / "raw" / "case_00001").iterdir()} == {
        "imaging.nii.gz",
        "segmentation.nii.gz",
    }


def test_a_missing_segmentation_leaves_nothing_behind(load: Load, kits_folder: Path, tmp_path: Path) -> None:
    (kits_folder / "case_00002" / "segmentation.nii.gz").unlink()
    with pytest.raises(SourceError, match=r"case_00002/segmentation.nii.gz: is missing"):
        acquire(from_folder(load, kits_folder), SilentRun(), raw=tmp_path / "raw")
    assert not list(tmp_path.glob("raw*"))


@pytest.mark.parametrize("key", ["acquire.folder.path", "acquire.unlabeled"])
def test_a_slice_that_cannot_be_read_leaves_nothing_behind(
    load: Load, kits_folder: Path, tmp_path: Path, key: str
) -> None:
    source = kits_folder if key == "acquire.folder.path" else tmp_path / "alone"
    write_series(source / "DICOM" / "s", np.zeros((3, 8, 8), int))
    (source / "Label" / "s").mkdir(parents=True)
    for number in (1, 2, 3):
        Image.fromarray(np.zeros((8, 8), np.uint8)).save(source / "Label" / "s" / f"{number}.png")
    config = load("acquire.source=folder", f"acquire.folder.path={kits_folder}", f"{key}={source}")
    acquire(config, SilentRun(), raw=tmp_path / "whole")
    slice_1 = source / "DICOM" / "s" / "1.dcm"
    slice_1.write_bytes(slice_1.read_bytes()[:100])
    with pytest.raises(DicomError, match=r"s/1\.dcm: is empty or not DICOM"):
        acquire(config, SilentRun(), raw=tmp_path / "raw")
    assert not list(tmp_path.glob("raw*"))


def test_an_older_set_is_replaced_whole(load: Load, kits_folder: Path, tmp_path: Path) -> None:
    (tmp_path / "raw" / "old_case").mkdir(parents=True)
    acquire(from_folder(load, kits_folder), SilentRun(), raw=tmp_path / "raw")
    assert not (tmp_path / "raw" / "old_case").exists()


def test_version_that_the_remote_lacks_leaves_nothing_behind(load: Load, tmp_path: Path) -> None:
    place = [f"acquire.dvc.remote={tmp_path}/remote", f"acquire.dvc.version={'0' * 32}.dir"]
    with pytest.raises(RemoteError, match=r"does not hold version 0"):
        acquire(load("acquire.source=dvc", *place), SilentRun(), raw=tmp_path / "raw")
    assert not list(tmp_path.iterdir())


def test_version_whose_files_are_gone_leaves_nothing_behind(load: Load, kits_folder: Path, tmp_path: Path) -> None:
    remote = tmp_path / "remote"
    version = push_version(kits_folder, str(remote), tmp_path / "source.dvc")
    for path in remote.rglob("*"):
        if path.is_file() and path.suffix != ".dir":
            path.unlink()
    place = [f"acquire.dvc.remote={remote}", f"acquire.dvc.version={version.hash}"]
    with pytest.raises(RemoteError, match=r"cannot be fetched whole"):
        acquire(load("acquire.source=dvc", *place), SilentRun(), raw=tmp_path / "raw")
    assert not list(tmp_path.glob("raw*"))


def test_scans_without_labels_come_along_without_their_label_maps(
    load: Load, kits_folder: Path, tmp_path: Path
) -> None:
    (kits_folder / "case_00011").rename(tmp_path / "other")
    (tmp_path / "more").mkdir()
    (tmp_path / "other").rename(tmp_path / "more" / "other")
    config = load(
        *("acquire.source=folder", f"acquire.folder.path={kits_folder}", f"acquire.unlabeled={tmp_path / 'more'}")
    )
    metrics = acquire(config, SilentRun(), raw=tmp_path / "raw")
    assert metrics == {"cases": 11}
    assert [path.name for path in (tmp_path / "raw" / "unlabeled" / "other").iterdir()] == ["imaging.nii.gz"]


def names(folder: Path) -> set[str]:
    return {path.name for path in folder.iterdir() if path.is_dir()}


def test_nifti_cases_keep_their_names(load: Load, kits_folder: Path, tmp_path: Path) -> None:
    acquire(from_folder(load, kits_folder), SilentRun(), raw=tmp_path / "raw")
    assert names(tmp_path / "raw") == names(kits_folder)


def test_pseudonyms_are_the_same_in_every_run(load: Load, kits_folder: Path, tmp_path: Path) -> None:
    config = load("acquire.source=folder", f"acquire.folder.path={kits_folder}", "acquire.pseudonyms=true")
    for raw in ("raw", "again"):
        acquire(config, SilentRun(), raw=tmp_path / raw)
    made = pseudonyms(names(kits_folder))
    assert names(tmp_path / "raw") == names(tmp_path / "again") == set(made.values())
    image = "case_00003/imaging.nii.gz"
    assert sha256(tmp_path / "raw" / made["case_00003"] / "imaging.nii.gz") == sha256(kits_folder / image)


def test_patient_who_is_among_both_is_found_under_a_pseudonym(load: Load, kits_folder: Path, tmp_path: Path) -> None:
    shutil.copytree(kits_folder / "case_00011", tmp_path / "more" / "CASE_00011")
    config = load(
        *("acquire.source=folder", f"acquire.folder.path={kits_folder}"),
        *(f"acquire.unlabeled={tmp_path / 'more'}", "acquire.pseudonyms=true"),
    )
    acquire(config, SilentRun(), raw=tmp_path / "raw")
    assert names(tmp_path / "raw" / "unlabeled") <= names(tmp_path / "raw")


def test_patient_whom_a_source_brought_by_name_is_found_by_it(load: Load, kits_folder: Path, tmp_path: Path) -> None:
    for name in ("case_00000", "case_00011"):
        shutil.copytree(kits_folder / name, tmp_path / "more" / name)
    config = load("acquire.phantom.patients=2", f"acquire.unlabeled={tmp_path / 'more'}", "acquire.pseudonyms=true")
    acquire(config, SilentRun(), raw=tmp_path / "raw")
    assert names(tmp_path / "raw" / "unlabeled") == {"case_00000", pseudonyms(["case_00011"])["case_00011"]}


@pytest.mark.parametrize("deidentify", [True, False])
def test_headers_lose_what_is_not_geometry_unless_told_otherwise(
    deidentify: bool, load: Load, kits_folder: Path, tmp_path: Path
) -> None:
    path = kits_folder / "case_00002" / "imaging.nii.gz"
    image = nib.Nifti1Image.from_bytes(gzip.decompress(path.read_bytes()))
    image.header["descrip"] = b"Doe^Jane"
    nib.save(image, path)
    config = load(
        *("acquire.source=folder", f"acquire.folder.path={kits_folder}", f"acquire.deidentify={deidentify}".lower())
    )
    acquire(config, SilentRun(), raw=tmp_path / "raw")
    copy = nib.Nifti1Image.from_filename(tmp_path / "raw" / "case_00002" / "imaging.nii.gz")
    assert (copy.header["descrip"].item() == b"") is deidentify
    assert np.array_equal(np.asarray(copy.dataobj), np.asarray(image.dataobj))
    assert np.array_equal(copy.affine, image.affine)


def test_lesion_free_scans_come_along_with_the_label_maps_that_they_have(
    load: Load, kits_folder: Path, tmp_path: Path
) -> None:
    for name in ("case_00010", "case_00011"):
        shutil.move(kits_folder / name, tmp_path / "free" / name)
    (tmp_path / "free" / "case_00011" / "segmentation.nii.gz").unlink()
    config = load(
        *("acquire.source=folder", f"acquire.folder.path={kits_folder}", f"acquire.lesion_free={tmp_path / 'free'}")
    )
    assert acquire(config, SilentRun(), raw=tmp_path / "raw") == {"cases": 10}
    found = {path.name: len([*path.iterdir()]) for path in (tmp_path / "raw" / "lesion_free").iterdir()}
    assert found == {"case_00010": 2, "case_00011": 1}


def test_patients_of_another_hospital_come_with_their_label_maps(load: Load, kits_folder: Path, tmp_path: Path) -> None:
    for name in ("case_00010", "case_00011"):
        shutil.move(kits_folder / name, tmp_path / "theirs" / name)
    own = ("acquire.source=folder", f"acquire.folder.path={kits_folder}")
    config = load(*own, f"acquire.external.path={tmp_path / 'theirs'}")
    assert acquire(config, SilentRun(), raw=tmp_path / "raw") == {"cases": 10}
    found = {path.name: len([*path.iterdir()]) for path in (tmp_path / "raw" / "external").iterdir()}
    assert found == {"case_00010": 2, "case_00011": 2}
    (tmp_path / "theirs" / "case_00011" / "segmentation.nii.gz").unlink()
    with pytest.raises(SourceError, match=r"case_00011/segmentation.nii.gz: is missing"):
        acquire(config, SilentRun(), raw=tmp_path / "again")
