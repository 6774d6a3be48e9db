"""Scores as a table, CSV or JSON: a line for each patient, arm, replicate, region and metric."""

from __future__ import annotations

import csv
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from nephrite.errors import StoreError, TrialError
from nephrite.files import as_record, read_json
from nephrite.judging.given import GivenScores, Score, gather

COLUMNS = ("patient", "arm", "replicate", "region", "metric", "value")
FOLD = "fold"  # a column that may be missing
EMPTY = frozenset({"", "nan", "na", "none", "null"})  # a value that is not defined, in small letters
REMEDY = f"give the columns {', '.join(COLUMNS)}; a value that is not defined is empty"


def read_score_file(path: Path) -> GivenScores:
    """Read the scores of all arms.

    Args:
        path: CSV with a head line, or JSON: a list of objects; the names are those of `COLUMNS`, others are ignored.

    Raises:
        StoreError: the file is missing, cannot be read, lacks a column, or holds what is no score: names the line.
        TrialError: see `gather`.
    """
    rows = _json_rows(path) if path.suffix.lower() == ".json" else _csv_rows(path)
    if not rows:
        raise TrialError(path, "holds no scores", REMEDY)
    return gather([_score(row, path, place) for place, row in rows], str(path))


def _csv_rows(path: Path) -> list[tuple[str, Mapping[str, Any]]]:
    try:
        with path.open(newline="", encoding="utf-8-sig") as file:
            reader = csv.DictReader(file)
            rows: list[tuple[str, Mapping[str, Any]]] = [(f"line {reader.line_num}", row) for row in reader]
            names = reader.fieldnames or []
    except FileNotFoundError:
        raise StoreError(path, "is missing", "name the file of the scores") from None
    except (OSError, ValueError, csv.Error) as error:
        raise StoreError(path, f"cannot be read ({error})", REMEDY) from None
    if lacking := [name for name in COLUMNS if name not in names]:
        raise StoreError(path, f"has no column '{lacking[0]}'", REMEDY)
    return rows


def _json_rows(path: Path) -> list[tuple[str, Mapping[str, Any]]]:
    content = read_json(path, "name the file of the scores")
    if not isinstance(content, list) or not all(isinstance(row, dict) for row in content):
        raise StoreError(path, "is no list of objects", REMEDY)
    return [(f"entry {number}", row) for number, row in enumerate(content, start=1)]


def _score(row: Mapping[str, Any], path: Path, place: str) -> Score:
    """One score; numbers of JSON and text of CSV are read alike."""
    texts = {name: _text(row.get(name)) for name in (*COLUMNS, FOLD)}
    content: dict[str, Any] = {name: text or None for name, text in texts.items() if name == FOLD or name in row}
    value = texts["value"]
    try:
        content["value"] = None if value.lower() in EMPTY else float(value)
    except ValueError:
        raise StoreError(path, f"{place}: value: '{value[:40]}' is no number", REMEDY) from None
    try:
        return as_record(content, Score, path, REMEDY)
    except StoreError as error:
        raise StoreError(path, f"{place}: {error.finding}", REMEDY) from None


def _text(value: object) -> str:
    return "" if value is None else str(value).strip()
