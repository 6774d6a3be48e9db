"""What a new split takes over from the store that it replaces, and what it is stratified by."""

from __future__ import annotations

import logging
from pathlib import Path

from nephrite.config import PrepareSettings, SplitSettings
from nephrite.errors import StoreError
from nephrite.files import read_json, read_record
from nephrite.store.persons import Persons
from nephrite.store.records import Splits
from nephrite.store.slices import SPLIT, read_patient
from nephrite.store.split import lesion_strata

logger = logging.getLogger(__name__)
FEWEST = 8  # test patients that a verdict needs; `verdict` itself is not imported, since no slice follows from it


def earlier_split(pairs: Path, settings: SplitSettings) -> dict[str, str]:
    """Patient to split, of the store that is about to be replaced, if it was drawn by the same shares and salt."""
    path, shares = pairs / SPLIT, {"train", "validation", "test", "confirmation"}
    if not path.is_file():
        return {}
    try:
        content = read_json(path)
        earlier = read_record(path, Splits, "run 'prepare' again").patients
    except StoreError as error:
        logger.warning("%s: patients are split anew", error)
        return {}
    # a fresh set is of patients who come: whatever the shares are now, nobody moves for it
    same = {"confirmation": 0.0, **{key: content.get(key) for key in shares & content.keys()}}
    kept = same == settings.model_dump(include=shares) or settings.confirmation > 0
    return earlier if kept and content.get("salt") == settings.salt else {}


def strata_of(root: Path, scans: Persons, settings: PrepareSettings) -> dict[str, str]:
    """Strata of persons by lesions, all scans of a person together, of scans that were written to `root`."""
    if not settings.split.stratify or not settings.lesions:
        return {}
    lesions = dict.fromkeys(scans.values(), 0.0)
    for scan, person in scans.items():
        known = read_patient(root, scan).volumes.items()
        lesions[person] += sum(volume for name, (volume, _) in known if name in settings.lesions)
    return lesion_strata(lesions)


def warn_of_few(patients: int, who: str = "test patients", setting: str = "prepare.split") -> None:
    """Warn of fewer patients to judge by than a verdict needs, before anything is read."""
    if patients < FEWEST:
        text = "%s: %d %s, fewer than the %d that a verdict needs: at most 'no evidence' follows"
        logger.warning(text, setting, patients, who, FEWEST)
