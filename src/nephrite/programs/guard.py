"""A small process between a stage and a program of the user's: nothing of the program outlives the stage.

    python guard.py SCRATCH COMMAND...

The program runs in a process group of its own. Standard input is a pipe that the stage holds and never writes to: it
ends when the stage closes it, or is killed. Then the whole group is killed, and the folder SCRATCH removed, which holds
copies of patients' scans. A program that ends by itself leaves no process of its group behind either.

It is run as a file, by an interpreter without any package, so it imports nothing but the standard library.
"""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Sequence
from contextlib import suppress
from threading import Event, Thread

NOT_STARTED = 127  # as a shell says it
BY_SIGNAL = 128  # plus the signal's number, as a shell says it


def run_guarded(scratch: str, command: Sequence[str]) -> int:
    """Run a command until it ends, or until standard input ends.

    Args:
        scratch: folder that is removed if standard input ends first.
        command: the program and its arguments.

    Returns:
        Its exit code, as a shell gives it.
    """
    try:
        program = subprocess.Popen(command, stdin=subprocess.DEVNULL, start_new_session=True)  # noqa: S603 - the user's
    except OSError as error:
        sys.stderr.write(f"{command[0]}: {error.strerror}\n")
        return NOT_STARTED
    ending = Event()
    watcher = Thread(target=_end_with_stage, args=(program.pid, scratch, ending), daemon=True)
    watcher.start()
    # a program that has ended keeps its number until `wait`: nobody else's group can have it
    os.waitid(os.P_PID, program.pid, os.WEXITED | os.WNOWAIT)
    _end_group(program.pid)
    code = program.wait()
    if ending.is_set():
        watcher.join()
    return code if code >= 0 else BY_SIGNAL - code


def _end_with_stage(group: int, scratch: str, ending: Event) -> None:
    os.read(sys.stdin.fileno(), 1)
    ending.set()
    _end_group(group)
    shutil.rmtree(scratch, ignore_errors=True)


def _end_group(group: int) -> None:
    with suppress(ProcessLookupError):
        os.killpg(group, signal.SIGKILL)


if __name__ == "__main__":
    sys.exit(run_guarded(sys.argv[1], sys.argv[2:]))
