"""Outputs that are whole or absent: written to a temporary sibling, flushed, then renamed."""

from __future__ import annotations

import csv
import errno
import hashlib
import json
import os
import shutil
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import Any, TypeVar, cast

from pydantic import TypeAdapter, ValidationError

from nephrite.errors import DiskFullError, StoreError

PARTIAL = ".partial"
CHECKPOINT, FINGERPRINT = "last.ckpt", "fingerprint.json"  # of an output that is still growing
AGAIN = "run the stage that writes it again"
LONGEST_SHOWN, LONGEST_TEXT = 60, 240  # characters of a wrong value, and of a rule, in an error
Record = TypeVar("Record")


@contextmanager
def whole_folder(target: Path, *, keep_partial: bool = False) -> Iterator[Path]:
    """Yield a temporary sibling folder that replaces `target` when the block ends without an error.

    Args:
        target: the folder to be written; an older one is replaced, a missing parent is made.
        keep_partial: keep what an earlier, killed attempt left in the sibling, and what a failing block leaves
            there (for checkpoints). Without it both are removed.

    Raises:
        DiskFullError: no space is left on the device.
    """
    # write into a sibling folder
    partial = target.with_name(target.name + PARTIAL)
    if partial.exists() and not keep_partial:
        shutil.rmtree(partial)
    with disk_errors(target):
        partial.mkdir(parents=True, exist_ok=True)
        try:
            yield partial
            # flush it before it gets its name
            for path in sorted(partial.rglob("*")):
                _flush(path)
        except BaseException:
            if not keep_partial:
                shutil.rmtree(partial, ignore_errors=True)
            raise
        # replace the old one
        if target.exists():
            shutil.rmtree(target)
        partial.rename(target)
        _flush(target.parent)


@contextmanager
def whole_file(target: Path) -> Iterator[Path]:
    """Yield a temporary sibling path that replaces `target` when the block ends without an error.

    Raises:
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
            partial.unlink(missing_ok=True)
            raise


@contextmanager
def disk_errors(target: Path) -> Iterator[None]:
    """Turn 'no space left' and 'quota exceeded' into a DiskFullError that names `target`."""
    try:
        yield
    except OSError as error:
        if error.errno not in (errno.ENOSPC, errno.EDQUOT):
            raise
        raise DiskFullError(target, "no space left on the device", "free some space and run the stage again") from error


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
