from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from contextlib import suppress
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


def end_softly(path: Path, seconds: float) -> None:
    """As a training does: after SIGTERM it takes a moment, writes a checkpoint, and ends."""

    def keep(*_: object) -> None:
        time.sleep(seconds)
        path.write_text("kept")
        sys.exit(143)

    signal.signal(signal.SIGTERM, keep)
    path.with_suffix(".begun").touch()
    time.sleep(60)


@pytest.mark.parametrize(("seconds", "kept"), [(0.1, True), (60.0, False)])
def test_a_job_has_a_moment_to_keep_what_it_has_when_it_is_ended(tmp_path: Path, seconds: float, kept: bool) -> None:
    path, started = tmp_path / "job", 0.0
    with suppress(KeyboardInterrupt), worker_pool(1, setting="--processes") as pool:
        pool.submit(end_softly, path, seconds)
        pool.submit(Path.touch, tmp_path / "next")
        while not path.with_suffix(".begun").exists():
            time.sleep(0.05)
        started = time.monotonic()
        raise KeyboardInterrupt
    assert path.exists() == kept
    assert time.monotonic() - started < GRACE + 1.5
    assert not (tmp_path / "next").exists()
