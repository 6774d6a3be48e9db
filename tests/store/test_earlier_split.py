from __future__ import annotations

import logging
from pathlib import Path

import pytest

from nephrite.config import PrepareSettings, SplitSettings
from nephrite.files import write_json
from nephrite.store.earlier_split import FEWEST, earlier_split, strata_of, warn_of_few
from nephrite.store.slices import SPLIT, Patient, write_patient
from nephrite.verdict.statistics import MINIMUM_PATIENTS

SETTINGS = SplitSettings(train=0.5, validation=0.2, test=0.3, salt="x")
SPLITS = {"a": "train", "b": "test"}


def written(folder: Path) -> Path:
    write_json(folder / SPLIT, {"patients": SPLITS, **SETTINGS.model_dump(mode="json", exclude={"file"})})
    return folder


def test_the_split_of_an_earlier_store_with_the_same_shares_and_salt_is_kept(tmp_path: Path) -> None:
    assert earlier_split(written(tmp_path), SETTINGS) == SPLITS


@pytest.mark.parametrize("change", [{"salt": "y"}, {"train": 0.4, "test": 0.4}])
def test_other_shares_or_another_salt_draw_anew(tmp_path: Path, change: dict[str, object]) -> None:
    assert earlier_split(written(tmp_path), SETTINGS.model_copy(update=change)) == {}


def test_places_stay_where_a_confirmation_set_is_added(tmp_path: Path) -> None:
    fresh = SETTINGS.model_copy(update={"train": 0.4, "test": 0.2, "confirmation": 0.2})
    assert earlier_split(written(tmp_path), fresh) == SPLITS
    assert earlier_split(written(tmp_path), fresh.model_copy(update={"salt": "y"})) == {}


def test_a_split_of_a_version_that_knew_no_confirmation_set_is_kept(tmp_path: Path) -> None:
    write_json(tmp_path / SPLIT, {"patients": SPLITS, "train": 0.5, "validation": 0.2, "test": 0.3, "salt": "x"})
    assert earlier_split(tmp_path, SETTINGS) == SPLITS


def test_strata_are_of_all_scans_of_a_person(tmp_path: Path) -> None:
    settings = PrepareSettings.model_validate(
        {
            **{"classes": {1: "tumor"}, "lesions": {"tumor": None}, "in_plane": {"kind": "resize", "size": 16}},
            "intensity": {"kind": "percentile"},
        }
    )
    volumes = {"a_1": 5.0, "a_2": 40.0, "b": 20.0, "c": 30.0, "d": 0.0}
    for scan, volume in volumes.items():
        known = {"tumor": (volume, volume)} if volume else {}
        write_patient(tmp_path, Patient(scan, (1.0, 1.0, 1.0), "IPL", (0.0, 1.0), volumes=known))
    found = strata_of(tmp_path, {scan: scan[0] for scan in volumes}, settings)
    assert found == {"a": "3 large", "b": "1 small", "c": "2 middling", "d": "0 none"}


def test_without_an_earlier_store_nothing_is_kept(tmp_path: Path) -> None:
    assert earlier_split(tmp_path, SETTINGS) == {}


@pytest.mark.parametrize(("patients", "warned"), [(FEWEST - 1, True), (FEWEST, False)])
def test_fewer_test_patients_than_a_verdict_needs_are_warned_of(
    patients: int, warned: bool, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.WARNING):
        warn_of_few(patients, "confirmation patients")
    assert ("confirmation patients, fewer than the 8 that a verdict needs" in caplog.text) == warned
    assert FEWEST == MINIMUM_PATIENTS
