"""What a program says of its training: model.json at the end, progress.jsonl on the way.

model.json       {"steps": 600, "seed": 7, "cases": 21}, and "validation_score", "seconds", "version" if it likes
progress.jsonl   {"step": 100, "train_loss": 0.4, "validation_dice": 0.6}: one line now and then, numbers alone
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Annotated

from pydantic import AfterValidator, ConfigDict, Field

from nephrite.errors import ProgramError, StoreError
from nephrite.files import as_record, parse_json, read_record
from nephrite.progress import new_bar
from nephrite.record_fields import Count, HistoryRow, Line, NotNegative, Share
from nephrite.recording import Run
from nephrite.segmentation.fit_task import Row

RECORD, PROGRESS = "model.json", "progress.jsonl"
MEND = "let the program write what the contract says"
DICE = "validation_dice"


@dataclass(frozen=True)
class FitRecord:
    """model.json; what else stands in it is the program's own.

    Attributes:
        steps: optimizer steps that were taken.
        seed: that was used.
        cases: that it learned from, of all folders but that of validation.
        validation_score: by its own measure.
        seconds: of the training.
        version: of the program.
    """

    __pydantic_config__ = ConfigDict(extra="ignore", allow_inf_nan=False)

    steps: Count
    seed: Annotated[int, Field(ge=0, lt=2**63)]
    cases: Count
    validation_score: Share | None = None
    seconds: NotNegative | None = None
    version: Line = ""


def read_fit_record(model: Path, *, steps: int, seed: int, cases: int) -> FitRecord:
    """Read model.json, and compare it with what was asked for.

    Raises:
        ProgramError: it is missing or broken, or the program took other steps, another seed or other cases.
    """
    try:
        record = read_record(model / RECORD, FitRecord, MEND)
    except StoreError as error:
        raise ProgramError(f"model folder of 'fit', {RECORD}", error.finding, MEND) from error
    for name, found, asked in (
        ("optimizer steps", record.steps, steps),
        ("the seed", record.seed, seed),
        ("cases", record.cases, cases),
    ):
        if found != asked:
            finding = f"says {found} for {name}, and {asked} was asked for"
            raise ProgramError(f"model folder of 'fit', {RECORD}", finding, "let the program do what it is asked for")
    return record


class Progress:
    """Follows progress.jsonl while a program runs: a bar, the run's metrics, and rows of the history.

    Args:
        steps: of the whole training.
        run: records each row.
        text: stands before the bar.
    """

    def __init__(self, *, steps: int, run: Run, text: str) -> None:
        self.steps, self.run = steps, run
        self.rows: list[Row] = []
        self.read, self.told = 0, time.monotonic()
        self.bar = new_bar(only_on_terminal=True, refresh_per_second=2)
        self.task = self.bar.add_task(text, total=steps)

    def __enter__(self) -> Progress:
        self.bar.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.bar.stop()

    def look(self, model: Path) -> None:
        """Read the lines that were finished since the last look.

        Args:
            model: folder of the file, which need not be there yet.

        Raises:
            ProgramError: a line is no object of numbers with a 'step' that rises up to the steps asked for.
        """
        path = model / PROGRESS
        if not path.is_file():
            return
        with path.open("rb") as file:
            file.seek(self.read)
            new = file.read()
        whole = new[: new.rfind(b"\n") + 1]
        self.read += len(whole)
        for line in whole.splitlines():
            self._take(line)

    def _take(self, line: bytes) -> None:
        # a row of numbers, whose step rises
        place = f"model folder of 'fit', {PROGRESS}, line {len(self.rows) + 1}"
        try:
            row: Row = as_record(parse_json(line.decode()), _PROGRESS_ROW, place, MEND)
        except (ValueError, RecursionError, StoreError) as error:
            finding = error.finding if isinstance(error, StoreError) else f"is not JSON ({error})"
            raise ProgramError(place, finding, MEND) from error
        before = self.rows[-1]["step"] if self.rows else 0
        if not before < row["step"] <= self.steps:
            finding = f"says step {row['step']:g}, after {before:g} and of {self.steps}"
            raise ProgramError(place, finding, MEND)
        # seconds are measured here, so that they mean the same for every program
        now = time.monotonic()
        row, self.told = {**row, "seconds": now - self.told}, now
        self.rows.append(row)
        self.run.metrics({name: value for name, value in row.items() if name != "step"}, step=int(row["step"]))
        self.bar.update(self.task, completed=int(row["step"]))

    def history(self, validation_dice: float, *, last_alone: bool = False, whole: float | None = None) -> list[Row]:
        """The rows that a learning curve needs, the last one with the Dice that was measured here.

        Args:
            validation_dice: of the model as it was left, as it was measured.
            last_alone: leave out what the program says of earlier steps, where the best row would count.
            whole: seconds of a training that was not followed while it ran; None = it was.
        """
        now = time.monotonic()
        rows = [row for row in self.rows if DICE in row and row["step"] < self.steps and not last_alone]
        last = next((row for row in self.rows if row["step"] == self.steps), {})
        if whole is None:
            whole = sum(row["seconds"] for row in self.rows) + now - self.told
        else:  # nobody saw how long each step took
            steps = [0.0, *(row["step"] for row in rows)]
            took = [whole * (step - before) / self.steps for before, step in pairwise(steps)]
            rows = [{**row, "seconds": seconds} for row, seconds in zip(rows, took, strict=True)]
        told = sum(row["seconds"] for row in rows)
        return [*rows, {**last, "step": float(self.steps), DICE: validation_dice, "seconds": whole - told}]


def _readable(row: Row) -> Row:
    if "step" not in row:
        raise ValueError("lacks its 'step'")
    if not 0 <= row.get(DICE, 0) <= 1:
        raise ValueError(f"says {row[DICE]:g} for '{DICE}', which lies between 0 and 1")
    return row


_PROGRESS_ROW = Annotated[HistoryRow, AfterValidator(_readable)]
