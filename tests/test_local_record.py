from __future__ import annotations

import os
import shutil
import sqlite3
import subprocess
import sys
from contextlib import closing
from pathlib import Path

from nephrite.local_record import PLACES, mend_places

KEEP = """
import sys
from nephrite.mlflow_client import connect
from nephrite.tracking import _experiment
client = connect()
run = client.create_run(_experiment(client, "nephrite"))
client.log_text(run.info.run_id, sys.argv[1], "text.txt")
for found in client.search_runs([run.info.experiment_id]):
    print(*[file.path for file in client.list_artifacts(found.info.run_id)])
"""


def keep(folder: Path, text: str) -> str:
    """Record a run with one file, in a process whose working folder this is; gives the files of all runs."""
    own = {key: value for key, value in os.environ.items() if key != "MLFLOW_TRACKING_URI"}
    command = [sys.executable, "-c", KEEP, text]
    return subprocess.run(command, cwd=folder, env=own, check=True, capture_output=True, text=True).stdout


def texts(folder: Path) -> list[str]:
    return sorted(path.read_text() for path in folder.rglob("text.txt"))


def test_record_is_read_and_written_where_the_folder_is(tmp_path: Path) -> None:
    # a percent sign is no escape
    original = tmp_path / "a%20b"
    original.mkdir()
    keep(original, "first")
    assert texts(tmp_path) == texts(original) == ["first"]
    # a copy leaves the original alone
    copy = tmp_path / "copy of #1, 50% n\u00e4vus"
    shutil.copytree(original, copy)
    assert keep(copy, "second") == "text.txt\n" * 2
    assert (texts(original), texts(copy)) == (["first"], ["first", "second"])
    # a moved one does not make the old folder again
    shutil.rmtree(original)
    copy.rename(tmp_path / "after")
    assert keep(tmp_path / "after", "third") == "text.txt\n" * 3
    assert [path.name for path in tmp_path.iterdir()] == ["after"]


def test_places_on_servers_and_elsewhere_stay(tmp_path: Path) -> None:
    database = tmp_path / "mlflow.db"
    kept = ["s3://bucket/mlruns/1", "mlflow-artifacts:/1", "/data/files/1", (tmp_path / "mlruns" / "2").as_uri(), None]
    with closing(sqlite3.connect(database)) as connection, connection:
        for table in {table for table, _ in PLACES}:
            columns = ", ".join(column for name, column in PLACES if name == table)
            connection.execute(f"CREATE TABLE {table} ({columns})")
        connection.executemany("INSERT INTO experiments VALUES (?)", [(place,) for place in [*kept, "/old/mlruns/3"]])
        connection.execute("INSERT INTO runs VALUES ('/old/mlruns/3/abc/artifacts')")
        connection.execute("INSERT INTO model_versions VALUES ('models:/m-1', 'file:///old/mlruns/3/models/m-1')")
    mend_places(database)
    home = (tmp_path / "mlruns").as_uri()
    with closing(sqlite3.connect(database)) as connection:
        found = [place for (place,) in connection.execute("SELECT artifact_location FROM experiments")]
        assert found == [*kept, f"{home}/3"]
        assert connection.execute("SELECT * FROM runs").fetchall() == [(f"{home}/3/abc/artifacts",)]
        assert set(connection.execute("SELECT * FROM model_versions").fetchone()) >= {f"{home}/3/models/m-1"}
