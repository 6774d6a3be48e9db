"""Starts a program of the user's, watches it, ends it, and says in one line what went wrong."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO

from nephrite.errors import ProgramError
from nephrite.programs import guard

POLL = 0.2  # seconds between two looks at a program
TAIL = 1 << 16  # bytes of the output that are looked at
LAST_LINES = 40  # of the output, among which the reason is looked for
LONGEST_NAME = 100  # characters of a command in an error
LONGEST = 300  # characters of the output in an error
OUTPUT = "output.txt"
TELLING = re.compile(r"error|exception|fail|cannot|could not|not found|no such|denied|killed|out of memory", re.I)
SECRET = re.compile(r"TOKEN|PASSWORD|SECRET|CREDENTIAL|ACCESS_KEY|API_KEY|^AWS_|^MLFLOW_", re.I)
THREADS = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS", "ITK_GLOBAL_DEFAULT_NUMBER_OF_THREADS")
_FOLDERS = re.compile(r"(?<![\w.])(?:/[^\s/'\":,;()]+)+/(?=[^\s/'\":,;()])")


@dataclass(frozen=True)
class Program:
    """How a program is started.

    Attributes:
        command: its words; the verb and its options are added.
        limit: seconds after which it is ended.
        threads: that it may use.
        variables: of its environment, beside those of this process that are no secrets.
    """

    command: Sequence[str]
    limit: float
    threads: int = 1
    variables: Mapping[str, str] = field(default_factory=dict)

    def environment(self) -> dict[str, str]:
        """The variables that the program sees: no password, token or key of the stage's."""
        own = {name: value for name, value in os.environ.items() if not SECRET.search(name)}
        return own | self.fixed_variables()

    def fixed_variables(self) -> dict[str, str]:
        """Those that it sees wherever it runs: its threads, and what the settings say."""
        return dict.fromkeys(THREADS, str(self.threads)) | dict(self.variables)

    def run(self, verb: str, options: Mapping[str, object], scratch: Path, watch: Callable[[], None]) -> None:
        """Run one verb to its end.

        Args:
            verb: as 'fit' or 'paint'.
            options: name to value, given as '--name value'.
            scratch: a folder for its output, with all that the program is given; removed if the stage is killed.
            watch: called while it runs, and once after its end; an error that it raises ends the program.

        Raises:
            ProgramError: it could not be started, failed, or took too long: names the verb and its own words.
        """
        words = [word for name, value in options.items() for word in (f"--{name}", str(value))]
        started = [sys.executable, "-I", "-S", guard.__file__, str(scratch), *self.command, verb, *words]
        named = " ".join(Path(word).name for word in self.command)[:LONGEST_NAME]
        place, path = f"program '{named} {verb}'", scratch / OUTPUT
        with path.open("wb") as output, _guarded(started, output, self.environment()) as process:
            ends = time.monotonic() + self.limit
            while (code := _ended(process)) is None:
                watch()
                if time.monotonic() > ends:
                    finding = f"took longer than {self.limit:g} seconds and was ended{self._said(path)}"
                    raise ProgramError(place, finding, "raise 'limit' in its settings, or find out why it hangs")
            watch()
        if code:
            raise ProgramError(place, f"{_end_of(code)}{self._said(path)}", "mend it; no arm without it is concerned")

    def _said(self, output: Path) -> str:
        """The program's own words, if there are any, without folders and without the values of `variables`."""
        words = last_words(output)
        for value in filter(None, self.variables.values()):
            words = words.replace(value, "...")
        return f": {words}" if words else ", and said nothing"


def last_words(output: Path) -> str:
    """The last line of a program's output that tells of an error, else its last one; names of folders are left out."""
    with output.open("rb") as file:
        file.seek(max(output.stat().st_size - TAIL, 0))
        text = file.read().decode("utf-8", "replace")
    lines = [line for line in ("".join(filter(str.isprintable, line)).strip() for line in text.splitlines()) if line]
    telling = [line for line in lines[-LAST_LINES:] if TELLING.search(line)] or lines
    words = _FOLDERS.sub(".../", telling[-1]) if telling else ""
    return words if len(words) <= LONGEST else f"{words[:LONGEST]}..."


@contextmanager
def _guarded(
    command: Sequence[str], output: IO[bytes], environment: Mapping[str, str]
) -> Iterator[subprocess.Popen[bytes]]:
    """A guard and its program, which are ended with the whole group when the block is left."""
    process = subprocess.Popen(  # noqa: S603 - the guard, and what the user wants to run
        command,
        stdin=subprocess.PIPE,
        stdout=output,
        stderr=subprocess.STDOUT,
        env=environment,
        start_new_session=True,  # Ctrl-C is this process's own; the guard hears of its end
    )
    try:
        yield process
    finally:
        assert process.stdin
        process.stdin.close()
        process.wait()


def _ended(process: subprocess.Popen[bytes]) -> int | None:
    """The exit code; None for a process that still runs after a moment."""
    try:
        return process.wait(timeout=POLL)
    except subprocess.TimeoutExpired:
        return None


def _end_of(code: int) -> str:
    if code == guard.NOT_STARTED:
        return "could not be started"
    if code == guard.BY_SIGNAL + 9:
        return "was killed, which the system does where memory runs out"
    if code > guard.BY_SIGNAL:
        return f"was ended by signal {code - guard.BY_SIGNAL}"
    return f"ended with exit code {code}"
