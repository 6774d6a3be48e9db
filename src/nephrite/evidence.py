"""Evidence bound to bytes: each output has a record that holds SHA-256 of its files, of its inputs' records, of itself.

A record is a JSON file with the fields

    files     path within the output's folder to SHA-256
    inputs    name of an input to the `digest` of that input's record: so records form a chain
    digest    of all other fields, in their order: that of 'channels' is the order of a network's outputs

It is checked whenever an output is opened. Outputs of up to `SMALL` bytes are read whole. Larger ones are read whole
once on a machine; after that their sizes, times and inode numbers must be as they were then. `nephrite verify` reads
everything. docs/evidence.md says what this stops.
"""

from __future__ import annotations

import hashlib
import json
import logging
import os
import time
from collections.abc import Collection, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any, Literal, TypeVar

from nephrite.errors import NephriteError, StoreError
from nephrite.files import (
    BEFORE,
    CHECKPOINT,
    FINGERPRINT,
    KEPT_STEPS,
    as_record,
    digest,
    read_json,
    sha256,
    whole_file,
    write_json,
)
from nephrite.record_fields import STRICT, Files, Inputs, Line, Sha256

logger = logging.getLogger(__name__)
Record = TypeVar("Record")
EVIDENCE = "evidence.json"
SMALL = 256 * 2**20  # bytes that are hashed in about 0.2 seconds
SETTLED = 10**8  # nanoseconds after which a further change of a file shows in its times
READERS = 4  # threads that hash
GROWING = frozenset((CHECKPOINT, BEFORE, FINGERPRINT, KEPT_STEPS))
_known: set[str] = set()  # states of folders that this process has checked


@dataclass(frozen=True)
class Evidence:
    """The record of an output that has no record of its own kind: a report.

    Attributes:
        kind: of output.
        inputs, files, digest: see the module.
        version: of the software that wrote it.
    """

    __pydantic_config__ = STRICT

    kind: Literal["report"]
    inputs: Inputs
    files: Files
    version: Line
    digest: Sha256 = field(default="0" * 64)
    format: Literal[1] = 1


def sealed(content: Mapping[str, Any]) -> dict[str, Any]:
    """The content of a record with its digest."""
    text = json.dumps({key: value for key, value in content.items() if key != "digest"}, allow_nan=False)
    plain = json.loads(text)  # keys become text, as they are when the record is read
    return {**plain, "digest": hashlib.sha256(json.dumps(plain, separators=(",", ":")).encode()).hexdigest()}


def check_seal(content: Mapping[str, Any], place: str | Path, remedy: str) -> None:
    """Refuse a record that is not as it was written.

    Raises:
        StoreError: its digest is not that of its other fields.
    """
    if sealed(content)["digest"] != content["digest"]:
        raise StoreError(place, "was changed after it was written: its 'digest' is not that of its content", remedy)


def read_sealed(path: Path, kind: type[Record], remedy: str) -> Record:
    """Read a record and check its digest.

    A record without a digest was written by an older version: it is read, with a warning, and given its digest, so that
    later records can name it.

    Raises:
        StoreError: missing, not JSON, a field that is missing, unknown or out of range, or changed.
    """
    content = read_json(path, remedy)
    return as_sealed(content, kind, path, remedy)


def as_sealed(content: Any, kind: type[Record], path: Path, remedy: str) -> Record:
    """The same for content that was read already."""
    if isinstance(content, dict) and "digest" not in content:
        if "inputs" in content:
            raise StoreError(path, "was changed after it was written: it lacks its 'digest'", remedy)
        record = as_record(sealed(content), kind, path, remedy)
        tell_older(path)
        return record
    record = as_record(content, kind, path, remedy)
    check_seal(content, path, remedy)
    return record


@cache
def tell_older(path: Path) -> None:
    """Warn once of a record without digests: changes of what it stands for cannot be seen."""
    logger.warning("%s: holds no digests, since an older version wrote it: changes of its output are not seen", path)


def digest_files(root: Path, names: Collection[str]) -> dict[str, str]:
    """SHA-256 of files, by their paths within `root`, sorted."""
    ordered = sorted(names)
    with ThreadPoolExecutor(READERS) as pool:
        return dict(zip(ordered, pool.map(lambda name: sha256(root / name), ordered), strict=True))


def finished_files(root: Path, *, without: Collection[str] = ()) -> list[str]:
    """All files of a folder that is about to be finished, by their paths, but for what a checkpoint leaves."""
    paths = (path for path in root.rglob("*") if path.is_file() and path.name not in GROWING)
    return sorted(name for name in (path.relative_to(root).as_posix() for path in paths) if name not in without)


def write_evidence(root: Path, *, kind: Literal["report"], inputs: Mapping[str, str], version: str) -> None:
    """Write the record of a folder, last of all its files."""
    files = digest_files(root, finished_files(root, without=(EVIDENCE,)))
    content = {"kind": kind, "inputs": dict(inputs), "files": files, "version": version, "format": 1}
    write_json(root / EVIDENCE, sealed(content))


def changed_files(root: Path, files: Mapping[str, str]) -> Iterator[tuple[Path, str]]:
    """Files that are missing or not as their record says, each with the finding; every byte is read."""
    present = [name for name in files if (root / name).is_file()]
    yield from ((root / name, "is missing") for name in files if name not in set(present))
    found = digest_files(root, present)
    for name in present:
        if found[name] != files[name]:
            yield root / name, f"was changed: its SHA-256 is {found[name][:12]}..., not {files[name][:12]}..."


def check_files(root: Path, files: Mapping[str, str], remedy: str) -> None:
    """Refuse an output of which a file is missing or changed; see the module for what is read.

    Raises:
        StoreError: names the file, the finding and the remedy.
    """
    # what is known of these very files need not be read again
    state, size, settled = _state(root, files, remedy)
    if state in _known or (size > SMALL and _mark(root) == state):
        return
    for path, finding in changed_files(root, files):
        raise StoreError(path, finding, remedy)
    # a change within the clock's grain would not show
    if settled:
        _known.add(state)
        if size > SMALL:
            _keep_mark(root, state)


def _state(root: Path, files: Mapping[str, str], remedy: str) -> tuple[str, int, bool]:
    """Digest of sizes, times and inode numbers; bytes in all; and whether the last change lies some time back."""
    facts, size, latest = [], 0, 0
    for name, expected in files.items():
        try:
            stat = (root / name).stat()
        except OSError as error:
            missing = isinstance(error, FileNotFoundError)
            finding = "is missing" if missing else f"cannot be read ({error.strerror})"
            raise StoreError(root / name, finding, remedy) from None
        facts.append([name, expected, stat.st_dev, stat.st_ino, stat.st_size, stat.st_mtime_ns, stat.st_ctime_ns])
        size, latest = size + stat.st_size, max(latest, stat.st_mtime_ns, stat.st_ctime_ns)
    return digest([str(root.absolute()), facts]), size, time.time_ns() - latest > SETTLED


def _mark_file(root: Path) -> Path:
    """Where it is kept which state of a folder was read whole: on this machine, outside of the project."""
    base = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(base) / "nephrite" / "verified" / digest(str(root.absolute()))


def _mark(root: Path) -> str | None:
    with suppress(OSError, RuntimeError, ValueError):  # no home folder, none that can be read
        return _mark_file(root).read_text(encoding="utf-8")
    return None


def _keep_mark(root: Path, state: str) -> None:
    with suppress(OSError, RuntimeError, NephriteError), whole_file(_mark_file(root)) as partial:
        partial.write_text(state, encoding="utf-8")
