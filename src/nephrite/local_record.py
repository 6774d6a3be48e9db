"""The record of runs in the working folder: its files lie in mlruns/ beside mlflow.db, wherever that folder is.

MLflow stores the absolute place of every file, and reads a percent sign in it as an escape. So a project that was
moved would look for its files at the old place, a copy would write into the original, and a folder named 'a%20b' would
be left for 'a b'. Here the places are mended before they are used.
"""

from __future__ import annotations

import re
import sqlite3
from contextlib import closing
from pathlib import Path
from urllib.parse import unquote, urlsplit

FILES = "mlruns"
PLACES = (  # tables of MLflow's database, and their columns that name places of files
    ("experiments", "artifact_location"),
    ("runs", "artifact_uri"),
    ("logged_models", "artifact_location"),
    ("model_versions", "storage_location"),
    ("model_versions", "source"),
)
WAIT = 60  # seconds for a database that another process has locked


def mend_places(database: Path) -> None:
    """Let every place in the database that lies in an 'mlruns' of another folder lie in that of the database.

    Places on servers and in other folders stay as they are.

    Raises:
        sqlite3.Error: the database cannot be read or written.
    """
    home = database.resolve().parent / FILES
    with closing(sqlite3.connect(database, timeout=WAIT)) as connection, connection:
        # the places of experiments, which all others lie below
        strangers = {place.parent for place in _experiments(connection) if place.name and place.parent != home}
        strangers = {place for place in strangers if place.name == FILES}
        if not strangers:
            return
        for table, column in PLACES:
            rows = connection.execute(f"SELECT rowid, {column} FROM {table} WHERE {column} IS NOT NULL")  # noqa: S608 # words of PLACES, and no input
            changed = [(moved, row) for row, text in rows.fetchall() if (moved := _moved(text, strangers, home))]
            connection.executemany(f"UPDATE {table} SET {column} = ? WHERE rowid = ?", changed)  # noqa: S608 # words of PLACES, and no input


def _experiments(connection: sqlite3.Connection) -> list[Path]:
    rows = connection.execute("SELECT artifact_location FROM experiments WHERE artifact_location IS NOT NULL")
    return [place for (text,) in rows.fetchall() if (place := _place(text))]


def _moved(text: str, strangers: set[Path], home: Path) -> str | None:
    """The new place of a file that lies in another folder's record; None if it stays."""
    place = _place(text)
    folder = next((folder for folder in strangers if place and folder in place.parents), None)
    return (home / place.relative_to(folder)).as_uri() if place and folder else None


def _place(text: str) -> Path | None:
    """Where MLflow puts the files of a local place, however it is written; None for a server."""
    parts = urlsplit(text)
    if parts.scheme not in ("", "file") or not re.match("/", parts.path):
        return None
    return Path(unquote(parts.path))
