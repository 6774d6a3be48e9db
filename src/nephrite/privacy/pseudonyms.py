"""Salted pseudonyms of patients: the same name gets the same one as long as its file of names stays.

The salt and the map from pseudonym to name lie in one file of the working folder, `.nephrite/patients.json`, which its
owner alone can read. Git and DVC leave the folder alone, as files in it tell them; nothing sends it anywhere.
"""

from __future__ import annotations

import fcntl
import hmac
import json
import logging
import os
import re
import secrets
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Literal

from nephrite.errors import OutputError, StoreError
from nephrite.files import disk_errors, read_record, whole_file

logger = logging.getLogger(__name__)

FILE = Path(".nephrite") / "patients.json"
VARIABLE = "NEPHRITE_PATIENTS"  # names another file, e.g. on an encrypted disk
PREFIX, DIGITS = "patient-", 16
PLAIN_LAYOUTS = frozenset({"kits", "nifti"})  # of public sets, mostly, whose names are numbers
OTHER_PLACE = f"name a file that can be written in {VARIABLE}, or set 'acquire.pseudonyms' to false"
KEEP = "restore it from a copy: with another salt every patient gets another pseudonym, and maybe another split"


@dataclass(frozen=True)
class NamesFile:
    """The one file that leads from a pseudonym back to a patient.

    Attributes:
        salt: hexadecimal; without it a pseudonym cannot be found by trying names.
        patients: pseudonym to the name of the patient's folder or file.
    """

    salt: str
    patients: dict[str, str] = field(default_factory=dict)
    format: Literal[1] = 1


def wanted(setting: bool | None, layouts: Iterable[str]) -> bool:
    """Whether patients get pseudonyms: as the setting says; without one, where any of the scans is DICOM."""
    return any(layout not in PLAIN_LAYOUTS for layout in layouts) if setting is None else setting


def pseudonyms(names: Iterable[str]) -> dict[str, str]:
    """The pseudonym of each name, kept in the file of names; names that differ in capital letters only share one.

    A pseudonym that is on file is its own: what was brought before can be brought again.

    Raises:
        StoreError: the file of names is damaged.
        OutputError: it cannot be written.
    """
    with _held() as path:
        kept = _read(path)
        found = {name: name if name in kept.patients else pseudonym(name, kept.salt) for name in names}
        new = {made: name for name, made in found.items() if made not in kept.patients}
        _write(path, NamesFile(kept.salt, kept.patients | new))
    return found


def local_salt() -> str:
    """The salt of the file of names, which is made if it is missing; raises as `pseudonyms`."""
    with _held() as path:
        kept = _read(path)
        _write(path, kept)
    return kept.salt


def pseudonym(name: str, salt: str) -> str:
    """HMAC-SHA256 of a name in small letters, cut to 64 bits."""
    made = hmac.new(bytes.fromhex(salt), name.lower().encode(), "sha256").hexdigest()
    return PREFIX + made[:DIGITS]


def names_file() -> Path:
    """Where the file of names lies."""
    return Path(os.environ.get(VARIABLE) or FILE)


@contextmanager
def _held() -> Iterator[Path]:
    """The file of names; other processes wait until the block ends."""
    path = names_file()
    try:
        with disk_errors(path):
            lock = _open_folder(path)
        try:
            fcntl.flock(lock, fcntl.LOCK_EX)
            yield path
        finally:
            os.close(lock)
    except OutputError as error:
        raise OutputError(path, error.finding, OTHER_PLACE) from error


def _open_folder(path: Path) -> int:
    """Make the folder of names, and open it; one of the user's own is not touched."""
    folder = path.parent
    if not folder.exists():
        folder.mkdir(parents=True, mode=0o700)
    if path == FILE:
        for name in (".gitignore", ".dvcignore"):
            (folder / name).write_text("*\n", encoding="utf-8")
    return os.open(folder, os.O_RDONLY | os.O_DIRECTORY)


def _read(path: Path) -> NamesFile:
    if not path.exists():
        logger.warning("%s: made; it alone leads from pseudonyms back to patients: keep it, and to yourself", path)
        return NamesFile(secrets.token_hex(32))
    kept = read_record(path, NamesFile, KEEP)
    if not re.fullmatch("[0-9a-f]{64}", kept.salt):
        raise StoreError(path, "salt: is not 64 hexadecimal digits", KEEP)
    return kept


def _write(path: Path, kept: NamesFile) -> None:
    with whole_file(path) as partial:
        descriptor = os.open(partial, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        with os.fdopen(descriptor, "w", encoding="utf-8") as file:
            os.fchmod(descriptor, 0o600)  # a file of an attempt that was killed may have other rights
            file.write(json.dumps(asdict(kept), indent=2) + "\n")
