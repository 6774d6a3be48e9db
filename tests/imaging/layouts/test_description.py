from __future__ import annotations

import json
from pathlib import Path

import pytest

from nephrite.imaging.layouts.description import label_names


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
