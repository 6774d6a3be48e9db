from __future__ import annotations

import json
from collections.abc import Callable
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import pytest

from nephrite.errors import LeakageError, StoreError
from nephrite.store.lesion_free import lesion_free_patients
from nephrite.store.slices import LESION_FREE, UNLABELED, PairStore, Patient
from nephrite.store.split import unlabeled_patients
from nephrite.training.leakage import check_synthetic, check_unseen
from tests.conftest import SPLITS, finish, hash_again, write_pair

TRAINING = ["a1", "a2", "a3"]


def edit(path: Path, change: Callable[[Any], None]) -> None:
    content = json.loads(path.read_text())
    change(content)
    path.write_text(json.dumps(content))
    hash_again(next(folder for folder in path.parents if (folder / "store.json").is_file()))


def edit_provenance(synthetic: Path, **changes: object) -> None:
    path = synthetic / "patients" / "synthetic-a1" / "meta.json"
    edit(path, lambda content: content["provenance"].update(changes))


def check(synthetic: Path, pairs: Path) -> str:
    return check_synthetic(PairStore(synthetic), PairStore(pairs), TRAINING)


def test_slices_of_training_patients_pass(synthetic: Path, pairs: Path) -> None:
    assert check(synthetic, pairs) == "synthesizer-1"


def test_synthesizer_trained_on_a_test_patient_is_refused(synthetic: Path, pairs: Path) -> None:
    edit_provenance(synthetic, training_patients=[*TRAINING, "c2"])
    with pytest.raises(
        LeakageError, match="synthetic slices know patient c2 outside the 3 training patients of the arm"
    ):
        check(synthetic, pairs)


def test_mask_of_a_validation_patient_is_refused(synthetic: Path, pairs: Path) -> None:
    edit_provenance(synthetic, source_patient="b1")
    with pytest.raises(LeakageError, match="patient b1"):
        check(synthetic, pairs)


@pytest.mark.parametrize(("scan", "message"), [("b1", "patient b1"), ("c2", "patient c2")])
def test_scan_of_a_validation_or_test_patient_is_refused(synthetic: Path, pairs: Path, scan: str, message: str) -> None:
    edit_provenance(synthetic, source_patient=scan, source_labels=False, unlabeled_patients=[scan])
    with pytest.raises(LeakageError, match=message):
        check(synthetic, pairs)


def test_scan_of_a_training_patient_whose_labels_are_unknown_passes(synthetic: Path, pairs: Path) -> None:
    edit_provenance(
        synthetic,
        source_patient="a3",
        source_labels=False,
        unlabeled_patients=["a3"],
        training_patients=["a1"],
    )
    assert check_synthetic(PairStore(synthetic), PairStore(pairs), ["a1", "a2"]) == "synthesizer-1"


@pytest.mark.parametrize("scan", ["b1", "c2", "nobody"])
def test_synthesizer_that_knows_scans_outside_the_training_split_is_refused(
    synthetic: Path, pairs: Path, scan: str
) -> None:
    edit_provenance(synthetic, unlabeled_patients=["a3", scan])
    with pytest.raises(LeakageError, match=f"synthetic slices know patient {scan} outside"):
        check(synthetic, pairs)


def test_scans_of_patients_without_any_labels_may_be_known(synthetic: Path, pairs: Path) -> None:
    edit(pairs / "split.json", lambda content: content["patients"].update(c2=UNLABELED))
    edit_provenance(synthetic, unlabeled_patients=["c2"])
    assert check(synthetic, pairs) == "synthesizer-1"


def test_labels_of_patients_without_any_labels_may_not_be_known(synthetic: Path, pairs: Path) -> None:
    edit(pairs / "split.json", lambda content: content["patients"].update(c2=UNLABELED))
    edit_provenance(synthetic, training_patients=[*TRAINING, "c2"])
    with pytest.raises(LeakageError, match="patient c2"):
        check(synthetic, pairs)


def test_patients_that_the_store_does_not_hold_are_named(synthetic: Path, pairs: Path) -> None:
    edit_provenance(synthetic, training_patients=[*TRAINING, *(f"z{number}" for number in range(7))])
    with pytest.raises(LeakageError, match="patients z0, z1, z2, z3, z4 and 2 more"):
        check(synthetic, pairs)


def test_real_store_in_place_of_a_synthetic_one_is_refused(pairs: Path) -> None:
    with pytest.raises(StoreError, match="is a 'real' store"):
        check(pairs, pairs)


def test_slices_without_provenance_are_refused(synthetic: Path, pairs: Path) -> None:
    edit(synthetic / "patients" / "synthetic-a1" / "meta.json", lambda content: content.update(provenance=None))
    with pytest.raises(StoreError, match="'synthetic-a1' has no provenance"):
        check(synthetic, pairs)


@pytest.mark.parametrize(("name", "value"), [("size", 64), ("classes", {"1": "kidney", "3": "tumor"})])
def test_store_of_other_shape_or_classes_is_refused(synthetic: Path, pairs: Path, name: str, value: object) -> None:
    edit(synthetic / "store.json", lambda content: content.update({name: value}))
    with pytest.raises(StoreError, match=f"has {name}"):
        check(synthetic, pairs)


def test_store_without_patients_is_refused(synthetic: Path, pairs: Path) -> None:
    edit(synthetic / "split.json", lambda content: content.update(patients={}))
    with pytest.raises(StoreError, match="slices of 0 synthesizers"):
        check(synthetic, pairs)


SECOND = {"u1": UNLABELED, "u2": LESION_FREE, "u3": UNLABELED}  # second scans, of a1, c2 and b1
PERSONS = {"a1": "p", "u1": "p", "c2": "q", "u2": "q", "b1": "r", "u3": "r"}


@pytest.fixture
def second(pairs: Path) -> Path:
    """The store with second scans of a training, a test and a validation patient."""
    for number, scan in enumerate(SECOND):
        write_pair(pairs, Patient(scan, (4.0, 2.0, 2.0), "IPL", (-200.0, 200.0)), 90 + number)
    finish(pairs, "real", SPLITS | SECOND, PERSONS)
    return pairs


@pytest.mark.parametrize(("scan", "refused"), [("u1", False), ("u2", True), ("u3", True)])
def test_another_scan_of_who_is_judged_or_chosen_by_may_not_be_known(
    synthetic: Path, second: Path, scan: str, refused: bool
) -> None:
    edit_provenance(synthetic, source_patient=scan, source_labels=False, unlabeled_patients=[scan])
    with pytest.raises(LeakageError, match=f"synthetic slices know patient {scan}") if refused else nullcontext():
        check(synthetic, second)


def test_scoring_another_scan_of_a_training_patient_is_refused(second: Path) -> None:
    store = PairStore(second)
    check_unseen(store, ["c2"], TRAINING, "segmenter")
    with pytest.raises(LeakageError, match="was trained on patient u1"):
        check_unseen(store, ["c2", "u1"], TRAINING, "segmenter")


def test_scoring_on_a_training_patient_is_refused(pairs: Path) -> None:
    check_unseen(PairStore(pairs), ["c1"], TRAINING, "segmenter")
    with pytest.raises(LeakageError, match="was trained on patient a2"):
        check_unseen(PairStore(pairs), ["c1", "a2"], TRAINING, "segmenter")


def test_lesion_free_scans_may_be_painted_on(synthetic: Path, pairs: Path) -> None:
    known = {"source_patient": "c2", "source_labels": False, "lesion_free": True, "unlabeled_patients": ["c2"]}
    edit_provenance(synthetic, **known)
    with pytest.raises(LeakageError, match="patient c2"):
        check(synthetic, pairs)
    edit(pairs / "split.json", lambda content: content["patients"].update(c2=LESION_FREE))
    assert check(synthetic, pairs) == "synthesizer-1"


@pytest.mark.parametrize(
    "known",
    [
        {"source_patient": "e1"},
        {"training_patients": [*TRAINING, "e1"]},
        {"source_patient": "e1", "source_labels": False, "unlabeled_patients": ["e1"]},
        {"source_patient": "e1", "source_labels": False, "unlabeled_patients": ["e1"], "lesion_free": True},
        {"style_patient": "e1", "style_slices": [0] * 6},
    ],
)
def test_nothing_of_a_patient_of_another_hospital_may_be_painted(
    synthetic: Path, elsewhere: Path, known: dict[str, object]
) -> None:
    edit_provenance(synthetic, **known)
    with pytest.raises(LeakageError, match="patient e1"):
        check(synthetic, elsewhere)


def test_no_cell_sees_a_patient_of_another_hospital(elsewhere: Path) -> None:
    store = PairStore(elsewhere)
    assert {*unlabeled_patients(store.splits, store.persons(), ["a1"])} == {"a2", "a3"}
    assert {*lesion_free_patients(store.splits, store.persons(), ["a1"], training=True)} == {"a2", "a3"}
