"""The address of the MLflow store, and whether the server answers. Does not import MLflow."""

from __future__ import annotations

import fcntl
import os
import re
import socket
import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from urllib.parse import urlsplit

from nephrite.errors import TrackingUnreachableError
from nephrite.local_record import WAIT, mend_places
from nephrite.locks import without_locks

DEFAULT_URI = "sqlite:///mlflow.db"
PATIENCE = 4  # seconds for one small answer; MLflow's own retries last minutes
DATABASE_PORTS = {"postgresql": 5432, "mysql": 3306, "mssql": 1433}
REMEDY = "start the server, mend MLFLOW_TRACKING_URI, or unset it to record in ./mlflow.db"


def tracking_uri() -> str:
    """Where runs are recorded: MLFLOW_TRACKING_URI, or a database in the working folder; a locked one is waited for."""
    uri = os.environ.get("MLFLOW_TRACKING_URI") or DEFAULT_URI
    return f"{uri}?timeout={WAIT}" if re.match(r"sqlite(\+\w+)?:///[^?]+$", uri) else uri


def check_address(uri: str) -> None:
    """Find in seconds what MLflow would retry for minutes: a file that is no database, a database server that is down.

    Raises:
        TrackingUnreachableError: names the address without its credentials.
    """
    parts = urlsplit(uri)
    scheme = parts.scheme.partition("+")[0]
    try:
        if scheme == "sqlite":
            _check_sqlite(sqlite_file(uri))
        elif scheme in DATABASE_PORTS and parts.hostname:
            socket.create_connection((parts.hostname, parts.port or DATABASE_PORTS[scheme]), PATIENCE).close()
    except (OSError, sqlite3.Error) as error:
        raise unreachable(uri, str(error)) from None


def _check_sqlite(path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    with closing(sqlite3.connect(path, timeout=WAIT)) as database:
        database.execute("PRAGMA schema_version")
    if not os.access(path, os.W_OK):
        raise PermissionError(f"{path} is not writable")


def sqlite_file(uri: str) -> Path:
    """The file of a database in a file."""
    return Path(re.sub(r"^sqlite(\+\w+)?:///", "", uri).partition("?")[0])


def keep_files_here(uri: str) -> None:
    """Let the files of a record in the working folder lie in that folder, after a move or a copy too."""
    if uri.startswith("sqlite") and sqlite_file(uri).resolve().parent == Path.cwd().resolve():
        try:
            mend_places(sqlite_file(uri))
        except sqlite3.Error as error:
            raise unreachable(uri, str(error)) from None


@contextmanager
def one_at_a_time(uri: str) -> Iterator[None]:
    """Processes that share a database file make its tables, and look for the parent run, one after the other."""
    if not uri.startswith("sqlite"):
        yield
        return
    folder = os.open(sqlite_file(uri).parent, os.O_RDONLY)
    try:
        with without_locks():
            fcntl.flock(folder, fcntl.LOCK_EX)
        yield
    finally:
        os.close(folder)


@contextmanager
def short_patience() -> Iterator[None]:
    """One attempt of a few seconds instead of MLflow's retries; for the check only."""
    limits = {"MLFLOW_HTTP_REQUEST_MAX_RETRIES": "0", "MLFLOW_HTTP_REQUEST_TIMEOUT": str(PATIENCE)}
    before = {name: os.environ.get(name) for name in limits}
    os.environ.update(limits)
    try:
        yield
    finally:
        for name, value in before.items():
            os.environ.pop(name) if value is None else os.environ.update({name: value})


def unreachable(uri: str, reason: str) -> TrackingUnreachableError:
    """The error for a store that does not answer."""
    return TrackingUnreachableError(shown(uri), f"the record of runs does not answer ({shown(reason)})", REMEDY)


def shown(text: str) -> str:
    """One short line without the credentials that a URI may hold."""
    line = " ".join(re.sub(r"//[^/@\s]*@", "//", text).replace(f"?timeout={WAIT}", "").split())
    return line if len(line) <= 240 else f"{line[:237]}..."
