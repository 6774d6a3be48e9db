"""What the provenance of synthetic data says: clean, a leak, or not to be verified.

A leak is refused: a generator, or label maps, that know patients who are judged or chosen by. What cannot be verified
may be tried: reports say so beside their headline, and nothing that learned from it is promoted.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from nephrite.config import ForeignSettings, OriginSettings, ProvenanceSettings
from nephrite.errors import LeakageError
from nephrite.files import as_record, read_json
from nephrite.record_fields import STRICT, Line, PatientId
from nephrite.store.persons import Persons, held_out
from nephrite.words import counted

logger = logging.getLogger(__name__)
FILE = "provenance.json"
REMEDY = "mend it: generator, version, license, trained_on and masks_from (docs/bring-your-own.md)"
ROLES = {"trained_on": "the generator was trained on", "masks_from": "label maps were taken from"}


@dataclass(frozen=True)
class ForeignRecord:
    """What is known of a set of synthetic data that another program made.

    Attributes:
        name: of the set.
        generator, version, license: as they were told.
        standing: whether it is known whose data the set derives from.
        reasons: why not; one for each thing that is not known.
        patients: training patients of this trial that it was made from.
        scans: patients without labels of this trial that it was made from.
        shows: fakes that show a real patient, by hash, and whom.
    """

    __pydantic_config__ = STRICT

    name: Line
    generator: Line
    version: Line
    license: Line
    standing: Literal["clean", "unverifiable"]
    reasons: tuple[Line, ...]
    patients: tuple[PatientId, ...]
    scans: tuple[PatientId, ...]
    shows: dict[PatientId, tuple[PatientId, ...]]
    format: Literal[1] = 1


def read_provenance(folder: Path, settings: ForeignSettings | None = None) -> ProvenanceSettings:
    """What is told of a set: by its settings, or else by the file in its folder; nothing without either.

    Raises:
        StoreError: the file is no JSON, or has a field that is unknown or wrong.
    """
    if settings is not None and settings.provenance is not None:
        return settings.provenance
    if not (folder / FILE).is_file():
        return ProvenanceSettings()
    return as_record(read_json(folder / FILE, REMEDY), ProvenanceSettings, folder / FILE, REMEDY)


def with_names(told: ProvenanceSettings, rename: Callable[[str], str]) -> ProvenanceSettings:
    """The same with other names of patients, e.g. their pseudonyms."""
    changed = {}
    for role in ROLES:
        origin: OriginSettings = getattr(told, role)
        names = None if origin.patients is None else tuple(map(rename, origin.patients))
        changed[role] = origin.model_copy(update={"patients": names})
    return told.model_copy(update=changed)


def judge_provenance(
    name: str,
    told: ProvenanceSettings,
    splits: Mapping[str, str],
    persons: Persons,
    *,
    own_data_sets: Sequence[str],
    place: Path,
) -> ForeignRecord:
    """Compare what is told of a set with the patients of the trial.

    Args:
        name: of the set.
        told: its provenance.
        splits: scan to split, of all scans.
        persons: scan to person.
        own_data_sets: public data sets that the trial's scans are of; empty where that is not known.
        place: of the provenance, for errors.

    Raises:
        LeakageError: a patient of validation, test, confirmation or another hospital was learned from.
    """
    known: set[str] = set()
    reasons: list[str] = []
    for role, text in ROLES.items():
        origin: OriginSettings = getattr(told, role)
        known |= _patients(origin, splits, persons, f"{place}: {role}")
        reasons += _doubts(origin, text, own_data_sets, f"{place}: {role}")
    if not told.license:
        logger.warning("%s: tells no 'license': whether these data may be used is not known", place)
    patients = {scan for scan in known if splits[scan] == "train"}
    standing: Literal["clean", "unverifiable"] = "unverifiable" if reasons else "clean"
    return ForeignRecord(
        name, told.generator, told.version, told.license, standing, tuple(reasons),
        tuple(sorted(patients)), tuple(sorted(known - patients)), {},
    )  # fmt: skip


def _patients(origin: OriginSettings, splits: Mapping[str, str], persons: Persons, place: str) -> set[str]:
    """Scans of the trial that are named; none of them may be of somebody who is judged or chosen by."""
    if not origin.patients:
        return set()
    names = {name.casefold() for name in origin.patients}
    found = {scan for scan in splits if {scan.casefold(), persons[scan].casefold()} & names}
    barred = held_out(splits, persons)
    if leaks := sorted(scan for scan in found if persons[scan] in barred):
        more = f" and {len(leaks) - 1} more" if leaks[1:] else ""
        finding = f"names {leaks[0]} ({splits[leaks[0]]}){more}, who must not be learned from"
        raise LeakageError(place, finding, "train the generator without them, or leave the set out")
    if not found:
        logger.warning("%s: none of the %s is of this trial", place, counted(len(names), "patient"))
    return found


def _doubts(origin: OriginSettings, text: str, own: Sequence[str], place: str) -> list[str]:
    """Why it is not known whose data they are; names of patients count more than those of data sets."""
    if not origin.is_told:
        return [f"whose data {text} is not told"]
    if origin.patients is not None or origin.data_sets is None:
        return []
    ours = {_key(name): name for name in own}
    if shared := [name for name in origin.data_sets if _key(name) in ours]:
        finding = f"names '{shared[0]}', the data set that this trial's patients are of, its test patients among them"
        raise LeakageError(place, finding, "name the patients if some only were learned from, or leave the set out")
    if origin.data_sets and not ours:
        return [f"whether the data sets that {text} hold patients of this trial is not told ('acquire.data_sets')"]
    return []


def _key(name: str) -> str:
    """A data set's name without capital letters, blanks and signs."""
    return "".join(sign for sign in name.casefold() if sign.isalnum())
