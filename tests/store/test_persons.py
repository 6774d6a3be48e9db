"""Whose a scan is: by a table, or by a rule on names."""

from __future__ import annotations

from pathlib import Path

import pytest

from nephrite.config import PatientsSettings
from nephrite.errors import ConfigError, SplitError, StoreError
from nephrite.store.persons import (
    TABLE,
    alone,
    check_apart,
    count_persons,
    held_out,
    persons_of,
    read_table,
    visible,
    write_persons,
)
from nephrite.store.slices import LESION_FREE, UNLABELED, PairStore
from tests.conftest import SPLITS, finish


def table(folder: Path, *lines: str) -> PatientsSettings:
    path = folder / "table.csv"
    path.write_text("\n".join(lines), encoding="utf-8")
    return PatientsSettings(table=path)


def test_without_table_or_rule_every_scan_is_of_another_patient() -> None:
    assert persons_of(PatientsSettings(), ["a_1", "a_2"]) == {"a_1": "a_1", "a_2": "a_2"}


def test_a_rule_finds_the_patient_in_the_name() -> None:
    found = persons_of(PatientsSettings(rule="(.+)_[0-9]+"), ["a_1", "a_2", "B_7", "b_8", "c", "d_x"])
    assert found == {"a_1": "a", "a_2": "a", "B_7": "B", "b_8": "B", "c": "c", "d_x": "d_x"}


def test_a_rule_may_leave_its_group_out() -> None:
    assert persons_of(PatientsSettings(rule="(a)?.*"), ["ab", "cd"]) == {"ab": "a", "cd": "cd"}


def test_a_rule_that_matches_no_name_is_refused() -> None:
    with pytest.raises(ConfigError, match=r"^acquire\.patients\.rule: 'x\(\.\)' matches none of 2 names .* e\.g\. 'a'"):
        persons_of(PatientsSettings(rule="x(.)"), ["a", "b"])


def test_a_table_says_whose_each_scan_is(tmp_path: Path) -> None:
    settings = table(tmp_path, "patient,note,case", "Miller,x,A_1", "miller, ,a_2", "Smith,,b", "Smith,,b")
    assert persons_of(settings, ["a_1", "a_2", "b"]) == {"a_1": "Miller", "a_2": "Miller", "b": "Smith"}


@pytest.mark.parametrize(
    ("lines", "finding"),
    [
        (("case,patient", "a,p", "b,q", "x,q"), "names unknown cases x"),
        (("case,patient", "a,p"), "lacks cases b"),
        (("case,patient", "a,p", "A,q", "b,q"), "gives 'A' to two patients, 'p' and 'q'"),
        (("case,patient", "a,p", "b,"), "has a line without case or patient: 'b,'"),
        (("name,patient", "a,p"), "has no columns 'case' and 'patient'"),
        ((), "has no columns"),
    ],
)
def test_a_table_that_does_not_fit_is_refused_in_one_line(tmp_path: Path, lines: tuple[str, ...], finding: str) -> None:
    with pytest.raises(SplitError) as caught:
        persons_of(table(tmp_path, *lines), ["a", "b"])
    assert finding in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_table_that_is_missing_is_refused(tmp_path: Path) -> None:
    with pytest.raises(SplitError, match="cannot be read"):
        persons_of(PatientsSettings(table=tmp_path / "none.csv"), ["a"])


def test_a_table_that_was_written_is_read(tmp_path: Path) -> None:
    write_persons(tmp_path, {"b": "p", "a": "p"})
    assert read_table(tmp_path / TABLE) == {"a": "p", "b": "p"}
    with pytest.raises(ConfigError, match=r"names 'Miller, Jane', which cannot be a patient's id.*acquire\.pseudonyms"):
        write_persons(tmp_path, {"a": "Miller, Jane"})


def test_persons_are_counted_once() -> None:
    persons = {"a_1": "a", "a_2": "a", "b": "b"}
    assert (count_persons(persons), count_persons(persons, ["a_1", "a_2"])) == (2, 1)


def test_scans_of_one_person_in_two_splits_are_refused() -> None:
    splits = {"a_1": "train", "a_2": "test", "b": "test"}
    check_apart(Path("here"), splits, alone(splits), "mend it")
    with pytest.raises(SplitError, match="here: puts scans of one patient apart: 'a_1' into train and 'a_2' into test"):
        check_apart(Path("here"), splits, {scan: scan[0] for scan in splits}, "mend it")


@pytest.mark.parametrize("split", [UNLABELED, LESION_FREE])
def test_scans_without_lesions_or_labels_may_be_of_anyone(split: str) -> None:
    splits = {"a_1": "train", "a_2": split, "c_1": "test", "c_2": split, "z": split}
    persons = {scan: scan[0] for scan in splits}
    check_apart(Path("here"), splits, persons, "mend it")
    assert held_out(splits, persons) == {"c"}
    assert visible(splits, persons) == {"a_1", "a_2", "z"}
    assert visible(splits, persons, ["train"]) == {"a_1"}


def test_a_store_whose_split_puts_one_patients_scans_apart_is_refused(pairs: Path) -> None:
    assert finish(pairs, "real", SPLITS, {"c1": "p", "c2": "p"}).persons("test") == {"c1": "p", "c2": "p"}
    assert PairStore(pairs).person("a1") == "a1"
    with pytest.raises(SplitError, match="puts scans of one patient apart: 'a1' into train and 'c1' into test"):
        finish(pairs, "real", SPLITS, {"a1": "p", "c1": "p"})


def test_a_table_of_persons_in_a_store_is_sealed(pairs: Path) -> None:
    finish(pairs, "real", SPLITS, {"c1": "p", "c2": "p"})
    text = (pairs / "split.json").read_text()
    (pairs / "split.json").write_text(text.replace('"p"', '"q"'))
    with pytest.raises(StoreError, match=r"split\.json"):
        PairStore(pairs)
