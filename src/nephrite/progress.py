"""Progress bars with a time estimate, for work that takes more than a few seconds.

A worker draws no bar. It says to the process that started it, through one pipe, how far its job is and what it prints:
so one bar shows all, and no line tears it. Each message is one write of less than a pipe's atomic size: workers need no
lock, and one that is killed leaves no half message.

    line TEXT               printed by the worker
    share BAR SHARE JOB     how far a bar of a job is, from 0 to 1; bar 0: the job begins
"""

from __future__ import annotations

import io
import sys
import time
from collections.abc import Iterable, Iterator, Sequence
from contextlib import suppress
from multiprocessing.connection import Connection
from typing import Any, NamedTuple, TypeVar

from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    ProgressColumn,
    TaskID,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)

from nephrite.terminal import is_quiet, log_to_terminal

Item = TypeVar("Item")
LINE, SHARE = "line", "share"
LONGEST = 900  # characters of a message: fewer bytes than the 4096 that a pipe takes at once, in any script
PAUSE = 0.5  # seconds between two messages of one bar


class Share(NamedTuple):
    """How far a job is.

    Attributes:
        job: its name.
        bar: number of the bar, as a job may have several, one after the other; 0 = the job begins.
        share: of that bar, from 0 to 1.
    """

    job: str
    bar: int
    share: float


class Worker:
    """What a worker process says to the one that started it.

    Attributes:
        job: that it works on.
        bars: that it has begun, over all jobs.
    """

    here: Worker | None = None  # of this process, if it is a worker

    def __init__(self, pipe: Connection) -> None:
        self.pipe, self.job, self.bars = pipe, "", 0

    def say(self, kind: str, text: str) -> None:
        """Send one message; when nobody listens any more, this process is about to be ended as well."""
        with suppress(OSError):
            self.pipe.send_bytes(f"{kind} {text}".encode("utf-8", "replace"))


def become_worker(pipe: Connection) -> None:
    """Let this process say through a pipe what it would draw and print."""
    Worker.here = worker = Worker(pipe)
    sys.stdout, sys.stderr = _Lines(worker, sys.stdout), _Lines(worker, sys.stderr)
    log_to_terminal()


def begin_job(name: str) -> None:
    """Say that this process works on a job from now on; nothing happens where it is no worker."""
    if Worker.here:
        Worker.here.job = name
        Worker.here.say(SHARE, f"0 0 {name}")


def read_message(message: bytes) -> Share | str:
    """What a worker said: how far it is, or a line that it printed."""
    kind, _, text = message.decode().partition(" ")
    if kind == LINE:
        return text
    bar, share, job = text.split(" ", 2)
    return Share(job, int(bar), float(share))


class _Lines(io.TextIOBase):
    """Stands in the place of a worker's output, and says each line when it is whole."""

    def __init__(self, worker: Worker, before: Any) -> None:
        self._worker, self._before, self._begun = worker, before, ""

    def write(self, text: str) -> int:
        """Take some text."""
        *lines, self._begun = (self._begun + text).split("\n")
        for line in lines:
            for start in range(0, len(line) or 1, LONGEST):
                self._worker.say(LINE, line[start : start + LONGEST])
        return len(text)

    def fileno(self) -> int:
        """For what a process started by this one writes."""
        number: int = self._before.fileno()
        return number


class _SaidBar(Progress):
    """A worker's bar: it is not drawn, and its share is said now and then."""

    def __init__(self, worker: Worker) -> None:
        super().__init__(disable=True, auto_refresh=False)
        worker.bars += 1
        self._worker, self._bar, self._said = worker, worker.bars, 0.0

    def update(self, task_id: TaskID, **changes: Any) -> None:
        """Change a task."""
        super().update(task_id, **changes)
        self._say(task_id)

    def advance(self, task_id: TaskID, advance: float = 1) -> None:
        """So many more."""
        super().advance(task_id, advance)
        self._say(task_id)

    def _say(self, task_id: TaskID) -> None:
        task, now = self.tasks[self.task_ids.index(task_id)], time.monotonic()
        if task.total and (task.finished or now - self._said >= PAUSE):
            self._said = now
            share = min(task.completed / task.total, 1.0)
            self._worker.say(SHARE, f"{self._bar} {share:.5f} {self._worker.job}")


def new_bar(
    *,
    only_on_terminal: bool,
    shown: bool = True,
    refresh_per_second: float = 10,
    columns: Sequence[ProgressColumn] | None = None,
) -> Progress:
    """A bar on standard error: text, count, time since the start, time left. In a worker: one that is said.

    Args:
        only_on_terminal: show nothing where standard error is no terminal.
        shown: False: show nothing anywhere.
        refresh_per_second: how often it is drawn at the most.
        columns: other ones than these.
    """
    if Worker.here and shown and not is_quiet():
        return _SaidBar(Worker.here)
    console = Console(stderr=True)
    usual = (
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        TextColumn("left"),
        TimeRemainingColumn(),
    )
    return Progress(
        *(columns or usual),
        console=console,
        refresh_per_second=refresh_per_second,
        disable=not shown or is_quiet() or (only_on_terminal and not console.is_terminal),
    )


def progress_bar(items: Iterable[Item], text: str, total: int) -> Iterator[Item]:
    """Yield `items` and show how many of `total` are done and how long the rest will take, on standard error."""
    with new_bar(only_on_terminal=False) as bar:
        yield from bar.track(items, total=total, description=text)
