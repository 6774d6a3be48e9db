from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path

import pytest

from nephrite.errors import StoreError, TrialError
from nephrite.files import write_json, write_table
from nephrite.judging.given import gather
from nephrite.judging.score_file import COLUMNS, read_score_file
from tests.judging.conftest import scores_of

ROWS = [[str(asdict(score)[name]) for name in COLUMNS] for score in scores_of()]


def write(path: Path, rows: list[list[str]], names: tuple[str, ...] = COLUMNS) -> Path:
    write_table(path, names, rows)
    return path


def test_csv_and_json_are_read_alike(tmp_path: Path) -> None:
    write_json(tmp_path / "scores.json", [asdict(score) for score in scores_of()])
    found = [read_score_file(write(tmp_path / "scores.csv", ROWS)), read_score_file(tmp_path / "scores.json")]
    assert {given.digest for given in found} == {gather(scores_of(), "x").digest}


def test_numbers_that_name_a_replicate_are_names(tmp_path: Path) -> None:
    write_json(tmp_path / "s.json", [{**asdict(score), "replicate": int(score.replicate)} for score in scores_of()])
    assert read_score_file(tmp_path / "s.json").replicates == ("0", "1", "2")


def test_a_mark_of_byte_order_spaces_and_further_columns_do_no_harm(tmp_path: Path) -> None:
    path = write(tmp_path / "scores.csv", [[f" {cell} " for cell in row] + ["x"] for row in ROWS], (*COLUMNS, "note"))
    path.write_text("\ufeff" + path.read_text(encoding="utf-8"), encoding="utf-8")
    assert read_score_file(path).digest == gather(scores_of(), "x").digest


@pytest.mark.parametrize("empty", ["", "NaN", "n/a", "None"])
def test_a_value_that_is_not_defined_is_empty(tmp_path: Path, empty: str) -> None:
    rows = [*ROWS, *([*row[:4], "hd95", empty if row[0] == "p00" else "3.5"] for row in ROWS)]
    path = write(tmp_path / "scores.csv", rows)
    if empty == "n/a":
        with pytest.raises(StoreError, match="line 62: value: 'n/a' is no number"):
            read_score_file(path)
    else:
        assert (
            sum(
                values.tolist() == pytest.approx([float("nan"), *[3.5] * 9], nan_ok=True)
                for values in read_score_file(path).values.values()
            )
            == 6
        )


@pytest.mark.parametrize(
    ("row", "told"),
    [
        (["p1", "real", "0", "tumor", "dice", "x,5"], "line 62: value: 'x,5' is no number"),
        (["p1", "real", "0", "tumor", "dice", "inf"], "line 62: value: .*finite"),
        (["a/b", "real", "0", "tumor", "dice", "0.5"], "line 62: patient: is no name of a folder"),
        (["p1", "real | x", "0", "tumor", "dice", "0.5"], "line 62: arm: "),
        (["p1", "real", "", "tumor", "dice", "0.5"], "line 62: replicate: "),
        (["p1", "real"], "line 62: "),
    ],
)
def test_a_line_that_is_no_score_is_named(tmp_path: Path, row: list[str], told: str) -> None:
    with pytest.raises(StoreError, match=told):
        read_score_file(write(tmp_path / "scores.csv", [*ROWS, row]))


def test_what_is_no_table_of_scores_is_one_line(tmp_path: Path) -> None:
    with pytest.raises(StoreError, match="is missing"):
        read_score_file(tmp_path / "none.csv")
    with pytest.raises(StoreError, match="has no column 'arm'"):
        read_score_file(write(tmp_path / "a.csv", [], ("patient", "value")))
    with pytest.raises(TrialError, match="holds no scores"):
        read_score_file(write(tmp_path / "b.csv", []))
    (tmp_path / "c.json").write_text(json.dumps({"patient": "a"}))
    with pytest.raises(StoreError, match="is no list of objects"):
        read_score_file(tmp_path / "c.json")
    (tmp_path / "d.csv").write_bytes(b"patient\xff\x00")
    with pytest.raises(StoreError, match="cannot be read"):
        read_score_file(tmp_path / "d.csv")
