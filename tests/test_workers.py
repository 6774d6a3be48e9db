from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from functools import partial
from multiprocessing import Pipe
from pathlib import Path

import click
import pytest

from nephrite.errors import ResourceError
from nephrite.progress import read_message
from nephrite.runner import _start_worker
from nephrite.workers import GRACE, worker_pool

FIRST = """
import os, signal, sys, time
from nephrite.workers import worker_pool

if __name__ == "__main__":
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    with worker_pool(1, setting="--processes") as pool:
        pool.submit(signal.signal, signal.SIGTERM, signal.SIG_IGN).result()  # as Lightning does
        print(pool.submit(os.getpid).result(), flush=True)
        pool.submit(time.sleep, 90).result()
"""


@pytest.mark.parametrize(("number", "code"), [(signal.SIGKILL, -9), (signal.SIGTERM, 143)])
def test_workers_end_with_the_process_that_started_them(tmp_path: Path, number: signal.Signals, code: int) -> None:
    (tmp_path / "first.py").write_text(FIRST)
    with subprocess.Popen(
        [sys.executable, tmp_path / "first.py"], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL
    ) as first:
        assert first.stdout is not None
        assert first.stdout.readline()
        first.send_signal(number)
        first.communicate(timeout=40)  # the worker holds the other end of the pipe as long as it lives
    assert first.returncode == code


def test_killed_worker_is_one_line() -> None:
    line = "a worker process: was killed, .*; lower 'prepare.workers', and run the stage again"
    with pytest.raises(ResourceError, match=line), worker_pool(1, setting="prepare.workers") as pool:
        pool.submit(os.kill, pool.submit(os.getpid).result(), signal.SIGKILL).result()


def fail_with_jobs_left() -> None:
    with worker_pool(1, setting="prepare.workers") as pool:
        failing = pool.submit(int, "x")
        for _ in range(100):
            pool.submit(time.sleep, 1)
        failing.result()


def test_jobs_that_wait_are_dropped_after_an_error() -> None:
    started = time.monotonic()
    with pytest.raises(ValueError, match="invalid literal"):
        fail_with_jobs_left()
    assert time.monotonic() - started < 30


def test_initializer_runs_first() -> None:
    reader, writer = Pipe(duplex=False)
    with worker_pool(1, setting="--processes", initializer=partial(_start_worker, writer)) as pool:
        assert pool.submit(os.getenv, "OMP_NUM_THREADS").result() == "1"
        pool.submit(click.echo, "a line").result()
    assert read_message(reader.recv_bytes()) == "a line"


SOFT = """
import signal, sys, time
from pathlib import Path
from nephrite.workers import worker_pool

def train(folder, seconds):
    def keep(*_):  # as a training does: it takes a moment, writes a checkpoint, and ends
        time.sleep(seconds)
        (folder / "kept").touch()
        sys.exit(143)
    signal.signal(signal.SIGTERM, keep)
    (folder / "begun").touch()
    time.sleep(90)

if __name__ == "__main__":
    folder, started = Path(sys.argv[1]), 0
    try:
        with worker_pool(1, setting="--processes") as pool:
            pool.submit(train, folder, float(sys.argv[2]))
            pool.submit(Path.touch, folder / "next")
            while not (folder / "begun").exists():
                time.sleep(0.05)
            started = time.monotonic()
            raise KeyboardInterrupt
    except KeyboardInterrupt:
        print(time.monotonic() - started)
"""


@pytest.mark.parametrize(("seconds", "kept"), [("0.1", True), ("80", False)])
def test_a_job_has_a_moment_to_keep_what_it_has_when_it_is_ended(tmp_path: Path, seconds: str, kept: bool) -> None:
    (tmp_path / "soft.py").write_text(SOFT)
    words = [sys.executable, str(tmp_path / "soft.py"), str(tmp_path), seconds]
    took = float(subprocess.run(words, capture_output=True, text=True, check=True, timeout=80).stdout)
    assert {path.name for path in tmp_path.iterdir()} == {"soft.py", "begun"} | ({"kept"} if kept else set())
    assert (took < GRACE) == kept
    assert took < 5
