"""Worker processes: they end with the process that started them, and one that was killed is one line."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from multiprocessing import active_children, get_context, parent_process
from threading import Thread
from typing import Any

from nephrite.errors import ResourceError


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
            # whoever ends this process does not want to wait for its workers; Lightning takes no notice of SIGTERM
            for child in active_children():
                child.kill()
            raise
        except BaseException:
            pool.shutdown(cancel_futures=True)
            raise


class _Pool(ProcessPoolExecutor):
    """Starts its processes with Ctrl-C held back: one that still imports its modules would tell of it at length."""

    def submit(self, fn: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Future[Any]:
        """Hand a job over; the first ones start the processes, which inherit what is held back here."""
        before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
        try:
            return super().submit(fn, *args, **kwargs)
        finally:
            signal.pthread_sigmask(signal.SIG_SETMASK, before)


def _start(initializer: Callable[[], None] | None) -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C reaches the whole group; who started this one ends it
    Thread(target=_end_with_parent, daemon=True).start()
    if initializer:
        initializer()


def _end_with_parent() -> None:
    """End this worker if the process that started it was killed: it would work on beside those of the next attempt."""
    if parent := parent_process():
        parent.join()
        os._exit(1)
