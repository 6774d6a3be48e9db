"""Outputs that are whole or absent: written to a temporary sibling, flushed, then renamed."""

from __future__ import annotations

import csv
import errno
import hashlib
import json
import os
import shutil
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from functools import cache
from pathlib import Path
from typing import Any, TypeVar, cast

from pydantic import TypeAdapter, ValidationError

from nephrite.errors import DiskFullError, OutputError, StoreError
from nephrite.locks import hold_folder
from nephrite.ownership import check_replaceable, mark_folder

PARTIAL = ".partial"
REFUSALS = {  # what a file system answers: finding, remedy
    errno.EROFS: ("lies on a file system that is read-only", "name another place"),
    errno.EACCES: ("may not be read or written by this user", "change its permissions, or name another place"),
    errno.EPERM: ("may not be changed by this user", "change its permissions, or name another place"),
    errno.ENAMETOOLONG: ("has a name that is too long for the file system", "name a shorter place"),
    errno.ENOTDIR: ("lies below a file, and a folder is needed", "name another place"),
    errno.EIO: ("could not be read or written: the disk reports an error", "check the disk, and run the stage again"),
    errno.ESTALE: ("is gone from the network file system", "mount it again, and run the stage again"),
}
CHECKPOINT, BEFORE, FINGERPRINT = "last.ckpt", "before_last.ckpt", "fingerprint.json"  # of an output that still grows
KEPT_STEPS = "kept_steps.json"  # how many optimizer steps are in that checkpoint
AGAIN = "run the stage that writes it again"
IN_POD = "NEPHRITE_POD"  # set in pods, where a new volume often belongs to root
OF_VOLUME = "give the volume to the group of this user: apply k8s/ again, see docs/cluster.md, 'Volumes'"
LONGEST_SHOWN, LONGEST_TEXT = 60, 240  # characters of a wrong value, and of a rule, in an error
Record = TypeVar("Record")


@contextmanager
def whole_folder(target: Path, kind: str | None, *, keep_partial: bool = False) -> Iterator[Path]:
    """Yield a temporary sibling folder that replaces `target` when the block ends without an error.

    Args:
        target: the folder to be written; an older one that Nephrite wrote is replaced, a missing parent is made. A link
            to a folder is followed.
        kind: what it is, by the name of the option that asks for it; a folder of another kind is not replaced.
            None for a part of an output, which bears no mark.
        keep_partial: keep what an earlier, killed attempt left in the sibling, and what a failing block leaves
            there (for checkpoints). Without it both are removed.

    Raises:
        OutputError: `target` holds something that Nephrite did not write, is being written by another process, or
            cannot be written.
        DiskFullError: no space is left on the device.
    """
    # leave alone what is not ours
    with disk_errors(target):
        target = target.resolve()
        if kind:
            check_replaceable(target, kind)
    # write into a sibling folder
    partial, old = target.with_name(target.name + PARTIAL), target.with_name(f"{target.name}.old{PARTIAL}")
    with disk_errors(target):
        partial.mkdir(parents=True, exist_ok=True)
        with hold_folder(partial, target):
            if not keep_partial:
                empty_folder(partial)
            try:
                yield partial
                # flush it before it gets its name
                if kind:
                    mark_folder(partial, kind)
                for path in sorted(partial.rglob("*")):
                    _flush(path)
            except BaseException:
                if not keep_partial:
                    shutil.rmtree(partial, ignore_errors=True)
                raise
            # replace the old one, which is whole or gone at any moment
            shutil.rmtree(old, ignore_errors=True)
            if target.exists():
                target.rename(old)
            partial.rename(target)
            _flush(target.parent)
            shutil.rmtree(old, ignore_errors=True)


def remove_output(path: Path, kind: str) -> None:
    """Remove an earlier output of a kind, a folder or a file.

    Raises:
        OutputError: the folder holds something that Nephrite did not write.
    """
    if path.is_dir():
        check_replaceable(path, kind)
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)


@contextmanager
def scratch_folder(target: Path) -> Iterator[Path]:
    """Yield a folder beside `target`, in its file system, for what is not needed after the block.

    What a killed attempt left in it is removed.

    Raises:
        OutputError: it cannot be written.
        DiskFullError: no space is left on the device.
    """
    place = target.resolve()
    place = place.with_name(f"{place.name}.scratch{PARTIAL}")
    with disk_errors(place):
        shutil.rmtree(place, ignore_errors=True)
        place.mkdir(parents=True)
        try:
            yield place
        finally:
            shutil.rmtree(place, ignore_errors=True)


def empty_folder(folder: Path) -> None:
    """Remove what is in a folder that is ours."""
    for path in folder.iterdir():
        shutil.rmtree(path) if path.is_dir() and not path.is_symlink() else path.unlink()


@contextmanager
def whole_file(target: Path) -> Iterator[Path]:
    """Yield a temporary sibling path that replaces `target` when the block ends without an error.

    Raises:
        OutputError: `target` cannot be written.
        DiskFullError: no space is left on the device.
    """
    partial = target.with_name(target.name + PARTIAL)
    with disk_errors(target):
        target.parent.mkdir(parents=True, exist_ok=True)
        try:
            yield partial
            _flush(partial)
            partial.replace(target)
        except BaseException:
            with suppress(OSError):
                partial.unlink(missing_ok=True)
            raise


@contextmanager
def disk_errors(target: Path) -> Iterator[None]:
    """Turn what a file system refuses into one line: the file concerned where the system names it, else `target`."""
    try:
        yield
    except OSError as error:
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            raise DiskFullError(
                target, "no space left on the device", "free some space and run the stage again"
            ) from error
        if error.errno not in REFUSALS:
            raise
        finding, remedy = REFUSALS[error.errno]
        if error.errno in (errno.EACCES, errno.EPERM) and os.environ.get(IN_POD):
            remedy = OF_VOLUME
        raise OutputError(error.filename or target, finding, remedy) from error


def write_json(target: Path, content: Any) -> None:
    """Write `content` as indented JSON, whole or not at all; NaN is refused."""
    with whole_file(target) as partial:
        partial.write_text(json.dumps(content, indent=2, allow_nan=False) + "\n", encoding="utf-8")


def write_table(target: Path, names: Sequence[str], rows: Iterable[Sequence[object]]) -> None:
    """Write `rows` as CSV below a line of `names`, whole or not at all."""
    with whole_file(target) as partial, partial.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(names)
        writer.writerows(rows)


def read_json(path: Path, remedy: str = AGAIN) -> Any:
    """Read JSON; NaN and infinity, which JSON does not know, are refused.

    Raises:
        StoreError: the file is missing, cannot be read, or is not JSON.
    """
    try:
        return parse_json(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise StoreError(path, "is missing", remedy) from None
    except OSError as error:
        raise StoreError(path, f"cannot be read ({error.strerror})", remedy) from None
    except (ValueError, RecursionError) as error:
        raise StoreError(path, f"is not JSON ({error})", remedy) from None


def parse_json(text: str) -> Any:
    """JSON as Python reads it, without NaN and infinity.

    Raises:
        ValueError: the text is not JSON.
        RecursionError: it is nested too deeply.
    """
    return json.loads(text, parse_constant=_no_number)


def read_record(path: Path, kind: type[Record], remedy: str) -> Record:
    """Read JSON into a dataclass, checking names and types.

    Raises:
        StoreError: the file is missing, is not JSON, or lacks or adds a field: names the field.
    """
    return as_record(read_json(path, remedy), kind, path, remedy)


def as_record(content: Any, kind: type[Record], place: str | Path, remedy: str) -> Record:
    """Content of JSON, YAML or CSV as a dataclass, checking names, types and ranges.

    Args:
        content: as a parser gave it.
        kind: a dataclass, or any type that pydantic reads.
        place: where it was found, for the error.
        remedy: what the user can do about it.

    Raises:
        StoreError: something is missing, unknown, of another type or out of range: names the field and its value.
    """
    try:
        record: Record = _reader(cast(Any, kind)).validate_python(content)
    except ValidationError as error:
        raise StoreError(place, first_problem(error), remedy) from None
    return record


def first_problem(error: ValidationError) -> str:
    """What pydantic found first: the field, the rule, and the value if it is short."""
    problem = error.errors()[0]
    field, shown = ".".join(map(str, problem["loc"])), repr(problem["input"])
    value = f", not {shown}" if len(shown) <= LONGEST_SHOWN and problem["type"] != "missing" else ""
    rule = problem["msg"].removeprefix("Value error, ")
    return f"{f'{_cut(field)}: ' if field else ''}{_cut(rule)}{value}"


def _cut(text: str) -> str:
    return text if len(text) <= LONGEST_TEXT else f"{text[:LONGEST_TEXT]}..."


@cache
def _reader(kind: Any) -> TypeAdapter[Any]:
    """Cached per type: building one takes milliseconds, and a store reads a record for each patient."""
    return TypeAdapter(kind)


def sha256(path: Path) -> str:
    """SHA-256 of a file's bytes, in hexadecimal."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def digest(content: Any) -> str:
    """SHA-256 of `content` as canonical JSON, in hexadecimal: equal content, equal digest."""
    text = json.dumps(content, sort_keys=True, separators=(",", ":"), allow_nan=False, default=str)
    return hashlib.sha256(text.encode()).hexdigest()


def _no_number(text: str) -> Any:
    raise ValueError(f"{text} is no number")


def _flush(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
