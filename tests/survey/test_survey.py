from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from nephrite.errors import ConfigError, SourceError
from nephrite.survey.survey import as_name, described_names, survey


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


@pytest.mark.parametrize(
    ("labels", "names"),
    [
        ({"background": 0, "Kidney": 1, "Kidney Tumor": 2}, {1: "kidney", 2: "kidney_tumor"}),
        ({"0": "background", "1": "liver"}, {1: "liver"}),
        ({"background": 0, "whole": [1, 2], "tumor": 2}, {2: "tumor"}),
        (["kidney"], {}),
    ],
)
def test_names_of_values_stand_in_a_description(tmp_path: Path, labels: object, names: dict[int, str]) -> None:
    (tmp_path / "dataset.json").write_text(json.dumps({"labels": labels}))
    assert described_names(tmp_path) == names


@pytest.mark.parametrize("text", ["", "{", "[]", "{}"])
def test_what_is_no_description_names_nothing(tmp_path: Path, text: str) -> None:
    (tmp_path / "dataset.json").write_text(text)
    assert described_names(tmp_path) == {}
    assert described_names(tmp_path / "missing") == {}


@pytest.mark.parametrize(
    ("text", "name"), [("Left Kidney (mass)", "left_kidney_mass"), (" a-b ", "a_b"), ("?", "unnamed")]
)
def test_names_are_those_that_settings_take(text: str, name: str) -> None:
    assert as_name(text) == name
