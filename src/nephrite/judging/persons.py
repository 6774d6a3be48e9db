"""Who stands behind the ids: scans of one patient are one patient, and names of DICOM files may name a person."""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import numpy as np
from jaxtyping import Float

from nephrite.judging.given import GivenScores
from nephrite.privacy.pseudonyms import pseudonyms
from nephrite.store.persons import read_persons


def of_persons(given: GivenScores, table: Path) -> GivenScores:
    """One score for each person: the mean over the scans where it is defined.

    Args:
        given: scores of scans.
        table: with the columns 'case' and 'patient', a line for each scan.

    Raises:
        SplitError: the table cannot be read, lacks a scan, names another, or gives one to two persons.
    """
    persons = read_persons(table, given.patients)
    names = tuple(sorted({*persons.values()}))
    rows = {name: [row for row, scan in enumerate(given.patients) if persons[scan] == name] for name in names}
    values = {column: _means(found, rows) for column, found in given.values.items()}
    return replace(given, patients=names, values=values, scans=len(given.patients))


def hidden(given: GivenScores) -> GivenScores:
    """The same scores under pseudonyms, in their order.

    Raises:
        StoreError: the file of names is damaged.
        OutputError: it cannot be written.
    """
    names = pseudonyms(given.patients)
    order = sorted(range(len(given.patients)), key=lambda row: names[given.patients[row]])
    patients = tuple(names[given.patients[row]] for row in order)
    return replace(given, patients=patients, values={column: found[order] for column, found in given.values.items()})


def _means(found: Float[np.ndarray, " scan"], rows: Mapping[str, list[int]]) -> Float[np.ndarray, " person"]:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)  # of a person in whom it is defined in no scan: NaN
        return np.array([np.nanmean(found[places]) for places in rows.values()])
