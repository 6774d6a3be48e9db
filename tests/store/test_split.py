from __future__ import annotations

import pytest

from nephrite.config import SplitSettings
from nephrite.errors import SplitError
from nephrite.store.slices import UNLABELED
from nephrite.store.split import assign_split, split_patients, training_subset, unlabeled_patients

PATIENTS = [f"case_{number:05d}" for number in range(2000)]
CAPSTONE = SplitSettings(train=0.7, validation=0.2, test=0.1, salt="nephrite")


def test_shares_are_kept_among_many_patients() -> None:
    placed = list(split_patients(PATIENTS, CAPSTONE).values())
    shares = {name: placed.count(name) / len(placed) for name in ("train", "validation", "test")}
    assert shares == pytest.approx({"train": 0.7, "validation": 0.2, "test": 0.1}, abs=0.03)


def test_adding_patients_moves_none() -> None:
    few, many = split_patients(PATIENTS[:300], CAPSTONE), split_patients(PATIENTS, CAPSTONE)
    assert all(many[patient] == place for patient, place in few.items())


def test_another_salt_draws_another_split() -> None:
    other = CAPSTONE.model_copy(update={"salt": "other"})
    assert split_patients(PATIENTS, CAPSTONE) != split_patients(PATIENTS, other)


def test_smaller_label_fractions_lie_within_larger_ones() -> None:
    few, some, every = (set(training_subset(PATIENTS, share, cell=1, seed=7)) for share in (0.05, 0.15, 1.0))
    assert (len(few), len(some), len(every)) == (100, 300, 2000)
    assert few < some < every


def test_a_new_patient_takes_a_place_without_reordering_the_others() -> None:
    before, after = (training_subset(PATIENTS[:count], 0.1, cell=1, seed=7) for count in (200, 201))
    assert (len(before), len(after)) == (20, 20)
    assert len(set(before) & set(after)) >= 19


def test_each_cell_draws_patients_of_its_own() -> None:
    first, second = (training_subset(PATIENTS[:200], 0.1, cell=cell, seed=7) for cell in (0, 1))
    assert first != second


def test_each_seed_draws_patients_of_its_own() -> None:
    first, second = (training_subset(PATIENTS[:200], 0.1, cell=0, seed=seed) for seed in (7, 8))
    assert first != second


@pytest.mark.parametrize(
    ("cell", "seed", "expected"),
    [
        (0, 0, [5, 13, 17, 18]),
        (1, 0, [8, 11, 14, 18]),
        (0, 1, [1, 4, 6, 17]),
    ],
)
def test_patients_of_a_cell_stay_those_of_trials_before(cell: int, seed: int, expected: list[int]) -> None:
    drawn = training_subset(PATIENTS[:20], 0.2, cell=cell, seed=seed)
    assert drawn == [PATIENTS[number] for number in expected]


def test_scans_without_labels_are_those_of_training_patients_whose_labels_are_unknown_and_of_those_without_any() -> (
    None
):
    splits = {"z": UNLABELED, "a": "train", "b": "train", "c": "validation", "d": "test"}
    assert unlabeled_patients(splits, ["a"]) == ["b", "z"]


def test_one_share_takes_all() -> None:
    everything = SplitSettings(train=1, validation=0, test=0, salt="x")
    assert {assign_split(patient, everything) for patient in PATIENTS} == {"train"}


def test_too_few_patients_are_refused_by_name_of_the_empty_split() -> None:
    with pytest.raises(SplitError, match=r"1 patients leave none for '(train|validation)'"):
        split_patients(PATIENTS[:1], CAPSTONE)


def test_a_fraction_may_leave_one_patient() -> None:
    assert len(training_subset([f"p{number}" for number in range(10)], 0.1, cell=0, seed=1)) == 1


def test_a_split_without_a_share_may_be_empty() -> None:
    settings = SplitSettings(train=0.5, validation=0.5, test=0.0, salt="x")
    assert set(split_patients([f"p{number}" for number in range(20)], settings).values()) == {"train", "validation"}


def test_at_fraction_0_no_patient_is_known() -> None:
    assert training_subset(["a", "b"], 0.0, cell=0, seed=1) == []
