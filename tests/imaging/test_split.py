from __future__ import annotations

import pytest

from nephrite.config import SplitSettings
from nephrite.errors import SplitError
from nephrite.imaging.split import assign_split, split_patients

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


def test_one_share_takes_all() -> None:
    everything = SplitSettings(train=1, validation=0, test=0, salt="x")
    assert {assign_split(patient, everything) for patient in PATIENTS} == {"train"}


def test_too_few_patients_are_refused_by_name_of_the_empty_split() -> None:
    with pytest.raises(SplitError, match=r"1 patients leave none for '(train|validation)'"):
        split_patients(PATIENTS[:1], CAPSTONE)
