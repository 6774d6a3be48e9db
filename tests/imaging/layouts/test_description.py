from __future__ import annotations

import json
from pathlib import Path

import pytest

from nephrite.errors import SourceError
from nephrite.imaging.layouts.description import channel_names, channel_numbers, label_names


@pytest.mark.parametrize(
    ("said", "names"),
    [
        ({"labels": {"background": 0, "Kidney": 1, "Kidney Tumor": 2}}, {1: "Kidney", 2: "Kidney Tumor"}),
        ({"labels": {"0": "background", "1": "liver"}}, {1: "liver"}),
        ({"labels": {"background": 0, "whole": [1, 2], "tumor": 2}}, {2: "tumor"}),
        (
            {
                "labels": {"background": 0, "kidney": [1, 2, 3], "masses": [2, 3], "tumor": 2, "ignore": 4},
                "regions_class_order": [1, 3, 2],
            },
            {1: "kidney", 3: "masses", 2: "tumor", 4: "ignore"},
        ),
        ({"labels": ["kidney"]}, {}),
    ],
)
def test_names_of_values_are_read(tmp_path: Path, said: object, names: dict[int, str]) -> None:
    (tmp_path / "dataset.json").write_text(json.dumps(said))
    assert label_names(tmp_path) == names


@pytest.mark.parametrize("text", ["", "{", "[]", "{}", "[" * 100_000])
def test_what_is_no_description_names_nothing(tmp_path: Path, text: str) -> None:
    (tmp_path / "dataset.json").write_text(text)
    assert label_names(tmp_path) == {}
    assert label_names(tmp_path / "missing") == {}


@pytest.mark.parametrize(
    ("said", "names"),
    [
        ({"channel_names": {"0": "T2", "1": "ADC"}}, ["T2", "ADC"]),
        ({"modality": {"1": "ADC", "0": "T2"}}, ["T2", "ADC"]),
        ({"modality": {"1": "ADC"}}, []),
        ({"modality": "CT"}, []),
    ],
)
def test_names_of_channels_are_read_in_their_order(tmp_path: Path, said: object, names: list[str]) -> None:
    (tmp_path / "dataset.json").write_text(json.dumps(said))
    assert channel_names(tmp_path) == names


def test_channels_are_numbered_by_name_or_by_themselves_where_none_is_named(tmp_path: Path) -> None:
    assert channel_numbers(tmp_path, ["1", "0"]) == [1, 0]
    (tmp_path / "dataset.json").write_text(json.dumps({"channel_names": {"0": "T2", "1": "ADC"}}))
    assert channel_numbers(tmp_path, ["ADC", "T2"]) == [1, 0]
    for name in ("1", "adc"):
        with pytest.raises(SourceError, match=f"dataset.json: names no channel '{name}'; it has T2, ADC"):
            channel_numbers(tmp_path, [name])
