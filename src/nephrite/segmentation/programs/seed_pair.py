"""Whether one seed gives a program's one model: two short trainings, before an arm is believed.

A trial is paired by seeds. Where the same seed gives another model, the difference of two arms holds what chance alone
moves, and only an A/A arm shows how much that is.
"""

from __future__ import annotations

from pathlib import Path

from nephrite.errors import ProgramError
from nephrite.evidence import digest_files, finished_files
from nephrite.programs.orders import Call
from nephrite.segmentation.programs.fit_record import PROGRESS, RECORD

STEPS = 10  # of each training; what is not seeded differs from the first batch on
APART = {RECORD, PROGRESS}  # they may tell how long it took
PAIR = ("seed_first", "seed_second")  # folders of the two models


def seed_calls(fit: Call, done: Path) -> list[Call]:
    """Two trainings with one seed.

    Args:
        fit: the training that they are to answer for; its steps are cut to a few.
        done: gets a folder for each model.
    """
    steps = _few(int(str(fit.options["steps"])))
    return [Call("fit", {**fit.options, "steps": steps, "out": done / name}) for name in PAIR]


def compare_pair(done: Path, steps: int) -> None:
    """Compare what the two trainings wrote, but for model.json and progress.jsonl.

    Args:
        done: with the two folders.
        steps: of the training that they answer for.

    Raises:
        ProgramError: the models differ.
    """
    first, second = (_digests(done / name) for name in PAIR)
    if first != second:
        other = min(file for file in first.keys() | second.keys() if first.get(file) != second.get(file))
        finding = f"gave two models for one seed, after {_few(steps)} steps: {other} differs"
        raise ProgramError(
            "setting 'seeded'", finding, "set it to false, and add an A/A arm ('SET+null' in the list 'real')"
        )


def _few(steps: int) -> int:
    return min(STEPS, steps)


def _digests(folder: Path) -> dict[str, str]:
    return {file: found for file, found in digest_files(folder, finished_files(folder)).items() if file not in APART}
