from __future__ import annotations

import json
import logging
from pathlib import Path
from typing import Any

import pytest

from nephrite.config import ForeignSettings, ProvenanceSettings
from nephrite.errors import LeakageError, StoreError
from nephrite.store.brought.origin import FILE, ForeignRecord, judge_provenance, read_provenance, with_names

SPLITS = {"a1": "train", "a2": "train", "b1": "validation", "c1": "test", "d1": "confirmation"}
SPLITS |= {"u1": "unlabeled", "u2": "unlabeled", "e1": "external"}
PERSONS = {name: name for name in SPLITS} | {"u2": "c1"}  # a further scan of a test patient
NOBODY: dict[str, list[str]] = {"patients": []}


def judged(own: tuple[str, ...] = (), **told: Any) -> ForeignRecord:
    content = ProvenanceSettings.model_validate({"trained_on": NOBODY, "masks_from": NOBODY, "license": "CC0", **told})
    return judge_provenance("maisi", content, SPLITS, PERSONS, own_data_sets=own, place=Path("provenance.json"))


def test_what_derives_from_nobody_is_clean() -> None:
    assert (judged().standing, judged().patients, judged().reasons) == ("clean", (), ())


def test_training_patients_and_scans_without_labels_are_kept_apart() -> None:
    found = judged(trained_on={"patients": ["A1", "u1", "of another hospital"]}, masks_from={"patients": ["a2"]})
    assert (found.standing, found.patients, found.scans) == ("clean", ("a1", "a2"), ("u1",))


@pytest.mark.parametrize("role", ["trained_on", "masks_from"])
@pytest.mark.parametrize("name", ["b1", "C1", "d1", "e1", "u2"])
def test_a_patient_who_is_judged_or_chosen_by_is_a_leak(role: str, name: str) -> None:
    told: dict[str, Any] = {role: {"patients": ["a1", name]}}
    with pytest.raises(LeakageError, match=rf"{role}: names {name.lower()} \(\w+\)"):
        judged(**told)


@pytest.mark.parametrize("role", ["trained_on", "masks_from"])
def test_what_is_not_told_cannot_be_verified(role: str) -> None:
    told: dict[str, Any] = {role: "unknown"}
    found = judged(**told)
    assert found.standing == "unverifiable"
    assert len(found.reasons) == 1


def test_data_sets_are_compared_with_our_own() -> None:
    told = {"data_sets": ["MSD Pancreas"]}
    assert judged(trained_on=told).standing == "unverifiable"  # ours are not known
    assert judged(("LIDC-IDRI",), trained_on=told).standing == "clean"
    with pytest.raises(LeakageError, match="names 'msd-pancreas'"):
        judged(("MSD Pancreas",), trained_on={"data_sets": ["msd-pancreas"]})
    named = {"data_sets": ["LIDC-IDRI"], "patients": ["a1"]}  # some of it, and these are told
    assert judged(("LIDC-IDRI",), trained_on=named).patients == ("a1",)


def test_a_missing_license_is_warned_of(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING):
        judged(license="")
    assert "no 'license'" in caplog.text


def test_settings_count_more_than_the_file(tmp_path: Path) -> None:
    assert not read_provenance(tmp_path).trained_on.is_told
    (tmp_path / FILE).write_text(json.dumps({"generator": "maisi", "trained_on": "unknown"}))
    assert read_provenance(tmp_path).generator == "maisi"
    own = ForeignSettings(provenance=ProvenanceSettings(generator="mine"))
    assert read_provenance(tmp_path, own).generator == "mine"


@pytest.mark.parametrize(
    ("text", "finding"),
    [("{", "JSON"), ('{"trained": "x"}', "trained"), ('{"trained_on": {"patients": 3}}', "patients")],
)
def test_a_broken_file_is_one_line(text: str, finding: str, tmp_path: Path) -> None:
    (tmp_path / FILE).write_text(text)
    with pytest.raises(StoreError, match=finding) as caught:
        read_provenance(tmp_path)
    assert "\n" not in str(caught.value)


def test_names_may_become_pseudonyms() -> None:
    told = ProvenanceSettings.model_validate({"trained_on": {"patients": ["a"]}, "masks_from": "unknown"})
    changed = with_names(told, str.upper)
    assert (changed.trained_on.patients, changed.masks_from.patients) == (("A",), None)
