"""Which scans count as lesion-free for a cell, and what of them is ignored."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from nephrite.config import IGNORED, LesionFreeSettings
from nephrite.errors import ConfigError
from nephrite.store.lesion_free import ignore_lesions, lesion_free_patients, masked_sources, read_lesion_free
from nephrite.store.persons import alone
from nephrite.store.slices import LESION_FREE, PairStore, write_patient
from tests.conftest import SPLITS, finish

SPACING = (4.0, 2.0, 2.0)


def lesion() -> np.ndarray:
    label = np.zeros((3, 20, 20), np.uint8)
    label[1, 5:15, 5:15] = 1
    label[1, 9:11, 9:11] = 2
    return label


def test_pixels_about_a_lesion_are_ignored_within_its_slice() -> None:
    known = ignore_lesions(lesion(), [2], SPACING, LesionFreeSettings(margin=2))
    assert known[1, 9, 7] == known[1, 10, 10] == IGNORED
    assert known[1, 9, 6] == 1
    assert known[1, 7, 7] == 1  # a distance, not a square
    assert not known[[0, 2]].any()


def test_a_margin_in_millimeters_reaches_over_slices() -> None:
    known = ignore_lesions(lesion(), [2], SPACING, LesionFreeSettings(margin=4, unit="millimeters"))
    assert known[1, 9, 7] == known[0, 9, 9] == known[2, 10, 10] == IGNORED
    assert known[1, 9, 6] == 1
    assert known[0, 9, 8] == 0


def test_without_lesions_nothing_is_ignored() -> None:
    label = np.where(lesion() == 2, 1, lesion()).astype(np.uint8)
    assert np.array_equal(ignore_lesions(label, [2], SPACING, LesionFreeSettings()), label)


def test_training_patients_outside_the_fraction_count_only_if_told() -> None:
    splits = {"a": "train", "b": "train", "c": "test", "d": "unlabeled", "e": LESION_FREE, "f": "validation"}
    assert lesion_free_patients(splits, alone(splits), ["a"], training=False) == ["e"]
    assert lesion_free_patients(splits, alone(splits), ["a"], training=True) == ["b", "e"]


def test_a_scan_of_who_is_labeled_or_judged_on_is_none_of_the_others() -> None:
    splits = {"a": "train", "b": "train", "c": "test", "d": "validation"}
    splits |= {f"{name}2": LESION_FREE for name in "abcde"}
    persons = {scan: scan[0] for scan in splits}
    assert lesion_free_patients(splits, persons, ["a"], training=False) == ["b2", "e2"]
    assert lesion_free_patients(splits, persons, ["a"], training=True) == ["b", "b2", "e2"]


def test_of_a_training_patient_nothing_but_an_ignore_mask_is_read(pairs: Path) -> None:
    found = read_lesion_free(
        PairStore(pairs), ["a1", "a2"], [1, 2], LesionFreeSettings(training_patients=True, margin=1), asker="arm"
    )
    assert [*found.labels] == found.masked == ["a3"]
    assert set(np.unique(found.labels["a3"])) == {0, IGNORED}
    truth = PairStore(pairs).label("a3")
    assert (found.labels["a3"][truth > 0] == IGNORED).all()
    assert (found.labels["a3"] == IGNORED).sum() > (truth > 0).sum()


def test_of_a_lesion_free_scan_the_stored_labels_are_read(pairs: Path) -> None:
    label = np.load(pairs / "patients" / "a3" / "label.npy", mmap_mode="r+")
    label[label == 2] = 0
    label.flush()
    store = finish(pairs, "real", SPLITS | {"a3": LESION_FREE})
    found = read_lesion_free(store, ["a1"], [2], LesionFreeSettings(), asker="arm")
    assert (found.masked, [*found.labels]) == ([], ["a3"])
    assert np.array_equal(found.labels["a3"], store.label("a3"))


def test_without_such_scans_who_asks_is_told(pairs: Path) -> None:
    with pytest.raises(ConfigError, match=r"^arm x: needs lesion-free scans, and there are none; name 'acq"):
        read_lesion_free(PairStore(pairs), ["a1"], [2], LesionFreeSettings(), asker="arm x")


def test_a_margin_that_ignores_everything_is_refused(pairs: Path) -> None:
    label = np.load(pairs / "patients" / "a3" / "label.npy", mmap_mode="r+")
    label[:, 10:20, 10:20] = 2
    label.flush()
    store, settings = finish(pairs, "real", SPLITS), LesionFreeSettings(training_patients=True, margin=40)
    with pytest.raises(ConfigError, match=r"prepare\.lesion_free\.margin: 40 pixels about lesions ignores all of 1"):
        read_lesion_free(store, ["a1", "a2"], [2], settings, asker="arm")


@pytest.mark.parametrize(
    ("ignored", "free", "expected"), [(True, True, {"a1"}), (False, True, set()), (True, False, set())]
)
def test_masks_are_known_of_painted_lesion_free_scans(
    synthetic: Path, ignored: bool, free: bool, expected: set[str]
) -> None:
    store = PairStore(synthetic)
    (name,) = store.patients()
    known = store.patient(name)
    assert known.provenance is not None
    write_patient(synthetic, replace(known, provenance=replace(known.provenance, lesion_free=free)))
    if ignored:
        label = np.load(synthetic / "patients" / name / "label.npy", mmap_mode="r+")
        label[0, 0, 0] = IGNORED
        label.flush()
    assert masked_sources(finish(synthetic, "synthetic", {name: "train"})) == expected
