"""index.csv of a store: a row per slice, with its patient, its split and the pixels of each class."""

from __future__ import annotations

import csv
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any

import numpy as np
from pydantic import Field

from nephrite.errors import StoreError
from nephrite.files import as_record, write_table
from nephrite.store.records import LARGEST

COLUMNS = ("patient", "slice", "split")
Text = Annotated[str, Field(pattern=r"^[0-9]{1,9}$")]
Row = dict[str, Any]


def read_index(path: Path, classes: Mapping[int, str], splits: Mapping[str, str], remedy: str) -> list[Row]:
    """Read the table: slice and pixels as numbers.

    Args:
        path: of the table.
        classes: label value to name.
        splits: patient to split.
        remedy: what the user can do about a table that is not right.

    Raises:
        StoreError: other columns, a number that is none, a patient or split that split.json does not know, or slices of
            a patient that are not numbered from 0: names the line.
    """
    # columns, then line by line
    try:
        with path.open(newline="", encoding="utf-8") as file:
            names, *lines = csv.reader(file, strict=True)
    except (OSError, ValueError, csv.Error) as error:
        raise StoreError(path, f"cannot be read as CSV ({error})", remedy) from None
    wanted = [*COLUMNS, *classes.values()]
    if names != wanted:
        raise StoreError(path, f"has the columns {names}, not {wanted}", remedy)
    following: dict[str, int] = {}
    rows = []
    for number, line in enumerate(lines, 2):
        rows.append(_row(f"{path} line {number}", wanted, line, splits, remedy))
        patient, place = rows[-1]["patient"], rows[-1]["slice"]
        if place != following.get(patient, 0):
            raise StoreError(f"{path} line {number}", f"slice {place} does not follow the one before", remedy)
        following[patient] = place + 1
    return rows


def _row(place: str, names: list[str], line: list[str], splits: Mapping[str, str], remedy: str) -> Row:
    if len(line) != len(names):
        raise StoreError(place, f"has {len(line)} fields, not {len(names)}", remedy)
    patient, _, split = line[:3]
    if splits.get(patient) != split:
        raise StoreError(place, f"has {patient!r} in split {split!r}, which split.json does not say", remedy)
    counts = dict(zip(names, line, strict=True))
    del counts["patient"], counts["split"]
    checked = as_record(counts, dict[str, Text], place, remedy)
    pixels = {name: int(text) for name, text in checked.items()}
    if any(pixels[name] > LARGEST**2 for name in names[3:]):
        raise StoreError(place, f"counts more pixels than a slice has: {line[3:]}", remedy)
    return {"patient": patient, "slice": pixels.pop("slice"), "split": split, **pixels}


def write_index(root: Path, splits: Mapping[str, str], classes: Mapping[int, str]) -> None:
    """Count the pixels of all label maps of a store that is being written."""
    rows: list[list[object]] = []
    for patient in sorted(splits):
        label = np.load(root / "patients" / patient / "label.npy", mmap_mode="r", allow_pickle=False)
        for index, plane in enumerate(label):
            counts = np.bincount(plane.ravel(), minlength=256)
            rows.append([patient, index, splits[patient], *(int(counts[value]) for value in classes)])
    write_table(root / "index.csv", [*COLUMNS, *classes.values()], rows)
