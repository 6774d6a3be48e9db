from __future__ import annotations

from pathlib import Path

import pytest

from nephrite.config import SplitSettings, TrialSettings
from nephrite.errors import SplitError
from nephrite.store.persons import alone, count_persons
from nephrite.store.slices import LESION_FREE, UNLABELED
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
    placed = [*split_patients(alone(PATIENTS[:count]), settings).values()]
    for name, share in zip(("train", "validation", "test"), shares, strict=True):
        assert abs(placed.count(name) - share * count) < 1


def test_seventy_twenty_and_ten_of_a_hundred_are_just_these() -> None:
    placed = [*split_patients(alone(PATIENTS[:100]), CAPSTONE).values()]
    assert [placed.count(name) for name in ("train", "validation", "test")] == [70, 20, 10]


def test_adding_patients_moves_none_that_was_placed_before() -> None:
    few = split_patients(alone(PATIENTS[:100]), CAPSTONE)
    many = split_patients(alone(PATIENTS[:150]), CAPSTONE, earlier=few)
    assert {patient: many[patient] for patient in few} == few
    placed = [*many.values()]
    assert [placed.count(name) for name in ("train", "validation", "test")] == [105, 30, 15]


def test_an_earlier_split_that_is_no_longer_balanced_is_evened_out_by_the_new_ones() -> None:
    earlier = dict.fromkeys(PATIENTS[:20], "test") | {"gone": "train"}
    placed = split_patients(alone(PATIENTS[:200]), CAPSTONE, earlier=earlier)
    assert "gone" not in placed
    assert [[*placed.values()].count(name) for name in ("train", "validation", "test")] == [140, 40, 20]


def test_strata_are_dealt_to_all_splits_alike() -> None:
    strata = {patient: str(number % 4) for number, patient in enumerate(PATIENTS[:400])}
    placed = split_patients(alone(PATIENTS[:400]), CAPSTONE, strata=strata)
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
    assert split_patients(alone("dcba"), settings, earlier={"a": "train"}) == expected


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
        split_patients(alone("abc"), _file(tmp_path, *lines))
    assert finding in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_file_that_is_missing_is_refused(tmp_path: Path) -> None:
    settings = CAPSTONE.model_copy(update={"file": tmp_path / "none.csv"})
    with pytest.raises(SplitError, match="cannot be read"):
        split_patients(alone("abc"), settings)


def test_another_salt_draws_another_split() -> None:
    other = CAPSTONE.model_copy(update={"salt": "other"})
    assert split_patients(alone(PATIENTS), CAPSTONE) != split_patients(alone(PATIENTS), other)


def test_smaller_label_fractions_lie_within_larger_ones() -> None:
    few, some, every = (
        set(training_subset(alone(PATIENTS), share, cell=1, trial=_trial(7))) for share in (0.05, 0.15, 1.0)
    )
    assert (len(few), len(some), len(every)) == (100, 300, 2000)
    assert few < some < every


def test_a_new_patient_takes_a_place_without_reordering_the_others() -> None:
    before, after = (training_subset(alone(PATIENTS[:count]), 0.1, cell=1, trial=_trial(7)) for count in (200, 201))
    assert (len(before), len(after)) == (20, 20)
    assert len(set(before) & set(after)) >= 19


def test_each_cell_draws_patients_of_its_own() -> None:
    first, second = (training_subset(alone(PATIENTS[:200]), 0.1, cell=cell, trial=_trial(7)) for cell in (0, 1))
    assert first != second


def test_each_seed_draws_patients_of_its_own() -> None:
    first, second = (training_subset(alone(PATIENTS[:200]), 0.1, cell=0, trial=_trial(seed)) for seed in (7, 8))
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
    drawn = training_subset(alone(PATIENTS[:20]), 0.2, cell=cell, trial=_trial(seed, 0.1))
    assert drawn == [PATIENTS[number] for number in expected]


@pytest.mark.parametrize(("patients", "fraction", "cells"), [(9, 0.33, 3), (60, 0.12, 8), (100, 0.25, 4)])
def test_cells_share_no_patient_where_there_are_enough(patients: int, fraction: float, cells: int) -> None:
    trial, known = _trial(disjoint=fraction), alone(PATIENTS[:patients])
    subsets = [training_subset(known, fraction, cell=cell, trial=trial) for cell in range(cells)]
    taken = [patient for subset in subsets for patient in subset]
    assert len(taken) == len({*taken}) == cells * round(fraction * patients)
    assert shared_patients(known, fraction, cells=range(cells), trial=trial) == 0


def test_a_cell_grows_from_its_own_patients() -> None:
    trial, known = _trial(disjoint=0.1), alone(PATIENTS[:50])
    for cell in range(12):
        few, more, every = ({*training_subset(known, share, cell=cell, trial=trial)} for share in (0.1, 0.4, 1.0))
        assert (len(few), len(more), len(every)) == (5, 20, 50)
        assert few < more < every


def test_further_cells_change_none_and_share_patients_once_all_are_taken() -> None:
    trial, known = _trial(disjoint=0.3), alone(PATIENTS[:40])
    assert shared_patients(known, 0.3, cells=range(3), trial=trial) == 0
    assert 0.05 < shared_patients(known, 0.3, cells=range(3, 12), trial=trial) < 0.5


def test_cells_drawn_at_random_share_what_their_fraction_says() -> None:
    trial = _trial(disjoint=0.005)
    assert shared_patients(alone(PATIENTS[:400]), 0.4, cells=range(20), trial=trial) == pytest.approx(0.4, abs=0.02)
    assert shared_patients(alone(PATIENTS[:400]), 0.4, cells=[5], trial=trial) == 0.4
    assert shared_patients(alone(PATIENTS[:400]), 1.0, cells=range(3), trial=trial) == 1


def test_scans_without_labels_are_those_of_training_patients_whose_labels_are_unknown_and_of_those_without_any() -> (
    None
):
    splits = {"z": UNLABELED, "a": "train", "b": "train", "c": "validation", "d": "test"}
    assert unlabeled_patients(splits, alone(splits), ["a"]) == ["b", "z"]


def test_one_share_takes_all() -> None:
    everything = SplitSettings(train=1, validation=0, test=0, salt="x")
    assert {*split_patients(alone(PATIENTS), everything).values()} == {"train"}


def test_too_few_patients_are_refused_by_name_of_the_empty_split() -> None:
    with pytest.raises(SplitError, match=r"1 patients leave none for '(train|validation)'"):
        split_patients(alone(PATIENTS[:1]), CAPSTONE)


def test_a_fraction_may_leave_one_patient() -> None:
    assert len(training_subset(alone(f"p{number}" for number in range(10)), 0.1, cell=0, trial=_trial(1))) == 1


def test_a_split_without_a_share_may_be_empty() -> None:
    settings = SplitSettings(train=0.5, validation=0.5, test=0.0, salt="x")
    assert set(split_patients(alone(f"p{number}" for number in range(20)), settings).values()) == {
        "train",
        "validation",
    }


def test_at_fraction_0_no_patient_is_known() -> None:
    assert training_subset(alone(["a", "b"]), 0.0, cell=0, trial=_trial(1)) == []


def _scans(persons: int, each: int = 2) -> dict[str, str]:
    """Scans 'p07_0', 'p07_1' and so on, each to its person."""
    return {f"p{number:02}_{scan}": f"p{number:02}" for number in range(persons) for scan in range(each)}


def test_all_scans_of_a_person_stand_in_one_split_and_shares_are_of_persons() -> None:
    scans = _scans(100)
    placed = split_patients(scans, CAPSTONE)
    assert split_patients(alone(scans.values()), CAPSTONE) == {scans[scan]: split for scan, split in placed.items()}
    for split, share in (("train", 70), ("validation", 20), ("test", 10)):
        inside = [scan for scan, place in placed.items() if place == split]
        assert (len(inside), count_persons(scans, inside)) == (2 * share, share)


def test_a_further_scan_goes_where_its_person_stands() -> None:
    earlier = split_patients(_scans(30, each=1), CAPSTONE)
    placed = split_patients(_scans(40), CAPSTONE, earlier=earlier)
    assert {scan: placed[scan] for scan in earlier} == earlier
    assert all(placed[f"{scan[:-1]}1"] == split for scan, split in earlier.items())


def test_who_stood_in_two_splits_before_a_table_said_so_is_where_most_was_seen_of_them() -> None:
    scans = _scans(30)
    earlier = {"p00_0": "test", "p00_1": "train", "p01_0": "test", "p01_1": "validation"}
    placed = split_patients(scans, CAPSTONE, earlier=earlier)
    assert [placed[scan] for scan in earlier] == ["train", "train", "validation", "validation"]


def test_strata_are_of_persons() -> None:
    scans = _scans(400)
    strata = {person: str(number % 2) for number, person in enumerate(sorted({*scans.values()}))}
    placed = split_patients(scans, CAPSTONE, strata=strata)
    for stratum in "01":
        inside = [placed[f"{person}_0"] for person, own in strata.items() if own == stratum]
        assert [inside.count(name) for name in ("train", "validation", "test")] == pytest.approx([140, 40, 20], abs=1)


def test_a_file_that_puts_scans_of_one_patient_apart_is_refused(tmp_path: Path) -> None:
    settings = _file(tmp_path, "patient,split", "a_1,test", "a_2,train", "b,train", "c,validation")
    persons = {"a_1": "a", "a_2": "a", "b": "b", "c": "c"}
    with pytest.raises(
        SplitError, match=r"split\.csv: puts scans of one patient apart: 'a_1' into test and 'a_2' into t"
    ):
        split_patients(persons, settings)
    assert split_patients(alone(persons), settings)["a_2"] == "train"


def test_a_fraction_takes_whole_persons() -> None:
    scans = _scans(20, each=3)
    for cell in range(4):
        taken = training_subset(scans, 0.25, cell=cell, trial=_trial(disjoint=0.25))
        assert (len(taken), count_persons(scans, taken)) == (15, 5)
    first, second = (training_subset(scans, 0.25, cell=cell, trial=_trial(disjoint=0.25)) for cell in (0, 1))
    assert not {scans[scan] for scan in first} & {scans[scan] for scan in second}
    assert shared_patients(scans, 0.25, cells=[0, 1], trial=_trial(disjoint=0.25)) == 0


def test_patients_in_common_are_counted_once_however_many_scans_they_have() -> None:
    scans = alone(PATIENTS[:40]) | {f"more_{number}": PATIENTS[0] for number in range(200)}
    trial = _trial(disjoint=0.05)
    shares = [shared_patients(known, 0.4, cells=range(8), trial=trial) for known in (scans, alone(PATIENTS[:40]))]
    assert shares[0] == shares[1]


def test_scans_without_labels_are_never_those_of_who_is_labeled_or_judged_on() -> None:
    splits = {"a_1": "train", "b_1": "train", "c_1": "test", "v_1": "validation", "k_1": "confirmation"}
    splits |= {f"{person}_2": UNLABELED for person in "abcvkz"}
    persons = {scan: scan[0] for scan in splits}
    assert unlabeled_patients(splits, persons, ["a_1"]) == ["b_1", "b_2", "z_2"]
    assert unlabeled_patients({**splits, "b_2": LESION_FREE}, persons, ["a_1"]) == ["b_1", "z_2"]


FRESH = SplitSettings(train=0.5, validation=0.1, test=0.2, confirmation=0.2, salt="nephrite")


def test_a_confirmation_set_gets_its_share() -> None:
    placed = [*split_patients(alone(PATIENTS[:100]), FRESH).values()]
    assert [placed.count(name) for name in ("train", "validation", "test", "confirmation")] == [50, 10, 20, 20]


def test_a_confirmation_set_that_is_asked_for_later_is_filled_by_those_who_come() -> None:
    earlier = split_patients(alone(PATIENTS[:80]), SplitSettings(train=0.625, validation=0.125, test=0.25))
    with pytest.raises(SplitError, match=r"leave none for 'confirmation' \(share 0\.2\), since those of the earlier"):
        split_patients(alone(PATIENTS[:80]), FRESH, earlier=earlier)
    placed = split_patients(alone(PATIENTS[:100]), FRESH, earlier=earlier)
    assert {patient: placed[patient] for patient in earlier} == earlier
    assert {placed[patient] for patient in PATIENTS[80:100]} == {"confirmation"}


def test_a_file_may_name_a_confirmation_set(tmp_path: Path) -> None:
    lines = ("patient,split", "a,test", "b,train", "c,validation")
    assert "confirmation" not in split_patients(alone("abc"), _file(tmp_path, *lines)).values()
    assert split_patients(alone("abcd"), _file(tmp_path, *lines, "d,confirmation"))["d"] == "confirmation"
