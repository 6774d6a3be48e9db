"""What a check says, and the time that it may take."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from threading import Thread
from typing import Literal

from nephrite.errors import NephriteError

State = Literal["fine", "note", "fails"]


@dataclass(frozen=True)
class Check:
    """What was found of one thing.

    Attributes:
        name: of the thing.
        state: 'fails' where a trial could not run or record; 'note' where it runs slower, or with less.
        finding: in a few words.
        remedy: what mends it, a command where there is one; empty where nothing needs mending.
    """

    name: str
    state: State
    finding: str
    remedy: str = ""

    @property
    def line(self) -> str:
        """The check as one line."""
        return f"{self.state:<5}  {self.name}: {self.finding}{f'; {self.remedy}' if self.remedy else ''}"


def limited(name: str, check: Callable[[], Check], seconds: float) -> Check:
    """What a check says, or that it took too long; an error raised on purpose is a failed check.

    Args:
        name: of the thing.
        check: called in a thread, which is left behind where it takes too long.
        seconds: that it may take.
    """
    answers: list[Check] = []

    def run() -> None:
        try:
            answers.append(check())
        except NephriteError as error:
            answers.append(Check(name, "fails", f"{error.place}: {error.finding}", error.remedy))
        except (OSError, ValueError) as error:
            answers.append(Check(name, "fails", f"cannot be looked at ({type(error).__name__}: {error})"))

    thread = Thread(target=run, daemon=True)
    thread.start()
    thread.join(seconds)
    late = Check(name, "fails", f"did not answer within {seconds:g} seconds", "see whether it hangs, and try again")
    return answers[0] if answers else late


def failed(checks: Sequence[Check]) -> int:
    """How many checks failed."""
    return sum(check.state == "fails" for check in checks)
