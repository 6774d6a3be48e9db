"""Worker processes: they end with the process that started them, and one that was killed is one line."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from multiprocessing import active_children, get_context, parent_process
from threading import Thread
from typing import Any

from nephrite.errors import ResourceError

GRACE = 2.0  # seconds that workers have to end by themselves


@contextmanager
def worker_pool(
    processes: int, *, setting: str, initializer: Callable[[], None] | None = None
) -> Iterator[ProcessPoolExecutor]:
    """A pool of processes that is shut down as the block ends; after an error, jobs that wait are dropped.

    Spawned, not forked: a fork of a process that has threads may hang.

    Args:
        processes: how many.
        setting: the setting or option that says how many, for the error.
        initializer: called in each process before its first job.

    Raises:
        ResourceError: a process was killed.
    """
    with _Pool(processes, get_context("spawn"), _start, (initializer,)) as pool:
        try:
            yield pool
        except BrokenProcessPool:
            finding = "was killed, which the system does where memory runs out"
            raise ResourceError("a worker process", finding, f"lower '{setting}', and run the stage again") from None
        except (KeyboardInterrupt, SystemExit):
            end_workers()
            raise
        except BaseException:
            pool.shutdown(cancel_futures=True)
            raise


def end_workers(grace: float = GRACE) -> None:
    """End all processes that this one has started: a training has a moment to write a checkpoint, others end at once.

    Args:
        grace: seconds; what still runs then is killed.
    """
    children, until = active_children(), time.monotonic() + grace
    for child in children:
        child.terminate()
    for child in children:
        child.join(max(until - time.monotonic(), 0))
        child.kill()


class _Pool(ProcessPoolExecutor):
    """Starts its processes with Ctrl-C held back: one that still imports its modules would tell of it at length."""

    def submit(self, fn: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Future[Any]:
        """Hand a job over; the first ones start the processes, which inherit what is held back here."""
        before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
        try:
            return super().submit(_run, fn, *args, **kwargs)
        finally:
            signal.pthread_sigmask(signal.SIG_SETMASK, before)


def _run(fn: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Any:
    """Run a job; one that SIGTERM ends, as it does a training after its checkpoint, ends the worker with it."""
    try:
        return fn(*args, **kwargs)
    except SystemExit as end:  # the pool would take it for a result, and hand out the next job
        os._exit(end.code if isinstance(end.code, int) else 1)


def _start(initializer: Callable[[], None] | None) -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C reaches the whole group; who started this one ends it
    Thread(target=end_with_parent, daemon=True).start()
    if initializer:
        initializer()


def end_with_parent() -> None:
    """End this worker if the process that started it was killed: it would work on beside those of the next attempt."""
    if parent := parent_process():
        parent.join()
        os._exit(1)
