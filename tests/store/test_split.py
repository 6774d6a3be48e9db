from __future__ import annotations

import pytest

from nephrite.config import SplitSettings, TrialSettings
from nephrite.errors import SplitError
from nephrite.store.slices import UNLABELED
from nephrite.store.split import (
    assign_split,
    shared_patients,
    split_patients,
    training_subset,
    unlabeled_patients,
)

PATIENTS = [f"case_{number:05d}" for number in range(2000)]
CAPSTONE = SplitSettings(train=0.7, validation=0.2, test=0.1, salt="nephrite")


def _trial(seed: int = 7, disjoint: float = 0.05) -> TrialSettings:
    """The settings by which subsets are drawn; the others do not matter."""
    return TrialSettings.model_validate(
        {
            **{"name": "t", "seed": seed, "primary": "tumor", "reference": "real", "disjoint_fraction": disjoint},
            **{"training_sets": {"real": ["real"], "synthetic": []}, "synthesizers": [], "segmenters": ["light"]},
            **{"label_fractions": [1.0], "cells": [0]},
        }
    )


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
    few, some, every = (set(training_subset(PATIENTS, share, cell=1, trial=_trial(7))) for share in (0.05, 0.15, 1.0))
    assert (len(few), len(some), len(every)) == (100, 300, 2000)
    assert few < some < every


def test_a_new_patient_takes_a_place_without_reordering_the_others() -> None:
    before, after = (training_subset(PATIENTS[:count], 0.1, cell=1, trial=_trial(7)) for count in (200, 201))
    assert (len(before), len(after)) == (20, 20)
    assert len(set(before) & set(after)) >= 19


def test_each_cell_draws_patients_of_its_own() -> None:
    first, second = (training_subset(PATIENTS[:200], 0.1, cell=cell, trial=_trial(7)) for cell in (0, 1))
    assert first != second


def test_each_seed_draws_patients_of_its_own() -> None:
    first, second = (training_subset(PATIENTS[:200], 0.1, cell=0, trial=_trial(seed)) for seed in (7, 8))
    assert first != second


@pytest.mark.parametrize(
    ("cell", "seed", "expected"),
    [
        (0, 0, [0, 5, 9, 17]),
        (1, 0, [3, 8, 16, 18]),
        (0, 1, [1, 4, 6, 17]),
    ],
)
def test_patients_of_a_cell_stay_those_of_trials_before(cell: int, seed: int, expected: list[int]) -> None:
    drawn = training_subset(PATIENTS[:20], 0.2, cell=cell, trial=_trial(seed, 0.1))
    assert drawn == [PATIENTS[number] for number in expected]


@pytest.mark.parametrize(("patients", "fraction", "cells"), [(9, 0.33, 3), (60, 0.12, 8), (100, 0.25, 4)])
def test_cells_share_no_patient_where_there_are_enough(patients: int, fraction: float, cells: int) -> None:
    trial, known = _trial(disjoint=fraction), PATIENTS[:patients]
    subsets = [training_subset(known, fraction, cell=cell, trial=trial) for cell in range(cells)]
    taken = [patient for subset in subsets for patient in subset]
    assert len(taken) == len({*taken}) == cells * round(fraction * patients)
    assert shared_patients(known, fraction, cells=range(cells), trial=trial) == 0


def test_a_cell_grows_from_its_own_patients() -> None:
    trial, known = _trial(disjoint=0.1), PATIENTS[:50]
    for cell in range(12):
        few, more, every = ({*training_subset(known, share, cell=cell, trial=trial)} for share in (0.1, 0.4, 1.0))
        assert (len(few), len(more), len(every)) == (5, 20, 50)
        assert few < more < every


def test_further_cells_change_none_and_share_patients_once_all_are_taken() -> None:
    trial, known = _trial(disjoint=0.3), PATIENTS[:40]
    assert shared_patients(known, 0.3, cells=range(3), trial=trial) == 0
    assert 0.05 < shared_patients(known, 0.3, cells=range(3, 12), trial=trial) < 0.5


def test_cells_drawn_at_random_share_what_their_fraction_says() -> None:
    trial = _trial(disjoint=0.005)
    assert shared_patients(PATIENTS[:400], 0.4, cells=range(20), trial=trial) == pytest.approx(0.4, abs=0.02)
    assert shared_patients(PATIENTS[:400], 0.4, cells=[5], trial=trial) == 0.4
    assert shared_patients(PATIENTS[:400], 1.0, cells=range(3), trial=trial) == 1


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
    assert len(training_subset([f"p{number}" for number in range(10)], 0.1, cell=0, trial=_trial(1))) == 1


def test_a_split_without_a_share_may_be_empty() -> None:
    settings = SplitSettings(train=0.5, validation=0.5, test=0.0, salt="x")
    assert set(split_patients([f"p{number}" for number in range(20)], settings).values()) == {"train", "validation"}


def test_at_fraction_0_no_patient_is_known() -> None:
    assert training_subset(["a", "b"], 0.0, cell=0, trial=_trial(1)) == []
