"""One process at a time, by locks of the system: the end of a process, a kill too, releases them."""

from __future__ import annotations

import errno
import fcntl
import hashlib
import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from nephrite.errors import OutputError


@contextmanager
def hold_folder(folder: Path, target: Path) -> Iterator[None]:
    """Hold a folder as long as the block runs; the end of the process, a kill too, releases it.

    Args:
        folder: that exists.
        target: what is written, for the error.

    Raises:
        OutputError: another process holds it: both would write the same files.
    """
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        try:
            with without_locks():
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            held = os.path.samestat(os.fstat(descriptor), folder.stat())
        except (BlockingIOError, FileNotFoundError):  # held, or renamed since
            held = False
        if not held:
            raise OutputError(target, "is being written by another process", "wait for its end, or name another folder")
        yield
    finally:
        os.close(descriptor)


@contextmanager
def wait_turn(*what: object) -> Iterator[None]:
    """Let one process of this user and machine at a time work on something; others wait.

    Args:
        what: names it.
    """
    name = hashlib.sha256(repr((*what, os.getuid())).encode()).hexdigest()[:16]
    with (Path(tempfile.gettempdir()) / f"nephrite-{name}.lock").open("w") as file:
        with without_locks():
            fcntl.flock(file, fcntl.LOCK_EX)
        yield


@contextmanager
def without_locks() -> Iterator[None]:
    """Go on without a lock on file systems that know none, as some of networks."""
    try:
        yield
    except OSError as error:
        if error.errno not in (errno.ENOLCK, errno.EOPNOTSUPP, errno.ENOSYS):
            raise
