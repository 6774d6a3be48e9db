"""Several scans of one patient: who was scanned, told by a table.

In a store each scan has an id of its own, which the code calls a patient's, since most patients have one scan. Whoever
has several is a *person* here: split, label fractions, the leakage guard, intervals and counts go by persons.

The table lies in raw/patients.csv, with the columns 'case' and 'patient'. `acquire` writes it, since only there the
names are known that a user's own table or rule speaks of: with pseudonyms it holds those of cases and of patients.
"""

from __future__ import annotations

import csv
import re
from collections.abc import Collection, Iterable, Mapping, Sequence
from pathlib import Path

from nephrite.config import PatientsSettings
from nephrite.errors import ConfigError, SplitError
from nephrite.files import write_table
from nephrite.store.records import LESION_FREE, UNLABELED

TABLE, COLUMNS = "patients.csv", ("case", "patient")
WITHOUT_LABELS = (UNLABELED, LESION_FREE)
SEEN = ("train", *WITHOUT_LABELS)  # splits whose scans may be shown in training
KEY, SHOWN = "acquire.patients", 5
REMEDY = "write a line 'case,patient' for each scan, and for no other"

Persons = Mapping[str, str]  # scan to the person who was scanned


def alone(scans: Iterable[str]) -> dict[str, str]:
    """Scans of as many persons, each under the name of its scan."""
    return {scan: scan for scan in scans}


def persons_of(
    settings: PatientsSettings, scans: Sequence[str], told: Mapping[str, str] | None = None
) -> dict[str, str]:
    """The person of each scan, by the table or the rule of the settings, else as is told; or it is one of its own.

    Names of persons that differ in capital letters only are one.

    Args:
        settings: table or rule.
        scans: names of all scans, labeled or not.
        told: what their layout says, of any of them.

    Raises:
        SplitError: the table cannot be read, lacks a scan, names another, or gives one to two persons.
        ConfigError: the rule matches no name.
    """
    if settings.table is not None:
        return read_persons(settings.table, scans)
    if settings.rule is None:
        return _spelled_once(alone(scans) | dict(told or {}))
    found = {scan: re.fullmatch(settings.rule, scan) for scan in scans}
    if not any(found.values()):
        finding = f"'{settings.rule}' matches none of {len(scans)} names of cases, e.g. '{min(scans)}'"
        raise ConfigError(f"{KEY}.rule", finding, "mend it, or leave it out")
    return _spelled_once({scan: match[1] if match and match[1] else scan for scan, match in found.items()})


def read_persons(path: Path, scans: Sequence[str]) -> dict[str, str]:
    """The person of each of these scans, from a table of just these; raises as `persons_of`."""
    table = read_table(path)
    known, wanted = {name.lower(): name for name in table}, {name.lower(): name for name in scans}
    unknown = sorted(known[name] for name in known.keys() - wanted.keys())
    missing = sorted(wanted[name] for name in wanted.keys() - known.keys())
    for odd, finding in ((unknown, "names unknown cases"), (missing, "lacks cases")):
        if odd:
            raise SplitError(path, f"{finding} {_some(odd)}", REMEDY)
    return _spelled_once({scan: table[known[scan.lower()]] for scan in scans})


def stored_persons(raw: Path, scans: Sequence[str]) -> dict[str, str]:
    """The person of each scan: as the table in the folder says, else each is one of its own."""
    return read_persons(raw / TABLE, scans) if (raw / TABLE).is_file() else alone(scans)


def read_table(path: Path) -> dict[str, str]:
    """Case to patient, as a table says; raises as `persons_of`."""
    try:
        with path.open(newline="", encoding="utf-8-sig") as file:
            rows = [*csv.DictReader(file)]
    except (OSError, ValueError, csv.Error) as error:
        raise SplitError(path, f"cannot be read ({error})", REMEDY) from None
    if not rows or not {*COLUMNS} <= rows[0].keys():
        raise SplitError(path, "has no columns 'case' and 'patient', or no line below them", REMEDY)
    found: dict[str, tuple[str, str]] = {}  # by small letters, as names are compared
    for row in rows:
        case, person = (str(row[name] or "").strip() for name in COLUMNS)
        if not case or not person:
            raise SplitError(path, f"has a line without case or patient: '{case},{person}'", REMEDY)
        before = found.setdefault(case.lower(), (case, person))[1]
        if before.lower() != person.lower():
            raise SplitError(path, f"gives '{case}' to two patients, '{before}' and '{person}'", REMEDY)
    return dict(found.values())


def write_persons(raw: Path, persons: Persons) -> None:
    """Write the table of a folder of raw volumes.

    Raises:
        ConfigError: the name of a person could not be an id.
    """
    odd = sorted({person for person in persons.values() if not re.fullmatch(r"[A-Za-z0-9._-]+", person)})
    if odd:
        finding = f"names {odd[0]!r}, which cannot be a patient's id: letters, digits, '.', '_' and '-' only"
        raise ConfigError(KEY, finding, "choose other names, or set 'acquire.pseudonyms' to true")
    write_table(raw / TABLE, COLUMNS, sorted(persons.items()))


def count_persons(persons: Persons, scans: Iterable[str] | None = None) -> int:
    """How many persons these scans are of; all scans unless told."""
    return len({persons[scan] for scan in (persons if scans is None else scans)})


def check_apart(place: Path, splits: Mapping[str, str], persons: Persons, remedy: str) -> None:
    """Refuse scans of one person in two of the splits of labeled scans, of which one is judged on.

    Args:
        place: the file that says so.
        splits: scan to split.
        persons: scan to person.
        remedy: for the error.

    Raises:
        SplitError: names two scans.
    """
    first: dict[str, str] = {}
    for scan, split in sorted(splits.items()):
        if split not in WITHOUT_LABELS and splits[twin := first.setdefault(persons[scan], scan)] != split:
            finding = f"puts scans of one patient apart: '{twin}' into {splits[twin]} and '{scan}' into {split}"
            raise SplitError(place, finding, remedy)


def held_out(splits: Mapping[str, str], persons: Persons) -> set[str]:
    """Persons of whom no scan may be shown in training: one of theirs is in a split that is not learned from."""
    return {persons[scan] for scan, split in splits.items() if split not in SEEN}


def visible(splits: Mapping[str, str], persons: Persons, allowed: Collection[str] = SEEN) -> set[str]:
    """Scans of these splits that may be shown in training."""
    barred = held_out(splits, persons)
    return {scan for scan, split in splits.items() if split in allowed and persons[scan] not in barred}


def others(
    splits: Mapping[str, str], persons: Persons, labeled: Iterable[str], *, allowed: Collection[str]
) -> list[str]:
    """Scans of these splits that may be shown to whom knows some labels, and are of nobody of these labels; sorted.

    Args:
        splits: scan to split.
        persons: scan to person.
        labeled: scans whose labels are known.
        allowed: splits.
    """
    known = {persons[scan] for scan in labeled}
    return sorted(scan for scan in visible(splits, persons, allowed) if persons[scan] not in known)


def _spelled_once(persons: Persons) -> dict[str, str]:
    """The persons, of whom those that differ in capital letters only get one spelling: the first of the sorted ones."""
    spelled: dict[str, str] = {}
    for person in sorted(persons.values()):
        spelled.setdefault(person.lower(), person)
    return {scan: spelled[person.lower()] for scan, person in persons.items()}


def _some(names: Sequence[str]) -> str:
    return f"{', '.join(names[:SHOWN])}{' ...' if len(names) > SHOWN else ''}"
