"""The address of the MLflow store, and whether the server answers. Does not import MLflow."""

from __future__ import annotations

import fcntl
import logging
import os
import re
import socket
import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from urllib.parse import unquote, urlsplit

from nephrite.errors import TrackingUnreachableError

logger = logging.getLogger(__name__)
DEFAULT_URI = "sqlite:///mlflow.db"
PATIENCE = 4  # seconds for one small answer; MLflow's own retries last minutes
ARTIFACTS = "mlruns"  # beside the database; MLflow writes its whole path into every row
LOCATIONS = {  # table and columns of such paths
    "experiments": ("artifact_location",),
    "runs": ("artifact_uri",),
    "logged_models": ("artifact_location",),
    "model_versions": ("source", "storage_location"),
}
DATABASE_PORTS = {"postgresql": 5432, "mysql": 3306, "mssql": 1433}
REMEDY = "start the server, mend MLFLOW_TRACKING_URI, or unset it to record in ./mlflow.db"


def tracking_uri() -> str:
    """Where runs are recorded: MLFLOW_TRACKING_URI, or a database in the working folder."""
    return os.environ.get("MLFLOW_TRACKING_URI") or DEFAULT_URI


def check_address(uri: str) -> None:
    """Find in seconds what MLflow would retry for minutes: a file that is no database, a database server that is down.

    Raises:
        TrackingUnreachableError: names the address without its credentials.
    """
    parts = urlsplit(uri)
    scheme = parts.scheme.partition("+")[0]
    try:
        if scheme == "sqlite":
            _check_sqlite(_sqlite_file(uri))
        elif scheme in DATABASE_PORTS and parts.hostname:
            socket.create_connection((parts.hostname, parts.port or DATABASE_PORTS[scheme]), PATIENCE).close()
    except (OSError, sqlite3.Error) as error:
        raise unreachable(uri, str(error)) from None


def _check_sqlite(path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    with closing(sqlite3.connect(path, timeout=PATIENCE)) as database:
        database.execute("PRAGMA schema_version")
    if not os.access(path, os.W_OK):
        raise PermissionError(f"{path} is not writable")


def _sqlite_file(uri: str) -> Path:
    return Path(re.sub(r"^sqlite(\+\w+)?:///", "", uri).partition("?")[0])


def follow_move(uri: str) -> None:
    """Let the record of a working folder that was moved or copied lead to its own files, and not to where it was.

    Done for a database that lies in the working folder. Paths with signs that MLflow would take for an address, as '%',
    are written as addresses.
    """
    if urlsplit(uri).scheme.partition("+")[0] != "sqlite":
        return
    database = _sqlite_file(uri).absolute()
    if database.parent.resolve() != Path.cwd().resolve() or not database.is_file():
        return
    target = database.parent / ARTIFACTS
    location = target.as_uri() if re.search(r"[%#?]", str(target)) else str(target)
    with closing(sqlite3.connect(database, timeout=PATIENCE)) as record, record:
        tables = {name for (name,) in record.execute("SELECT name FROM sqlite_master WHERE type = 'table'")}
        if "experiments" not in tables:  # a new one
            return
        rows = record.execute("SELECT artifact_location, experiment_id FROM experiments").fetchall()
        found = {place.removesuffix(f"/{number}") for place, number in rows if place.endswith(f"/{ARTIFACTS}/{number}")}
        for before in sorted(found - {location}):
            for table in tables & LOCATIONS.keys():
                _replace_start(record, table, LOCATIONS[table], before, location)
            if Path(unquote(urlsplit(before).path)) != target:
                text = "%s was moved or copied here from %s: its entries lead to %s now"
                logger.warning(text, database.name, Path(before).parent, target)


def _replace_start(record: sqlite3.Connection, table: str, columns: tuple[str, ...], before: str, after: str) -> None:
    for column in columns:
        statement = f"UPDATE {table} SET {column} = ? || substr({column}, ?) WHERE substr({column}, 1, ?) = ?"  # noqa: S608 - our words
        record.execute(statement, (after, len(before) + 1, len(before) + 1, f"{before}/"))


@contextmanager
def one_at_a_time(uri: str) -> Iterator[None]:
    """Processes that share a database file make its tables, and look for the parent run, one after the other."""
    if not uri.startswith("sqlite"):
        yield
        return
    folder = os.open(_sqlite_file(uri).parent, os.O_RDONLY)
    try:
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
    line = " ".join(re.sub(r"//[^/@\s]*@", "//", text).split())
    return line if len(line) <= 240 else f"{line[:237]}..."
