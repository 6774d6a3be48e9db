from __future__ import annotations

import logging
from pathlib import Path

import pytest

from nephrite.config import SplitSettings
from nephrite.files import write_json
from nephrite.store.earlier_split import FEWEST, earlier_split, warn_of_few
from nephrite.store.slices import SPLIT
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


def test_without_an_earlier_store_nothing_is_kept(tmp_path: Path) -> None:
    assert earlier_split(tmp_path, SETTINGS) == {}


@pytest.mark.parametrize(("patients", "warned"), [(FEWEST - 1, True), (FEWEST, False)])
def test_fewer_test_patients_than_a_verdict_needs_are_warned_of(
    patients: int, warned: bool, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.WARNING):
        warn_of_few(patients)
    assert ("fewer than the 8 that a verdict needs" in caplog.text) == warned
    assert FEWEST == MINIMUM_PATIENTS
