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
from nephrite.errors import ConfigError, DicomError, RemoteError, SourceError, SplitError, VolumeError
from nephrite.files import sha256
from nephrite.imaging.channels import stored_channels
from nephrite.imaging.nifti import open_nifti
from nephrite.imaging.sources import find_cases, open_scan
from nephrite.privacy.pseudonyms import pseudonyms
from nephrite.recording import SilentRun
from nephrite.stages.acquire import acquire
from nephrite.store.brought.origin import read_provenance
from nephrite.store.persons import TABLE, read_table, write_persons
from nephrite.store.slices import EXTERNAL, PairStore
from nephrite.versions import push_version
from tests.conftest import write_series
from tests.foreign_sets import maisi, tell, write_maisi
from tests.own_layouts import (
    CHANNELS,
    PLACES,
    TEST_SCANS,
    put_session,
    second_channel,
    write_channels,
    write_layout,
)

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


def contents(folder: Path) -> dict[str, str]:
    """Digest of each file below a folder, by its place."""
    return {path.relative_to(folder).as_posix(): sha256(path) for path in folder.rglob("*") if path.is_file()}


@pytest.mark.parametrize("layout", PLACES)
@pytest.mark.parametrize("deidentify", ["true", "false"])
def test_every_layout_is_copied_to_the_same_raw_data(
    load: Load, kits_folder: Path, tmp_path: Path, layout: str, deidentify: str, *, caplog: pytest.LogCaptureFixture
) -> None:
    for number in (1, 2):
        shutil.copytree(kits_folder / f"case_0000{number}", tmp_path / "kits" / f"sub-{number}")
    folder = write_layout(layout, tmp_path / "kits", tmp_path / "set")
    for source, raw in ((tmp_path / "kits", "expected"), (folder, "raw")):
        settings = [f"acquire.folder.path={source}", f"acquire.deidentify={deidentify}"]
        acquire(load("acquire.source=folder", *settings), SilentRun(), raw=tmp_path / raw)
    assert contents(tmp_path / "raw") == contents(tmp_path / "expected")
    told = [record.getMessage() for record in caplog.records if "no patients of the trial" in record.getMessage()]
    assert len(told) == (layout in TEST_SCANS)


def test_sessions_of_a_subject_are_scans_of_one_patient(load: Load, kits_folder: Path, tmp_path: Path) -> None:
    for number in (1, 2, 3):
        put_session(kits_folder / f"case_0000{number}", tmp_path / "set", f"sub-{1 + number // 3}", number)
    metrics = acquire(from_folder(load, tmp_path / "set"), SilentRun(), raw=tmp_path / "raw")
    assert metrics == {"cases": 3, "patients": 2}
    table = {"sub-1_ses-1": "sub-1", "sub-1_ses-2": "sub-1", "sub-2_ses-3": "sub-2"}
    assert read_table(tmp_path / "raw" / TABLE) == table
    # what the user says of them comes first
    told = load("acquire.source=folder", f"acquire.folder.path={tmp_path / 'set'}", "acquire.patients.rule=.+_(ses-.)")
    acquire(told, SilentRun(), raw=tmp_path / "told")
    assert {*read_table(tmp_path / "told" / TABLE).values()} == {"ses-1", "ses-2", "ses-3"}


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


TENS = "acquire.patients.rule=case_000[01]([0-9])"  # cases 0 and 10, and 1 and 11, are scans of one patient


def test_whose_the_scans_are_comes_along(load: Load, kits_folder: Path, tmp_path: Path) -> None:
    place = ("acquire.source=folder", f"acquire.folder.path={kits_folder}")
    metrics = acquire(load(*place, TENS), SilentRun(), raw=tmp_path / "raw")
    assert metrics == {"cases": 12, "patients": 10}
    found = read_table(tmp_path / "raw" / TABLE)
    assert (len(found), found["case_00000"], found["case_00010"]) == (12, "0", "0")
    acquire(load(*place), SilentRun(), raw=tmp_path / "plain")
    assert not (tmp_path / "plain" / TABLE).exists()


def test_a_table_names_cases_as_their_owner_does_and_pseudonyms_are_written(
    load: Load, kits_folder: Path, tmp_path: Path
) -> None:
    (tmp_path / "more").mkdir()
    (kits_folder / "case_00011").rename(tmp_path / "more" / "other")
    cases = sorted(case.name for case in kits_folder.iterdir())
    owners = {name: f"Miller, {number // 2}" for number, name in enumerate(cases)} | {"other": "Miller, 0"}
    table = tmp_path / "table.csv"
    table.write_text("case,patient\n" + "".join(f'{case},"{owner}"\n' for case, owner in owners.items()))
    place = ("acquire.source=folder", f"acquire.folder.path={kits_folder}", f"acquire.unlabeled={tmp_path / 'more'}")
    named = (*place, f"acquire.patients.table={table}")
    acquire(load(*named, "acquire.pseudonyms=true"), SilentRun(), raw=tmp_path / "raw")
    found = read_table(tmp_path / "raw" / TABLE)
    made = pseudonyms({*owners, *owners.values()})
    assert found == {made[case]: made[owner] for case, owner in owners.items()}
    assert {*found} == {case.patient for case in find_cases(tmp_path / "raw")} | {made["other"]}
    files = [path for path in (tmp_path / "raw").rglob("*") if path.is_file()]
    written = b"".join(str(path.relative_to(tmp_path)).encode() + path.read_bytes() for path in files)
    assert not any(word in written for word in (b"Miller", b"case_", b"other"))
    with pytest.raises(ConfigError, match="cannot be a patient's id"):
        acquire(load(*named, "acquire.pseudonyms=false"), SilentRun(), raw=tmp_path / "open")


def test_a_table_that_does_not_fit_is_refused_before_anything_is_copied(
    load: Load, kits_folder: Path, tmp_path: Path
) -> None:
    table = tmp_path / "table.csv"
    table.write_text("case,patient\ncase_00000,a\n")
    config = load("acquire.source=folder", f"acquire.folder.path={kits_folder}", f"acquire.patients.table={table}")
    with pytest.raises(SplitError, match=r"table\.csv: lacks cases case_00001, .*case_00005 \.\.\.; write a line"):
        acquire(config, SilentRun(), raw=tmp_path / "raw")
    assert not list(tmp_path.glob("raw*"))
    with pytest.raises(SplitError, match="cannot be read"):
        acquire(load(f"acquire.patients.table={tmp_path}/none.csv"), SilentRun(), raw=tmp_path / "raw")


def test_a_rule_holds_for_what_a_source_brings(load: Load, tmp_path: Path) -> None:
    rule = ("acquire.phantom.patients=3", "acquire.patients.rule=case_0000([01])")
    assert acquire(load(*rule), SilentRun(), raw=tmp_path / "raw") == {"cases": 3, "patients": 3}
    assert read_table(tmp_path / "raw" / TABLE)["case_00002"] == "case_00002"


def test_a_version_brings_its_table_and_scans_of_ones_own_are_added(
    load: Load, kits_folder: Path, tmp_path: Path
) -> None:
    write_persons(kits_folder, {f"case_{number:05d}": f"p{number // 2}" for number in range(12)})
    remote = tmp_path / "remote"
    version = push_version(kits_folder, str(remote), tmp_path / "source.dvc")
    (tmp_path / "more" / "other").mkdir(parents=True)
    shutil.copy(kits_folder / "case_00000" / "imaging.nii.gz", tmp_path / "more" / "other")
    place = [f"acquire.dvc.remote={remote}", f"acquire.dvc.version={version.hash}"]
    more = f"acquire.unlabeled={tmp_path / 'more'}"
    acquire(load("acquire.source=dvc", *place, more), SilentRun(), raw=tmp_path / "raw")
    found = read_table(tmp_path / "raw" / TABLE)
    assert (len(found), found["case_00003"], found["other"]) == (13, "p1", "other")


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


def brought(config: Config, tmp_path: Path) -> Path:
    acquire(config, SilentRun(), raw=tmp_path / "raw")
    return tmp_path / "raw" / "synthetic" / "maisi"


def test_synthetic_sets_are_copied_into_a_place_of_their_own(load: Load, kits_folder: Path, tmp_path: Path) -> None:
    source = write_maisi(tmp_path / "maisi", 2)
    tell(source, trained_on={"patients": ["case_00003"]})
    config = load("acquire.source=folder", f"acquire.folder.path={kits_folder}", maisi(source))
    folder = brought(config, tmp_path)
    found = sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file())
    files = [f"sample_{number}/{role}.nii.gz" for number in (0, 1) for role in ("imaging", "segmentation")]
    assert found == ["provenance.json", *files]
    label = open_nifti(folder / "sample_1" / "segmentation.nii.gz").read()
    assert set(np.unique(label)) == {0, 1, 5, 403}
    assert read_provenance(folder).trained_on.patients == ("case_00003",)
    assert len(find_cases(tmp_path / "raw")) == 12  # none of them is a case


def test_a_set_beside_a_phantom_is_told_by_its_settings(load: Load, tmp_path: Path) -> None:
    source = write_maisi(tmp_path / "maisi", 1)
    told = {"generator": "another", "trained_on": {"patients": []}}
    folder = brought(load("acquire.phantom.patients=2", maisi(source, provenance=told)), tmp_path)
    assert (read_provenance(folder).generator, read_provenance(folder).masks_from.is_told) == ("another", False)


def test_names_of_fakes_and_of_patients_they_derive_from_become_pseudonyms(
    load: Load, kits_folder: Path, tmp_path: Path
) -> None:
    source = write_maisi(tmp_path / "maisi", 2)
    tell(source, trained_on={"patients": ["Case_00003", "Mrs Smith"]})
    config = load(
        *("acquire.source=folder", f"acquire.folder.path={kits_folder}", "acquire.pseudonyms=true"), maisi(source)
    )
    folder = brought(config, tmp_path)
    assert sorted(path.name for path in folder.iterdir()) == ["1", "2", "provenance.json"]
    names = read_provenance(folder).trained_on.patients
    assert names is not None
    assert names[0] == pseudonyms(["case_00003"])["case_00003"]
    assert (tmp_path / "raw" / names[0]).is_dir()
    assert "Smith" not in (folder / "provenance.json").read_text()


def test_a_store_of_nephrites_own_is_copied_with_what_it_knows(load: Load, synthetic: Path, tmp_path: Path) -> None:
    config = load("acquire.phantom.patients=2", f"acquire.synthetic={{maisi: {{path: {synthetic}}}}}")
    folder = brought(config, tmp_path)
    assert PairStore(folder).manifest.digest == PairStore(synthetic).manifest.digest
    assert read_provenance(folder).masks_from.patients == ("a1", "a2", "a3")


def test_a_set_that_pairs_with_nothing_leaves_nothing_behind(load: Load, tmp_path: Path) -> None:
    source = write_maisi(tmp_path / "maisi", 2)
    (source / "sample_1_label.nii.gz").unlink()
    with pytest.raises(SourceError, match=r"sample_1_image.nii.gz: pairs with nothing"):
        brought(load("acquire.phantom.patients=2", maisi(source)), tmp_path)
    assert not list(tmp_path.glob("raw*"))


@pytest.mark.parametrize("layout", ["nnunet", "decathlon", "bids"])
def test_a_channel_that_is_named_is_the_scan(load: Load, kits_folder: Path, tmp_path: Path, layout: str) -> None:
    shutil.copytree(kits_folder / "case_00001", tmp_path / "kits" / "sub-1")
    folder = write_channels(layout, tmp_path / "kits", tmp_path / "set")
    acquire(from_folder(load, tmp_path / "kits"), SilentRun(), raw=tmp_path / "expected")
    both = voxels(tmp_path / "expected" / "sub-1" / "imaging.nii.gz")
    for name, image in zip(CHANNELS, (both, second_channel(both)), strict=True):
        config = load("acquire.source=folder", f"acquire.folder.path={folder}", f"acquire.channels=[{name}]")
        acquire(config, SilentRun(), raw=tmp_path / name)
        assert np.array_equal(voxels(tmp_path / name / "sub-1" / "imaging.nii.gz"), image)
        assert contents(tmp_path / name).keys() == contents(tmp_path / "expected").keys()
    with pytest.raises((SourceError, VolumeError), match=r"channel|axes"):  # never the first one without being asked
        open_scan(find_cases(folder)[0].scan)


@pytest.mark.parametrize("layout", ["nnunet", "decathlon", "bids"])
def test_several_channels_lie_side_by_side(load: Load, kits_folder: Path, tmp_path: Path, layout: str) -> None:
    for number in (1, 2):
        shutil.copytree(kits_folder / f"case_0000{number}", tmp_path / f"kits{number}" / f"sub-{number}")
    home, theirs = (write_channels(layout, tmp_path / f"kits{number}", tmp_path / f"set{number}") for number in (1, 2))
    where = (f"acquire.folder.path={home}", f"acquire.external.path={theirs}")
    config = load("acquire.source=folder", *where, "acquire.channels=[FLAIR, T1w]")
    acquire(config, SilentRun(), raw=tmp_path / "raw")
    for folder, name in ((tmp_path / "raw", "sub-1"), (tmp_path / "raw" / EXTERNAL, "sub-2")):
        assert stored_channels(folder) == ("FLAIR", "T1w")
        (case,) = find_cases(folder)
        first = voxels(tmp_path / f"kits{name[-1]}" / name / "imaging.nii.gz")
        found = [voxels(channel.path) for channel in case.channels]
        assert [channel.path.name for channel in case.channels] == ["imaging_0000.nii.gz", "imaging_0001.nii.gz"]
        assert np.array_equal(found[0], second_channel(first))
        assert np.array_equal(found[1], first)


def voxels(path: Path) -> np.ndarray:
    """What a NIfTI file holds."""
    return np.asarray(nib.Nifti1Image.from_filename(path).dataobj)
