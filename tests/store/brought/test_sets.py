"""Sets on the grid of the store, each fake with whom it derives from; leaks are refused and leave nothing."""

from __future__ import annotations

import hashlib
import json
import logging
from collections.abc import Callable
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest

from nephrite.config import Config
from nephrite.errors import LabelValueError, LeakageError, SourceError, StoreError, VolumeError
from nephrite.store.brought.origin import FILE
from nephrite.store.brought.sets import Real, bring_sets, read_set, set_folder
from nephrite.store.slices import PairStore
from nephrite.store.twins import slice_looks
from tests.foreign_sets import draw_fake, maisi, save, tell, write_maisi

Load = Callable[..., Config]


@pytest.fixture
def raw(tmp_path: Path) -> Path:
    """Raw data with a set of two fakes, as `acquire` leaves it."""
    folder = tmp_path / "raw" / "synthetic" / "maisi"
    source = write_maisi(tmp_path / "source", 2)
    for number in range(2):
        (folder / f"sample_{number}").mkdir(parents=True)
        for role, name in (("imaging", "image"), ("segmentation", "label")):
            (source / f"sample_{number}_{name}.nii.gz").rename(folder / f"sample_{number}" / f"{role}.nii.gz")
    tell(folder)
    return tmp_path / "raw"


def real(pairs: Path, **persons: str) -> Real:
    store = PairStore(pairs)
    scans = {}
    for patient in store.patients():
        image = np.array(store.image(patient))
        scans[patient] = (slice_looks(image), [hashlib.sha256(image.data).hexdigest()])
    return Real(scans, store.splits, store.persons() | persons, store.manifest)


def bring(load: Load, raw: Path, pairs: Path, *overrides: str, **settings: object) -> dict[str, float]:
    config = load(maisi(raw, **settings), *overrides)
    return bring_sets(config.acquire, config.prepare, raw, pairs, real(pairs))


def show_patient(raw: Path, pairs: Path, patient: str) -> None:
    """Put a lesion into a patient's scan, as the second fake of the set."""
    painted = np.array(PairStore(pairs).image(patient))
    painted[2, 3:6, 3:6] = 90
    label = np.zeros(painted.shape, np.int16)
    label[2, 3:6, 3:6] = 403
    affine = np.array([[0, 0, -2.0, 0], [0, -2.0, 0, 0], [-4.0, 0, 0, 0], [0, 0, 0, 1]])  # as KiTS: slice, row, column
    folder = raw / "synthetic" / "maisi" / "sample_1"
    for name, voxels in (("imaging", painted), ("segmentation", label)):
        (folder / f"{name}.nii.gz").unlink()
        nib.save(nib.Nifti1Image(voxels, affine), folder / f"{name}.nii.gz")


def test_without_sets_nothing_is_done(load: Load, pairs: Path) -> None:
    config = load()
    assert bring_sets(config.acquire, config.prepare, pairs, pairs, real(pairs)) == {}


@pytest.mark.parametrize("workers", [1, 2])
def test_a_set_becomes_a_store_of_its_own(load: Load, raw: Path, pairs: Path, workers: int) -> None:
    before = PairStore(pairs).manifest.digest
    counts = bring(load, raw, pairs, f"prepare.workers={workers}")
    assert counts == {"brought_scans": 2, "brought_twins": 0, "unverifiable_sets": 0}
    assert PairStore(pairs).manifest.digest == before
    store, record = read_set(pairs, "maisi")
    assert store.patients("train") == store.patients() == ["synthetic-maisi.sample_0", "synthetic-maisi.sample_1"]
    assert (record.generator, record.standing, record.shows) == ("ellipses", "clean", {})
    label, (_, drawn) = store.label("synthetic-maisi.sample_0"), draw_fake(900)
    assert set(np.unique(label)) == {0, 1, 2}
    assert (label == 2).mean() == pytest.approx((drawn == 403).mean(), rel=0.3)  # on a coarser grid
    known = store.patient("synthetic-maisi.sample_0")
    assert known.spacing == pytest.approx((5.0, 0.8 * 40 / 32, 0.8 * 48 / 32))
    assert known.provenance is not None
    assert (known.provenance.source_patient, known.provenance.brought) == (None, "maisi")
    assert known.provenance.patients == set()


def test_what_is_told_stands_in_every_fake(load: Load, raw: Path, pairs: Path) -> None:
    tell(raw / "synthetic" / "maisi", trained_on={"patients": ["a2"]}, masks_from="unknown")
    assert bring(load, raw, pairs)["unverifiable_sets"] == 1
    store, record = read_set(pairs, "maisi")
    known = store.patient("synthetic-maisi.sample_1").provenance
    assert known is not None
    assert (known.training_patients, known.unverifiable, record.standing) == (("a2",), True, "unverifiable")


def test_a_fake_in_a_training_scan_gets_its_source(
    load: Load, raw: Path, pairs: Path, caplog: pytest.LogCaptureFixture
) -> None:
    show_patient(raw, pairs, "a2")
    with caplog.at_level(logging.WARNING):
        assert bring(load, raw, pairs)["brought_twins"] == 1
    assert "1 of 2 fakes show patients of this trial: synthetic-maisi.sample_1 a2" in caplog.text
    store, record = read_set(pairs, "maisi")
    known = store.patient("synthetic-maisi.sample_1").provenance
    assert known is not None
    assert (known.source_patient, known.source_slices, known.source_labels) == ("a2", (0, 1, 2, 3, 4, 5), True)
    assert known.patients == {"a2"}
    assert record.shows == {"synthetic-maisi.sample_1": ("a2",)}


@pytest.mark.parametrize("patient", ["b1", "c2"])
def test_a_fake_in_the_scan_of_who_is_judged_is_a_leak_whatever_is_told(
    load: Load, raw: Path, pairs: Path, patient: str
) -> None:
    show_patient(raw, pairs, patient)
    with pytest.raises(LeakageError, match=rf"sample_1/imaging.nii.gz: shows '{patient}' \((validation|test)"):
        bring(load, raw, pairs)


def test_a_further_scan_of_a_test_patient_is_a_leak_too(load: Load, raw: Path, pairs: Path) -> None:
    show_patient(raw, pairs, "a2")
    config, known = load(maisi(raw)), real(pairs)
    known = known._replace(persons={**known.persons, "a2": "c1"})
    with pytest.raises(LeakageError, match="shows 'a2'"):
        bring_sets(config.acquire, config.prepare, raw, pairs, known)


def test_a_fake_in_a_scan_without_labels_knows_the_scan_alone(load: Load, raw: Path, pairs: Path) -> None:
    show_patient(raw, pairs, "a3")
    config, known = load(maisi(raw)), real(pairs)
    known = known._replace(splits={**known.splits, "a3": "unlabeled"})
    bring_sets(config.acquire, config.prepare, raw, pairs, known)
    found = read_set(pairs, "maisi")[0].patient("synthetic-maisi.sample_1").provenance
    assert found is not None
    assert (found.source_labels, found.unlabeled_patients, found.patients) == (False, ("a3",), set())


def test_classes_that_no_label_map_holds_are_refused(load: Load, raw: Path, pairs: Path) -> None:
    with pytest.raises(LabelValueError, match=r"any of the values \[7\] that are classes; they hold 1, 5, 403"):
        bring(load, raw, pairs, classes={"7": "kidney"})


def test_a_fake_without_any_class_is_one_of_many(load: Load, raw: Path, pairs: Path) -> None:
    path = raw / "synthetic" / "maisi" / "sample_0" / "segmentation.nii.gz"
    path.unlink()
    save(path, np.zeros((48, 40, 5), np.int16))
    assert bring(load, raw, pairs)["brought_scans"] == 2


def test_intensities_of_a_scale_of_their_own_are_refused(load: Load, raw: Path, pairs: Path) -> None:
    path = raw / "synthetic" / "maisi" / "sample_0" / "imaging.nii.gz"
    path.unlink()
    save(path, np.random.default_rng(0).random((48, 40, 5)).astype(np.float32))
    with pytest.raises(VolumeError, match="no Hounsfield units; say in 'intensity'"):
        bring(load, raw, pairs)


def test_a_set_that_was_not_acquired_or_prepared_is_told(load: Load, raw: Path, pairs: Path) -> None:
    config = load("acquire.synthetic={other: {path: x}}")
    with pytest.raises(SourceError, match="synthetic/other: is missing; run 'acquire' again"):
        bring_sets(config.acquire, config.prepare, raw, pairs, real(pairs))
    with pytest.raises(StoreError, match=r"was run without 'acquire.synthetic.other'"):
        read_set(pairs, "other")


def test_a_set_that_was_changed_is_refused(load: Load, raw: Path, pairs: Path) -> None:
    bring(load, raw, pairs)
    path = set_folder(pairs, "maisi") / FILE
    path.write_text(json.dumps({**json.loads(path.read_text()), "standing": "clean", "generator": "another"}))
    with pytest.raises(StoreError):
        read_set(pairs, "maisi")
