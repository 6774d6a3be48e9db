"""What a program is asked to do: carried out here, or written down for an image that has no more than a shell.

    sh run.sh GIVEN MADE      the calls of an order, as a script beside what it gives

An order is made of two folders: what the program is given, and where it writes. Neither has to stay where it was made,
so the script is told both.
"""

from __future__ import annotations

import shlex
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from nephrite.programs.case_folders import emptied
from nephrite.programs.running import Program

SCRIPT, SECONDS = "run.sh", "seconds"
MODEL, PLAN, SCANS, FOUND = "model", "plan", "scans", "found"  # folders of an order

HEAD = """\
#!/bin/sh
# What a program is asked to do, by its contract. Usage: sh run.sh GIVEN MADE
set -u
given=$1 made=$2
{exports}
call() {{ # OUT COMMAND...: until it ends, or the limit is over
    mkdir -p "$1"; shift
    $alone "$@" </dev/null & program=$!
    ( trap 'kill "$nap"; exit' TERM # so that no sleep stays behind
      sleep {limit} & nap=$!
      wait "$nap" && {{ kill -9 "-$program" || kill -9 "$program"; }} ) >/dev/null 2>&1 & watch=$!
    wait "$program"; code=$?
    kill "$watch" 2>/dev/null
    [ "$code" -eq 0 ] && return
    [ "$code" -eq 137 ] && echo "It was killed: it took longer than {limit} seconds, or memory ran out." >&2
    echo "The program ended with exit code $code; its own words stand above." >&2
    exit "$code"
}}
alone= # in a group of its own, so that nothing that it started outlives it
command -v setsid >/dev/null && alone=setsid
started=$(date +%s)
"""
TAIL = f'echo "$(($(date +%s) - started))" >"$made/{SECONDS}"\n'


@dataclass(frozen=True)
class Call:
    """One verb of a program.

    Attributes:
        verb: as 'fit'.
        options: name to value; folders lie in one of the two of the order.
    """

    verb: str
    options: Mapping[str, object]

    @property
    def out(self) -> Path:
        """The folder that it fills."""
        return Path(str(self.options["out"]))


@dataclass(frozen=True)
class Order:
    """What a program is asked to do, one call after the other.

    Attributes:
        program: that is called.
        given: folder of what it is given.
        done: folder of what it makes.
        calls: in their order.
    """

    program: Program
    given: Path
    done: Path
    calls: Sequence[Call]

    def carry_out(self, scratch: Path, watch: Callable[[Call], None]) -> None:
        """Make all calls here.

        Args:
            scratch: see `Program.run`.
            watch: called with each call while it runs.

        Raises:
            ProgramError: a call could not be started, failed, or took too long.
        """
        for call in self.calls:
            emptied(call.out)
            self.program.run(call.verb, call.options, scratch, partial(watch, call))

    def write_script(self) -> None:
        """Write the calls beside what the program is given."""
        known = self.program.fixed_variables()
        exports = "\n".join(f"export {name}={shlex.quote(value)}" for name, value in known.items())
        head = HEAD.format(exports=exports, limit=f"{self.program.limit:.0f}")
        text = head + "".join(f"call {' '.join(self._words(call))}\n" for call in self.calls) + TAIL
        (self.given / SCRIPT).write_text(text, encoding="utf-8")

    def _words(self, call: Call) -> Iterator[str]:
        yield self._word(call.out)
        yield from map(shlex.quote, [*self.program.command, call.verb])
        for name, value in call.options.items():
            yield from (shlex.quote(f"--{name}"), self._word(value))

    def _word(self, value: object) -> str:
        """A value of an option; a folder is told from where it will lie."""
        for name, root in (("made", self.done), ("given", self.given)):
            if isinstance(value, Path) and value.is_relative_to(root):
                return f'"${name}"/{shlex.quote(value.relative_to(root).as_posix())}'
        return shlex.quote(str(value))
