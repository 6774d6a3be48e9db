from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from nephrite.errors import ConfigError, SourceError
from nephrite.survey.survey import as_name, survey
from tests.own_layouts import PLACES, put_session, write_layout


def test_every_case_is_looked_at_and_what_cannot_be_read_is_told(
    kits_folder: Path, write_kits_case: Callable[..., None]
) -> None:
    write_kits_case(kits_folder / "odd", 1, label=np.zeros((4, 40, 48), np.uint8))
    found = survey(kits_folder, {1: "kidney"}, processes=1)
    assert [case.patient for case in found.cases] == [f"case_{number:05d}" for number in range(12)]
    (line,) = found.unread
    assert "odd" in line
    assert (found.values, found.names, found.segments) == ([1, 2], {1: "kidney"}, {})


def test_a_folder_without_a_readable_case_is_refused(write_kits_case: Callable[..., None], tmp_path: Path) -> None:
    write_kits_case(tmp_path / "odd", 1, label=np.zeros((4, 40, 48), np.uint8))
    with pytest.raises(SourceError, match=r"holds no case that can be read; the first one: .*shape"):
        survey(tmp_path, {}, processes=1)


def test_a_name_for_a_value_that_is_not_there_is_refused(kits_folder: Path) -> None:
    with pytest.raises(ConfigError, match=r"--class: names the value 3, and the label maps hold \[1, 2\]"):
        survey(kits_folder, {3: "cyst"}, processes=1)


def test_a_value_that_nnunet_ignores_is_refused_where_label_maps_hold_it(kits_folder: Path) -> None:
    (kits_folder / "dataset.json").write_text(json.dumps({"labels": {"background": 0, "kidney": 1, "ignore": 2}}))
    with pytest.raises(SourceError, match=r"dataset.json: says that the value 2, .* is to be ignored"):
        survey(kits_folder, {}, processes=1)


@pytest.mark.parametrize("layout", PLACES)
def test_names_of_classes_are_those_of_the_layout(
    layout: str, write_kits_case: Callable[..., None], tmp_path: Path
) -> None:
    write_kits_case(tmp_path / "kits" / "sub-1", 1)
    found = survey(write_layout(layout, tmp_path / "kits", tmp_path / "set"), {}, processes=1)
    named = {"bids_masks": {1: "kidney"}, "folders": {}, "endings": {}}.get(layout, {1: "kidney", 2: "tumor"})
    assert (found.values, found.names) == ([1, 2], named)


def test_patients_are_counted_and_not_their_sessions(kits_folder: Path, tmp_path: Path) -> None:
    for number in (1, 2, 3):
        put_session(kits_folder / f"case_0000{number}", tmp_path / "set", f"sub-{1 + number // 3}", number)
    found = survey(tmp_path / "set", {}, processes=1)
    assert (len(found.cases), found.patients) == (3, 2)


@pytest.mark.parametrize(
    ("text", "name"), [("Left Kidney (mass)", "left_kidney_mass"), (" a-b ", "a_b"), ("?", "unnamed")]
)
def test_names_are_those_that_settings_take(text: str, name: str) -> None:
    assert as_name(text) == name
