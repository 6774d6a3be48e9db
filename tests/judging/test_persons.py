from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from nephrite.errors import SplitError
from nephrite.files import write_table
from nephrite.judging.given import Column, gather
from nephrite.judging.persons import hidden, of_persons
from nephrite.privacy.pseudonyms import pseudonyms
from tests.judging.conftest import MakeGiven, scores_of

COLUMN = Column("fakes", "1", "tumor", "dice")


def table(path: Path, persons: dict[str, str]) -> Path:
    write_table(path, ("case", "patient"), [*persons.items()])
    return path


def test_scans_of_one_patient_are_averaged(make_given: MakeGiven, tmp_path: Path) -> None:
    given = make_given()
    persons = {scan: "z" if scan in ("p02", "p07") else scan for scan in given.patients}
    found = of_persons(given, table(tmp_path / "patients.csv", persons))
    assert (len(found.patients), found.patients[-1], found.scans) == (9, "z", 10)
    before = dict(zip(given.patients, given.values[COLUMN], strict=True))
    after = dict(zip(found.patients, found.values[COLUMN], strict=True))
    assert after["z"] == pytest.approx((before["p02"] + before["p07"]) / 2)
    assert after["p03"] == before["p03"]


def test_what_is_open_in_every_scan_stays_open(tmp_path: Path) -> None:
    recall = [
        replace(s, metric="recall", value=None if s.patient in ("p00", "p01", "p02") else 0.5) for s in scores_of()
    ]
    given = gather([*scores_of(), *recall], "x")
    persons = {scan: {"p00": "a", "p01": "a", "p02": "b", "p03": "b"}.get(scan, scan) for scan in given.patients}
    found = of_persons(given, table(tmp_path / "patients.csv", persons))
    values = found.values[Column("real", "0", "tumor", "recall")]
    assert np.isnan(values[0])
    assert values[1] == 0.5
    assert found.absent("tumor") == 1


def test_a_table_that_lacks_a_scan_is_refused(make_given: MakeGiven, tmp_path: Path) -> None:
    with pytest.raises(SplitError, match=r"patients.csv: lacks cases .*p01"):
        of_persons(make_given(), table(tmp_path / "patients.csv", {"p00": "a"}))


def test_pseudonyms_keep_each_score_with_its_patient(make_given: MakeGiven) -> None:
    given = make_given()
    found = hidden(given)
    assert found.patients == tuple(sorted(pseudonyms(given.patients).values()))
    names = pseudonyms(given.patients)
    before = {names[patient]: value for patient, value in zip(given.patients, given.values[COLUMN], strict=True)}
    assert dict(zip(found.patients, found.values[COLUMN], strict=True)) == before
