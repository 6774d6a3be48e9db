from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.uid import CTImageStorage, ExplicitVRLittleEndian, MRImageStorage
from scipy.ndimage import gaussian_filter

from nephrite.config import IGNORED, Config, ForeignSettings
from nephrite.errors import ConfigError, LabelValueError, LeakageError, SourceError, SplitError, StoreError, VolumeError
from nephrite.files import sha256
from nephrite.imaging.foreign import find_pairs
from nephrite.privacy.copies import foreign_copies, write_copy
from nephrite.recording import SilentRun
from nephrite.redaction import hidden_name
from nephrite.segmentation.backend import StoredScan
from nephrite.stages.prepare import prepare
from nephrite.store.brought.sets import read_set
from nephrite.store.earlier_split import FEWEST
from nephrite.store.persons import write_persons
from nephrite.store.slices import EXTERNAL, LESION_FREE, UNLABELED, PairStore
from nephrite.verdict.statistics import MINIMUM_PATIENTS
from tests.conftest import write_series as write_ct
from tests.foreign_sets import maisi, tell, write_freetumor, write_maisi
from tests.own_layouts import second_channel

Load = Callable[..., Config]


def prepared(config: Config, raw: Path, target: Path) -> PairStore:
    prepare(config, SilentRun(), raw=raw, pairs=target)
    return PairStore(target)


def test_every_case_becomes_one_patient_with_all_its_slices(load: Load, kits_folder: Path, tmp_path: Path) -> None:
    store = prepared(load(), kits_folder, tmp_path / "pairs")
    assert len(store.patients()) == 12
    assert store.image("case_00003").shape == store.label("case_00003").shape == (5, 32, 32)


def test_hounsfield_and_classes_survive(load: Load, kits_folder: Path, tmp_path: Path) -> None:
    store = prepared(load(), kits_folder, tmp_path / "pairs")
    image, label = store.image("case_00000"), store.label("case_00000")
    assert [image[label == value].mean() for value in (0, 1, 2)] == pytest.approx([-50, 10, 70], abs=8)


def test_spacing_follows_the_new_size(load: Load, kits_folder: Path, tmp_path: Path) -> None:
    patient = prepared(load(), kits_folder, tmp_path / "pairs").patient("case_00000")
    assert patient.spacing == pytest.approx((5.0, 0.8 * 40 / 32, 0.8 * 48 / 32))
    case = kits_folder / "case_00000"
    assert patient.sources == {hidden_name(path): sha256(path) for path in case.iterdir()}


def test_workers_do_not_change_the_store(load: Load, kits_folder: Path, tmp_path: Path) -> None:
    alone = prepared(load(), kits_folder, tmp_path / "alone")
    together = prepared(load("prepare.workers=2"), kits_folder, tmp_path / "together")
    assert alone.manifest.digest == together.manifest.digest
    assert np.array_equal(alone.image("case_00004"), together.image("case_00004"))


def test_blocks_do_not_change_the_store(load: Load, kits_folder: Path, tmp_path: Path) -> None:
    whole = prepared(load("prepare.block=64"), kits_folder, tmp_path / "whole")
    pieces = prepared(load("prepare.block=2"), kits_folder, tmp_path / "pieces")
    assert np.array_equal(whole.image("case_00004"), pieces.image("case_00004"))


def test_percentile_window_is_the_patients_own(load: Load, kits_folder: Path, tmp_path: Path) -> None:
    store = prepared(load("prepare.intensity={kind: percentile, low: 5, high: 95}"), kits_folder, tmp_path / "pairs")
    low, high = np.percentile(store.image("case_00001"), [5, 95])
    assert store.patient("case_00001").window == pytest.approx((low, high), abs=1)


def test_fractions_keep_their_precision(
    load: Load, kits_folder: Path, write_kits_case: Callable[..., None], tmp_path: Path
) -> None:
    ramp = np.linspace(0, 1, 5 * 40 * 48, dtype=np.float32).reshape(5, 40, 48)
    write_kits_case(kits_folder / "mr", 99, image=ramp)
    store = prepared(load("prepare.intensity={kind: percentile, low: 1, high: 99}"), kits_folder, tmp_path / "pairs")
    patient = store.patient("mr")
    values = store.image("mr") * patient.slope + patient.intercept
    assert (values.min(), values.max()) == pytest.approx((0, 1), abs=0.02)


@pytest.mark.parametrize("value", [-1000, 50, 3000])
def test_a_scan_that_shows_one_intensity_is_refused(
    load: Load, kits_folder: Path, write_kits_case: Callable[..., None], tmp_path: Path, value: int
) -> None:
    write_kits_case(kits_folder / "blank", 99, image=np.full((5, 40, 48), value, np.int16))
    with pytest.raises(
        VolumeError, match=rf"imaging.nii.gz: shows one intensity only: stored values {value} to {value}"
    ):
        prepared(load(), kits_folder, tmp_path / "pairs")
    assert [path.name for path in tmp_path.iterdir()] == ["source"]


def test_unknown_label_value_leaves_nothing_behind(load: Load, kits_folder: Path, tmp_path: Path) -> None:
    with pytest.raises(LabelValueError, match=r"segmentation.nii.gz: values \{2\} are not among the classes"):
        prepared(
            load("prepare.classes={1: kidney}", "prepare.channels={kidney: [1]}", "prepare.lesions={}", *KIDNEY_ONLY),
            kits_folder,
            tmp_path / "pairs",
        )
    assert [path.name for path in tmp_path.iterdir()] == ["source"]


def test_one_scan_under_two_names_is_refused(load: Load, kits_folder: Path, tmp_path: Path) -> None:
    shutil.copytree(kits_folder / "case_00001", kits_folder / "copy_of_1")
    with pytest.raises(SourceError, match="copy_of_1: holds the same scan as 'case_00001'"):
        prepared(load(), kits_folder, tmp_path / "pairs")


def test_too_few_patients_are_refused_before_any_is_prepared(load: Load, kits_folder: Path, tmp_path: Path) -> None:
    with pytest.raises(SplitError, match="12 patients leave none for"):
        prepared(
            load("prepare.split={train: 0.99, validation: 0.005, test: 0.005, salt: x}"), kits_folder, tmp_path / "p"
        )


KIDNEY_ONLY = ("evaluate.regions={kidney: {labels: [1], tolerance: 2}}", "trial.primary=kidney")


def test_a_slice_that_cannot_be_decoded_leaves_nothing_behind(load: Load, kits_folder: Path, tmp_path: Path) -> None:
    write_ct(kits_folder / UNLABELED / "DICOM" / "s", np.random.default_rng(0).integers(0, 90, (3, 8, 8)))
    path = kits_folder / UNLABELED / "DICOM" / "s" / "2.dcm"
    path.write_bytes(path.read_bytes()[:-30])
    with pytest.raises(VolumeError, match=r"s/2\.dcm: pixel data are missing, truncated or damaged; fetch it again"):
        prepared(load(), kits_folder, tmp_path / "pairs")
    assert not list(tmp_path.glob("pairs*"))


def tiny_lesion(*, corner: bool = False) -> np.ndarray:
    """A kidney, and a tumor of one pixel in two slices; in a corner both are cropped away."""
    label = np.zeros((5, 40, 48), np.uint8)
    if corner:
        label[1:4, :3, :3] = 1
    else:
        label[1:4, 10:30, 12:36] = 1
        label[2:4, 15, 15] = 2
    return label


def test_classes_that_vanish_on_the_grid_are_said_and_kept(
    load: Load,
    kits_folder: Path,
    write_kits_case: Callable[..., None],
    tmp_path: Path,
    caplog: pytest.LogCaptureFixture,
) -> None:
    write_kits_case(kits_folder / "tiny", 99, label=tiny_lesion())
    metrics = prepare(
        load("prepare.in_plane={kind: resize, size: 16}"), SilentRun(), raw=kits_folder, pairs=tmp_path / "pairs"
    )
    assert "tumor vanished on the grid in 1 of 13 patients: tiny (0.0064 to 0 ml)." in caplog.text
    assert (metrics["regions_vanished"], metrics["regions_halved"]) == (1, 0)
    volumes = PairStore(tmp_path / "pairs").patient("tiny").volumes
    assert volumes["tumor"] == pytest.approx((2 * 5 * 0.8 * 0.8, 0))
    assert volumes["kidney"] == pytest.approx((4602, 4602), rel=0.05)


def test_classes_that_are_cropped_are_said(
    load: Load,
    kits_folder: Path,
    write_kits_case: Callable[..., None],
    tmp_path: Path,
    caplog: pytest.LogCaptureFixture,
) -> None:
    write_kits_case(kits_folder / "edge", 99, label=tiny_lesion(corner=True))
    prepare(
        load("prepare.in_plane={kind: resample, spacing: 0.8, size: 36}"),
        SilentRun(),
        raw=kits_folder,
        pairs=tmp_path / "pairs",
    )
    assert "kidney vanished on the grid in 1 of 13 patients: edge" in caplog.text


def test_nothing_is_said_where_nothing_is_lost(
    load: Load, kits_folder: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    metrics = prepare(load(), SilentRun(), raw=kits_folder, pairs=tmp_path / "pairs")
    assert "on the grid" not in caplog.text
    assert (metrics["regions_vanished"], metrics["regions_halved"]) == (0, 0)


def unlabeled(raw: Path, *names: str, below: str = UNLABELED) -> None:
    for number, name in enumerate(names):
        folder = raw / below / name
        folder.mkdir(parents=True)
        shutil.copy(raw / f"case_{number:05d}" / "imaging.nii.gz", folder / "imaging.nii.gz")
        scan = nib.Nifti1Image.from_filename(folder / "imaging.nii.gz")
        nib.save(nib.Nifti1Image(np.asarray(scan.dataobj)[::-1] + 1, scan.affine), folder / "imaging.nii.gz")


@pytest.mark.parametrize("below", ["unlabeled", "unlabelled"])  # the second in raw data of earlier versions
def test_scans_without_labels_are_a_split_of_their_own(
    load: Load, kits_folder: Path, tmp_path: Path, below: str
) -> None:
    unlabeled(kits_folder, "other_1", "other_2", below=below)
    store = prepared(load(), kits_folder, tmp_path / "pairs")
    assert store.patients(UNLABELED) == ["other_1", "other_2"]
    assert len(store.patients("train")) + len(store.patients("validation")) + len(store.patients("test")) == 12
    assert not store.label("other_1").any()
    assert store.image("other_1").std() > 10


def test_scan_without_labels_of_a_labeled_patient_is_refused(load: Load, kits_folder: Path, tmp_path: Path) -> None:
    unlabeled(kits_folder, "case_00007")
    with pytest.raises(SourceError, match=r"unlabeled/case_00007: is of 'case_00007', who stands among the labeled"):
        prepared(load(), kits_folder, tmp_path / "pairs")


def test_ids_that_differ_in_case_alone_are_one_patient(load: Load, kits_folder: Path, tmp_path: Path) -> None:
    unlabeled(kits_folder, "CASE_00007")
    with pytest.raises(SourceError, match=r"unlabeled/CASE_00007: is of 'case_00007', who stands among the labeled"):
        prepared(load(), kits_folder, tmp_path / "pairs")


def test_the_same_scan_in_another_file_format_is_refused(load: Load, kits_folder: Path, tmp_path: Path) -> None:
    scan = nib.Nifti1Image.from_filename(kits_folder / "case_00004" / "imaging.nii.gz")
    (kits_folder / UNLABELED / "other").mkdir(parents=True)
    nib.save(scan, kits_folder / UNLABELED / "other" / "imaging.nii")
    with pytest.raises(SourceError, match="holds the same scan as"):
        prepared(load(), kits_folder, tmp_path / "pairs")


def test_the_same_scan_without_labels_under_another_name_is_refused(
    load: Load, kits_folder: Path, tmp_path: Path
) -> None:
    shutil.copytree(kits_folder / "case_00004", kits_folder / UNLABELED / "other")
    with pytest.raises(SourceError, match="holds the same scan as"):
        prepared(load(), kits_folder, tmp_path / "pairs")


def write_series(folder: Path, voxels: np.ndarray, modality: str, **elements: object) -> None:
    """A DICOM series of signed slices as the store orders them, 5 mm apart, pixels of 0.8 mm."""
    folder.mkdir(parents=True)
    for number, plane in enumerate(voxels):
        header = Dataset()
        header.SOPClassUID = CTImageStorage if modality == "CT" else MRImageStorage
        header.SOPInstanceUID, header.Modality = f"1.2.{number + 1}", modality
        header.SeriesInstanceUID, header.InstanceNumber = "1.2.840.111111", number + 1
        header.ImagePositionPatient, header.ImageOrientationPatient = [0, 0, -5.0 * number], [1, 0, 0, 0, 1, 0]
        header.PixelSpacing = [0.8, 0.8]
        header.file_meta = FileMetaDataset()
        header.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
        header.file_meta.MediaStorageSOPClassUID = header.SOPClassUID
        header.set_pixel_data(plane, "MONOCHROME2", 16, generate_instance_uid=False)
        for keyword, value in elements.items():
            header.add_new(keyword, "SS" if keyword == "PixelPaddingValue" else "DS", value)
        header.save_as(folder / f"{number}.dcm", enforce_file_format=True)


@pytest.mark.parametrize("kind", ["window, center: 0, width: 400", "percentile"])
@pytest.mark.parametrize("modality", ["CT", "MR"])
def test_twins_are_found_across_formats(
    load: Load, kits_folder: Path, write_kits_case: Callable[..., None], modality: str, kind: str
) -> None:
    low = -1000 if modality == "CT" else 0
    scan = np.random.default_rng(5).integers(low, 700, (5, 40, 48)).astype(np.int16)
    scan[:, :3] = -2000
    rescale = {"RescaleSlope": 1, "RescaleIntercept": 0} if modality == "CT" else {}
    write_series(kits_folder / UNLABELED / "other", scan, modality, PixelPaddingValue=-2000, **rescale)
    write_kits_case(kits_folder / "odd", 99, image=scan)
    with pytest.raises(SourceError, match="holds the same scan as"):
        prepared(load(f"prepare.intensity={{kind: {kind}}}"), kits_folder, kits_folder.parent / "pairs")


@pytest.fixture
def with_alike(kits_folder: Path, write_kits_case: Callable[..., None]) -> Path:
    """Cases of which two, 'odd' and 'again', look nearly the same."""
    scan = gaussian_filter(np.random.default_rng(5).normal(0, 4000, (6, 40, 48)), (0, 3, 3)).astype(np.int16)
    write_kits_case(kits_folder / "odd", 98, image=scan[:5])
    write_kits_case(kits_folder / "again", 99, image=scan[1:])
    return kits_folder


def test_scans_that_look_nearly_the_same_are_told_and_counted(
    load: Load, with_alike: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    run = prepare(load(), SilentRun(), raw=with_alike, pairs=tmp_path / "pairs")
    assert run["near_twins"] >= 1
    assert f"{with_alike}/again: looks nearly the same as 'odd'" in caplog.text


def test_files_without_a_unit_are_told_in_one_line(
    load: Load, kits_folder: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    prepared(load(), kits_folder, tmp_path / "pairs")
    told = [record.getMessage() for record in caplog.records if "xyzt_units" in record.getMessage()]
    assert len(told) == 1
    assert "case_00000/imaging.nii.gz and 11 others of 12 do not say" in told[0]


def free_of_lesions(raw: Path, *names: str, label: bool = True) -> None:
    for number, name in enumerate(names):
        unlabeled(raw, name, below=LESION_FREE)
        scan = nib.Nifti1Image.from_filename(raw / LESION_FREE / name / "imaging.nii.gz")
        nib.save(
            nib.Nifti1Image(np.asarray(scan.dataobj) + number, scan.affine), raw / LESION_FREE / name / "imaging.nii.gz"
        )
        if label:
            shutil.copy(raw / "case_00000" / "segmentation.nii.gz", raw / LESION_FREE / name)


def test_lesion_free_scans_are_a_split_in_which_known_lesions_are_ignored(
    load: Load, kits_folder: Path, tmp_path: Path
) -> None:
    free_of_lesions(kits_folder, "free_1", "free_2")
    store = prepared(load("prepare.lesion_free.margin=1"), kits_folder, tmp_path / "pairs")
    assert store.patients(LESION_FREE) == ["free_1", "free_2"]
    assert len(store.patients()) == 14
    label, truth = store.label("free_1"), store.label("case_00000")
    assert set(np.unique(label)) == {0, 1, IGNORED}
    assert (label[truth == 2] == IGNORED).all()
    assert (truth == 2).sum() < (label == IGNORED).sum() < 3 * (truth == 2).sum()
    assert (label[label != IGNORED] == truth[label != IGNORED]).all()
    assert [*store.patient("free_1").volumes] == ["kidney"]


def test_lesion_free_scans_without_label_maps_suffice_where_every_class_is_a_lesion(
    load: Load, kits_folder: Path, tmp_path: Path
) -> None:
    free_of_lesions(kits_folder, "free_1", label=False)
    with pytest.raises(SourceError, match=r"lesion_free/free_1: has no label map, so its 'kidney' is not known; add"):
        prepared(load(), kits_folder, tmp_path / "pairs")
    store = prepared(load("prepare.lesions={tumor: null, kidney: null}"), kits_folder, tmp_path / "pairs")
    assert not store.label("free_1").any()


def test_lesion_free_scan_of_a_test_patient_is_refused(load: Load, kits_folder: Path, tmp_path: Path) -> None:
    known = prepared(load(), kits_folder, tmp_path / "once").patients("test")[0]
    free_of_lesions(kits_folder, known)
    with pytest.raises(SourceError, match=rf"lesion_free/{known}: is of '{known}', who stands among the labeled pat"):
        prepared(load(), kits_folder, tmp_path / "pairs")
    assert not (tmp_path / "pairs").exists()


def test_lesion_free_scan_that_would_be_ignored_as_a_whole_is_refused(
    load: Load, kits_folder: Path, tmp_path: Path
) -> None:
    free_of_lesions(kits_folder, "free_1")
    margin = ("prepare.lesion_free.margin=300", "prepare.lesion_free.unit=millimeters")
    with pytest.raises(VolumeError, match=r"free_1/imaging.nii.gz: is ignored as a whole.*lesion_free\.margin"):
        prepared(load(*margin), kits_folder, tmp_path / "pairs")


def test_patients_keep_their_split_when_others_come(load: Load, kits_folder: Path, tmp_path: Path) -> None:
    few = tmp_path / "few"
    few.mkdir()
    for case in sorted(kits_folder.iterdir())[:9]:
        shutil.copytree(case, few / case.name)
    before = dict(prepared(load(), few, tmp_path / "pairs").splits)
    alone = dict(prepared(load(), kits_folder, tmp_path / "alone").splits)
    after = dict(prepared(load(), kits_folder, tmp_path / "pairs").splits)
    assert {patient: after[patient] for patient in before} == before
    assert {patient: alone[patient] for patient in before} != before
    other = dict(prepared(load("prepare.split.salt=other"), kits_folder, tmp_path / "pairs").splits)
    assert other == dict(prepared(load("prepare.split.salt=other"), kits_folder, tmp_path / "fresh").splits)


def test_an_earlier_split_that_cannot_be_read_is_drawn_anew(
    load: Load, kits_folder: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    first = dict(prepared(load(), kits_folder, tmp_path / "pairs").splits)
    (tmp_path / "pairs" / "split.json").write_text("{")
    assert dict(prepared(load(), kits_folder, tmp_path / "pairs").splits) == first
    assert "patients are split anew" in caplog.text


def test_patients_are_split_as_a_file_says(load: Load, kits_folder: Path, tmp_path: Path) -> None:
    names = sorted(case.name for case in kits_folder.iterdir())
    wanted = dict(zip(names, ["test"] * 4 + ["validation"] * 3 + ["train"] * 5, strict=True))
    file = tmp_path / "split.csv"
    file.write_text("\n".join(["patient,split", *(f"{name},{split}" for name, split in wanted.items())]))
    config = load(f"prepare.split.file={file}")
    assert dict(prepared(config, kits_folder, tmp_path / "pairs").splits) == wanted
    file.write_text("\n".join(["patient,split", *(f"{name},{split}" for name, split in [*wanted.items()][1:])]))
    with pytest.raises(SplitError, match=f"lacks patients {names[0]}"):
        prepared(config, kits_folder, tmp_path / "other")
    assert not (tmp_path / "other").exists()


def test_few_test_patients_are_warned_of(
    load: Load, kits_folder: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    prepared(load(), kits_folder, tmp_path / "pairs")
    assert f"test patients, fewer than the {MINIMUM_PATIENTS} that a verdict needs" in caplog.text
    assert FEWEST == MINIMUM_PATIENTS


def test_patients_without_lesions_are_dealt_to_all_splits(load: Load, kits_folder: Path, tmp_path: Path) -> None:
    for case in sorted(kits_folder.iterdir())[:6]:
        label = nib.Nifti1Image.from_filename(case / "segmentation.nii.gz")
        healthy = np.where(np.asarray(label.dataobj) == 2, 1, np.asarray(label.dataobj)).astype(np.uint8)
        nib.save(nib.Nifti1Image(healthy, label.affine), case / "segmentation.nii.gz")
    shares = "prepare.split={train: 0.34, validation: 0.33, test: 0.33, salt: x}"
    store = prepared(load(shares), kits_folder, tmp_path / "pairs")
    healthy_in = [
        store.splits[name] for name in store.patients() if not store.patient(name).volumes.get("tumor", (0, 0))[0]
    ]
    assert len(healthy_in) == 6
    assert [healthy_in.count(split) for split in ("train", "validation", "test")] == [2, 2, 2]


def owned(raw: Path, *further: str) -> dict[str, str]:
    """A table by which cases 0 and 1, 2 and 3 and so on are of one patient, and further scans of that of case 0."""
    persons = {f"case_{number:05d}": f"p{number // 2}" for number in range(12)} | dict.fromkeys(further, "p0")
    write_persons(raw, persons)
    return persons


def test_all_scans_of_a_patient_stand_in_one_split(load: Load, kits_folder: Path, tmp_path: Path) -> None:
    persons = owned(kits_folder)
    metrics = prepare(load(), SilentRun(), raw=kits_folder, pairs=tmp_path / "pairs")
    store = PairStore(tmp_path / "pairs")
    assert store.persons() == persons
    assert len({(persons[scan], split) for scan, split in store.splits.items()}) == 6
    assert (metrics["patients"], metrics["scans"]) == (6, 12)
    assert sum(metrics[f"{split}_patients"] for split in ("train", "validation", "test")) == 6


def test_patients_keep_their_split_when_further_scans_of_theirs_come(
    load: Load, kits_folder: Path, tmp_path: Path
) -> None:
    few = tmp_path / "few"
    for number in range(0, 12, 2):
        shutil.copytree(kits_folder / f"case_{number:05d}", few / f"case_{number:05d}")
    before = dict(prepared(load(), few, tmp_path / "pairs").splits)
    owned(kits_folder)
    after = dict(prepared(load(), kits_folder, tmp_path / "pairs").splits)
    for number in range(0, 12, 2):
        assert after[f"case_{number:05d}"] == after[f"case_{number + 1:05d}"] == before[f"case_{number:05d}"]


def test_a_table_of_other_scans_is_refused(load: Load, kits_folder: Path, tmp_path: Path) -> None:
    owned(kits_folder, "gone")
    with pytest.raises(SplitError, match=r"patients\.csv: names unknown cases gone"):
        prepared(load(), kits_folder, tmp_path / "pairs")
    assert not (tmp_path / "pairs").exists()


def test_a_split_file_that_puts_scans_of_one_patient_apart_is_refused(
    load: Load, kits_folder: Path, tmp_path: Path
) -> None:
    persons = owned(kits_folder)
    file = tmp_path / "split.csv"
    wanted = ["test"] * 3 + ["validation"] * 4 + ["train"] * 5
    file.write_text("\n".join(["patient,split", *map(",".join, zip(persons, wanted, strict=True))]))
    with pytest.raises(SplitError, match=r"split\.csv: puts scans of one patient apart: 'case_00002' into test and"):
        prepared(load(f"prepare.split.file={file}"), kits_folder, tmp_path / "pairs")
    assert not (tmp_path / "pairs").exists()


def test_other_scans_of_test_patients_are_kept_and_warned_of(
    load: Load, kits_folder: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    unlabeled(kits_folder, "other_1")
    file = tmp_path / "split.csv"
    persons = owned(kits_folder, "other_1")
    wanted = ["test"] * 4 + ["validation"] * 4 + ["train"] * 4
    file.write_text("\n".join(["patient,split", *map(",".join, zip([*persons][:12], wanted, strict=True))]))
    store = prepared(load(f"prepare.split.file={file}"), kits_folder, tmp_path / "pairs")
    assert store.splits["other_1"] == UNLABELED
    assert "1 scan of patients of validation or test, which no training will see, e.g. 'other_1'" in caplog.text


def test_two_scans_of_one_patient_may_look_alike(
    load: Load, with_alike: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    owned(with_alike, "odd", "again")
    prepared(load(), with_alike, tmp_path / "pairs")
    assert "'odd'" not in caplog.text


def test_few_confirmation_patients_are_warned_of(
    load: Load, kits_folder: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    shares = "prepare.split={train: 0.4, validation: 0.2, test: 0.2, confirmation: 0.2, salt: x}"
    store = prepared(load(shares), kits_folder, tmp_path / "pairs")
    assert 2 <= len(store.patients("confirmation")) <= 3
    assert f"confirmation patients, fewer than the {FEWEST} that a verdict needs" in caplog.text


def elsewhere(raw: Path, *names: str, label: tuple[int, int] = (1, 2)) -> None:
    """Move the last cases to another hospital, where kidney and tumor have other label values."""
    for case, name in zip(sorted(raw.glob("case_*"))[-len(names) :], names, strict=True):
        (raw / EXTERNAL).mkdir(exist_ok=True)
        path = case.rename(raw / EXTERNAL / name) / "segmentation.nii.gz"
        scan = nib.Nifti1Image.from_filename(path)
        voxels = np.asarray(scan.dataobj)
        nib.save(nib.Nifti1Image(np.choose(voxels, (0, *label)).astype(np.uint8), scan.affine), path)


THEIRS = "acquire.external={path: /theirs, classes: {4: kidney, 6: tumor, 9: null}}"


def test_patients_of_another_hospital_are_a_split_in_our_label_values(
    load: Load, kits_folder: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    truth = prepared(load(), kits_folder, tmp_path / "home")
    elsewhere(kits_folder, "e1", "e2", label=(4, 6))
    store = prepared(load(THEIRS), kits_folder, tmp_path / "pairs")
    assert store.patients(EXTERNAL) == ["e1", "e2"]
    assert len(store.patients()) == 12
    assert np.array_equal(store.label("e2"), truth.label("case_00011"))
    assert store.patient("e2").volumes == truth.patient("case_00011").volumes
    assert store.patient("e2").window == truth.patient("case_00011").window
    assert "acquire.external: 2 external test patients, fewer than the 8 that a verdict needs" in caplog.text


@pytest.mark.parametrize(
    ("settings", "told"),
    [
        (
            (),
            r"external/e1/segmentation.nii.gz: values \{4, 6\} are not among the classes \{1: kidney, 2: tumor\}; name",
        ),
        (
            ("acquire.external={path: /theirs, classes: {4: kidney}}",),
            r"values \{6\} are not among .* 'acquire.external",
        ),
    ],
)
def test_a_label_value_of_theirs_that_nobody_named_is_refused(
    load: Load, kits_folder: Path, tmp_path: Path, settings: tuple[str, ...], told: str
) -> None:
    elsewhere(kits_folder, "e1", label=(4, 6))
    with pytest.raises(LabelValueError, match=told):
        prepared(load(*settings), kits_folder, tmp_path / "pairs")
    assert not (tmp_path / "pairs").exists()


def test_a_patient_who_is_at_home_and_elsewhere_is_refused(load: Load, kits_folder: Path, tmp_path: Path) -> None:
    elsewhere(kits_folder, "Case_00003")
    told = r"external/Case_00003: is of 'case_00003', who stands among the labeled patients; .* rename it"
    with pytest.raises(SourceError, match=told):
        prepared(load(), kits_folder, tmp_path / "pairs")
    (kits_folder / EXTERNAL / "Case_00003").rename(kits_folder / EXTERNAL / "e1")
    shutil.copy(kits_folder / "case_00003" / "imaging.nii.gz", kits_folder / EXTERNAL / "e1")
    with pytest.raises(SourceError, match="holds the same scan as"):
        prepared(load(), kits_folder, tmp_path / "pairs")


def test_sets_of_other_programs_change_nothing_of_the_real_slices(
    load: Load, kits_folder: Path, tmp_path: Path
) -> None:
    alone = prepared(load(), kits_folder, tmp_path / "alone")
    sets = f"{maisi(tmp_path)[:-1]}, tumors: {{path: x, intensity: {{}}}}}}"
    for name, write in (("maisi", write_maisi), ("tumors", write_freetumor)):
        source = write(tmp_path / name, 2)
        for copy in foreign_copies(find_pairs(source, ForeignSettings()), numbered=False):
            write_copy(copy, kits_folder / "synthetic" / name, "")
        shutil.copyfile(source / "provenance.json", kits_folder / "synthetic" / name / "provenance.json")
    metrics = prepare(load(sets), SilentRun(), raw=kits_folder, pairs=tmp_path / "pairs")
    assert metrics["brought_scans"] == 4
    store = PairStore(tmp_path / "pairs")
    assert store.manifest.digest == alone.manifest.digest
    assert not any("synthetic" in patient for patient in store.splits)
    found, record = read_set(tmp_path / "pairs", "tumors")
    assert (len(found.patients()), record.standing) == (2, "clean")
    image, label = found.image("synthetic-tumors.0"), found.label("synthetic-tumors.0")
    assert image.min() < -900
    assert image[label == 2].mean() == pytest.approx(110, abs=25)  # borders are blurred


def test_a_leak_leaves_no_store(load: Load, kits_folder: Path, tmp_path: Path) -> None:
    splits = prepared(load(), kits_folder, tmp_path / "alone").splits
    test = next(patient for patient, split in splits.items() if split == "test")
    source = write_maisi(tmp_path / "maisi", 1)
    for copy in foreign_copies(find_pairs(source, ForeignSettings()), numbered=False):
        write_copy(copy, kits_folder / "synthetic" / "maisi", "")
    tell(kits_folder / "synthetic" / "maisi", masks_from={"patients": [test]})
    with pytest.raises(LeakageError, match=f"masks_from: names {test}"):
        prepared(load(maisi(source)), kits_folder, tmp_path / "pairs")
    assert not (tmp_path / "pairs").exists()


def test_each_channel_is_stored_as_it_would_be_alone(load: Load, kits_folder: Path, tmp_path: Path) -> None:
    config = load("prepare.intensity={kind: percentile}")
    alone = [prepared(config, kits_folder, tmp_path / "first")]
    for case in kits_folder.iterdir():
        scan = nib.Nifti1Image.from_filename(case / "imaging.nii.gz")
        other = second_channel(np.asarray(scan.dataobj)).transpose(1, 0, 2)[::-1]  # the same voxels in other axes
        (case / "imaging.nii.gz").rename(case / "imaging_0000.nii.gz")
        affine = scan.affine[:, [1, 0, 2, 3]] @ np.diag([-1, 1, 1, 1.0])
        affine[:, 3] = scan.affine @ [0, scan.shape[1] - 1, 0, 1]
        nib.save(nib.Nifti1Image(other, affine), case / "imaging_0001.nii.gz")
        (there := tmp_path / "other" / case.name).mkdir(parents=True)
        shutil.copyfile(case / "imaging_0001.nii.gz", there / "imaging.nii.gz")
        shutil.copyfile(case / "segmentation.nii.gz", there / "segmentation.nii.gz")
    alone.append(prepared(config, tmp_path / "other", tmp_path / "second"))
    (kits_folder / "channels.json").write_text('{"channels": ["T1w", "FLAIR"]}')
    store = prepared(config, kits_folder, tmp_path / "both")
    assert store.manifest.image_channels == ("T1w", "FLAIR")
    for number, one in enumerate(alone):
        assert np.array_equal(store.channel("case_00003", number), one.image("case_00003"))
        assert store.patient("case_00003").scales[number] == one.patient("case_00003").scales[0]
        assert np.array_equal(store.label("case_00003"), one.label("case_00003"))
        shown = StoredScan(store, "case_00003").channels[number]
        expected = StoredScan(one, "case_00003")
        assert shown.intensity_window == expected.intensity_window
        assert np.array_equal(shown.windowed(range(1, 3)), expected.windowed(range(1, 3)))
    assert len(store.patient("case_00003").sources) == 3
    with pytest.raises(StoreError, match=r"both: holds scans of 2 channels \(T1w, FLAIR\), and one is read here"):
        store.image("case_00003")


def test_channels_on_other_voxels_or_with_one_window_or_missing_are_refused(
    load: Load, kits_folder: Path, tmp_path: Path
) -> None:
    (kits_folder / "channels.json").write_text('{"channels": ["T1w", "FLAIR"]}')
    with pytest.raises(SourceError, match=r"case_00000/imaging_0000.nii.gz: is missing"):
        prepare(load("prepare.intensity={kind: percentile}"), SilentRun(), raw=kits_folder, pairs=tmp_path / "pairs")
    for case in kits_folder.glob("case_*"):
        shutil.copyfile(case / "imaging.nii.gz", case / "imaging_0001.nii.gz")
        (case / "imaging.nii.gz").rename(case / "imaging_0000.nii.gz")
    with pytest.raises(ConfigError, match=r"prepare.intensity: is one window, and .* asks for 2 channels"):
        prepare(load(), SilentRun(), raw=kits_folder, pairs=tmp_path / "pairs")
    image = nib.Nifti1Image.from_filename(kits_folder / "case_00004" / "imaging_0001.nii.gz")
    moved = image.affine.copy()
    moved[:3, 3] += 9
    nib.save(nib.Nifti1Image(np.asarray(image.dataobj), moved), kits_folder / "case_00004" / "imaging_0001.nii.gz")
    with pytest.raises(VolumeError, match=r"case_00004/imaging_0001.*: lies on other voxels than the first channel"):
        prepare(load("prepare.intensity={kind: percentile}"), SilentRun(), raw=kits_folder, pairs=tmp_path / "pairs")
    assert not list(tmp_path.glob("pairs*"))
