from __future__ import annotations

from pathlib import Path

import pytest

from nephrite.config import SplitSettings, TrialSettings
from nephrite.errors import SplitError
from nephrite.store.slices import UNLABELED
from nephrite.store.split import (
    lesion_strata,
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


@pytest.mark.parametrize("count", [10, 37, 100, 219, 2000])
@pytest.mark.parametrize("shares", [(0.7, 0.2, 0.1), (0.55, 0.15, 0.3), (0.34, 0.33, 0.33)])
def test_every_split_has_its_share_to_within_one_patient(count: int, shares: tuple[float, float, float]) -> None:
    settings = SplitSettings(train=shares[0], validation=shares[1], test=shares[2], salt="any")
    placed = [*split_patients(PATIENTS[:count], settings).values()]
    for name, share in zip(("train", "validation", "test"), shares, strict=True):
        assert abs(placed.count(name) - share * count) < 1


def test_seventy_twenty_and_ten_of_a_hundred_are_just_these() -> None:
    placed = [*split_patients(PATIENTS[:100], CAPSTONE).values()]
    assert [placed.count(name) for name in ("train", "validation", "test")] == [70, 20, 10]


def test_adding_patients_moves_none_that_was_placed_before() -> None:
    few = split_patients(PATIENTS[:100], CAPSTONE)
    many = split_patients(PATIENTS[:150], CAPSTONE, earlier=few)
    assert {patient: many[patient] for patient in few} == few
    placed = [*many.values()]
    assert [placed.count(name) for name in ("train", "validation", "test")] == [105, 30, 15]


def test_an_earlier_split_that_is_no_longer_balanced_is_evened_out_by_the_new_ones() -> None:
    earlier = dict.fromkeys(PATIENTS[:20], "test") | {"gone": "train"}
    placed = split_patients(PATIENTS[:200], CAPSTONE, earlier=earlier)
    assert "gone" not in placed
    assert [[*placed.values()].count(name) for name in ("train", "validation", "test")] == [140, 40, 20]


def test_strata_are_dealt_to_all_splits_alike() -> None:
    strata = {patient: str(number % 4) for number, patient in enumerate(PATIENTS[:400])}
    placed = split_patients(PATIENTS[:400], CAPSTONE, strata=strata)
    for stratum in "0123":
        inside = [placed[patient] for patient, own in strata.items() if own == stratum]
        assert [inside.count(name) for name in ("train", "validation", "test")] == pytest.approx([70, 20, 10], abs=1)


def test_lesions_make_strata_by_their_size() -> None:
    volumes = {"a": 0.0, "b": 1.0, "c": 50.0, "d": 900.0, "e": 0.0, "f": 2.0, "g": 60.0, "h": 800.0}
    found = lesion_strata(volumes)
    assert [found[name] for name in "abcdefgh"] == [
        *("0 none", "1 small", "2 middling", "3 large", "0 none", "1 small", "2 middling", "3 large")
    ]
    assert lesion_strata({"a": 0.0}) == {"a": "0 none"}


def _file(tmp_path: Path, *lines: str) -> SplitSettings:
    path = tmp_path / "split.csv"
    path.write_text("\n".join(lines), encoding="utf-8")
    return CAPSTONE.model_copy(update={"file": path})


def test_a_file_places_every_patient(tmp_path: Path) -> None:
    settings = _file(tmp_path, "patient,split,why", "a,test,old", "b,train,", "c,validation,", "d,train,")
    expected = {"a": "test", "b": "train", "c": "validation", "d": "train"}
    assert split_patients("dcba", settings, earlier={"a": "train"}) == expected


@pytest.mark.parametrize(
    ("lines", "finding"),
    [
        (("patient,split", "a,test", "b,train", "c,validation", "x,train"), "names unknown patients x"),
        (("patient,split", "a,test", "b,train"), "lacks patients c"),
        (("patient,split", "a,test", "b,train", "c,tset"), "puts 'c' into 'tset'"),
        (("patient,split", "a,test", "b,train", "c,test"), "puts no patient into validation"),
        (("patient,split", "a,test", "a,train", "b,train", "c,validation"), "puts 'a' into test and into train"),
        (("name,split", "a,test"), "has no columns 'patient' and 'split'"),
        ((), "has no columns"),
    ],
)
def test_a_file_that_does_not_fit_is_refused_in_one_line(tmp_path: Path, lines: tuple[str, ...], finding: str) -> None:
    with pytest.raises(SplitError) as caught:
        split_patients("abc", _file(tmp_path, *lines))
    assert finding in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_file_that_is_missing_is_refused(tmp_path: Path) -> None:
    settings = CAPSTONE.model_copy(update={"file": tmp_path / "none.csv"})
    with pytest.raises(SplitError, match="cannot be read"):
        split_patients("abc", settings)


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
    assert {*split_patients(PATIENTS, everything).values()} == {"train"}


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
