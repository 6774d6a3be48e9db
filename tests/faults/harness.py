"""Commands in processes of their own, and the table of what came out."""

from __future__ import annotations

import hashlib
import json
import os
import random
import signal
import sqlite3
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from uuid import uuid4

import psutil

from tests.conftest import SMALL

ROOT = Path(__file__).resolve().parent.parent.parent
CAPSTONE = ROOT / "configs" / "capstone-phantom.yaml"
MARKER = "NEPHRITE_FAULT"  # variable by which a command's processes are known, whoever started them
OF_ONE_RUN = {"time", "run_id", "version", "software", "training_run", "minutes", "files", "inputs"}
LONGEST = 300  # seconds of any command here


@dataclass(frozen=True)
class Outcome:
    """One thing that was tried.

    Attributes:
        part: of the table.
        what: was tried.
        fault: what should not be; empty if all was well.
    """

    part: str
    what: str
    fault: str = ""


@dataclass(frozen=True)
class Done:
    """A command that has ended."""

    code: int
    output: str
    seconds: float

    @property
    def fault(self) -> str:
        """What no command may do, whatever it is given."""
        if "Traceback (most recent call last)" in self.output:
            last = [line for line in self.output.splitlines() if line.strip()][-1]
            return f"traceback: {last}"
        return "" if self.code in (0, 2) else f"ended with {self.code}: {self.output.strip()[-200:]}"

    @property
    def line(self) -> str:
        """The error, if it is one line."""
        lines = [line for line in self.output.splitlines() if "Error: " in line]
        return lines[-1] if lines else ""


def settings(*more: str) -> list[str]:
    """A trial that takes seconds, as options."""
    chosen = (
        "screen.filter=all",
        "acquire.phantom.patients=12",
        "acquire.workers=2",
        "prepare.workers=2",
        "trial.segmenters=[light]",
        "trial.cells=[0, 1]",
        *more,
    )
    return ["--params", str(CAPSTONE), *(part for item in (*SMALL, *chosen) for part in ("--set", item))]


def environment(**more: str) -> dict[str, str]:
    """Variables of a user who has set nothing, and the mark."""
    kept = {key: value for key, value in os.environ.items() if not key.startswith(("MLFLOW_", "NEPHRITE_"))}
    commands = f"{Path(sys.executable).parent}{os.pathsep}{kept.get('PATH', '')}"  # dvc.yaml calls `nephrite`
    fixed = {"PATH": commands, "OMP_NUM_THREADS": "1", "MLFLOW_DISABLE_TELEMETRY": "true"}
    return {**kept, **fixed, MARKER: uuid4().hex, **more}


def start(arguments: Sequence[str], folder: Path, **more: str) -> tuple[subprocess.Popen[str], str]:
    """Start `nephrite` in a session of its own; gives the process and its mark."""
    variables = environment(**more)
    process = subprocess.Popen(
        [sys.executable, "-m", "nephrite", *arguments],
        cwd=folder,
        env=variables,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
    )
    return process, variables[MARKER]


def nephrite(arguments: Sequence[str], folder: Path, **more: str) -> Done:
    """Run `nephrite` to its end."""
    started = time.monotonic()
    process, _ = start(arguments, folder, **more)
    try:
        output, _ = process.communicate(timeout=LONGEST)
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, signal.SIGKILL)
        output, _ = process.communicate()
        return Done(-1, f"{output}\nhangs: {LONGEST} s", LONGEST)
    return Done(process.returncode, output, time.monotonic() - started)


def still_there(mark: str, patience: float = 8) -> list[str]:
    """Processes with a mark that have not ended within some seconds."""
    deadline = time.monotonic() + patience
    while True:
        found = [process.info["name"] for process in _marked(mark)]
        if not found or time.monotonic() > deadline:
            return found
        time.sleep(0.2)


def _marked(mark: str) -> Iterator[psutil.Process]:
    for process in psutil.process_iter(["name"]):
        try:
            if process.environ().get(MARKER) == mark and process.status() != psutil.STATUS_ZOMBIE:
                yield process
        except psutil.Error:
            continue


def content(output: Path) -> dict[str, str]:
    """Digests of the files of an output, without what tells one run from another."""
    files = sorted(path for path in output.rglob("*") if path.is_file()) if output.is_dir() else [output]
    return {
        str(path.relative_to(output)): _digest(path)
        for path in files
        if path.suffix in {".json", ".csv", ".npy", ".safetensors"}
    }


def _digest(path: Path) -> str:
    if path.suffix == ".json":
        return hashlib.sha256(json.dumps(_lasting(json.loads(path.read_text())), sort_keys=True).encode()).hexdigest()
    return hashlib.sha256(path.read_bytes()).hexdigest()


def _lasting(value: Any) -> Any:
    """A record without times, ids of runs, and digests that follow from them."""
    if isinstance(value, dict):
        kept = {key: part for key, part in value.items() if key not in OF_ONE_RUN}
        return {key: _lasting(part) for key, part in kept.items() if "digest" not in key and "second" not in key}
    return [_lasting(part) for part in value] if isinstance(value, list) else value


def left_over(folder: Path) -> list[str]:
    """Partial files that no later command would remove."""
    return [str(path.relative_to(folder)) for path in folder.rglob("*.partial")]


def running(folder: Path) -> int:
    """Runs of stages that MLflow still takes for running."""
    query = (
        "SELECT count(*) FROM runs WHERE status = 'RUNNING' AND run_uuid NOT IN "
        "(SELECT run_uuid FROM tags WHERE key = 'nephrite.stage' AND value = 'trial')"
    )
    with closing(sqlite3.connect(folder / "mlflow.db", timeout=60)) as database:
        return int(database.execute(query).fetchone()[0])


def moments(count: int, seconds: float, seed: int) -> list[float]:
    """Random moments within a command, in seconds."""
    source = random.Random(seed)
    return [source.uniform(0, seconds) for _ in range(count)]
