"""Whether one seed gives a program's one model: two short trainings, before an arm is believed.

A trial is paired by seeds. Where the same seed gives another model, the difference of two arms holds what chance alone
moves, and only an A/A arm shows how much that is.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from nephrite.errors import ProgramError
from nephrite.evidence import digest_files, finished_files
from nephrite.programs.running import Program
from nephrite.segmentation.programs.fit_record import PROGRESS, RECORD

STEPS = 10  # of each training; what is not seeded differs from the first batch on
APART = {RECORD, PROGRESS}  # they may tell how long it took


def confirm_seed(program: Program, options: Mapping[str, object], scratch: Path) -> None:
    """Train twice with one seed, and compare what was written, but for model.json and progress.jsonl.

    Args:
        program: that says it is seeded.
        options: of its verb 'fit'; the steps are cut to a few, and the models go to the scratch folder.
        scratch: a folder of the training.

    Raises:
        ProgramError: the program failed, or the models differ.
    """
    steps = min(STEPS, int(str(options["steps"])))
    made = []
    for name in ("seed_first", "seed_second"):
        folder = scratch / name
        folder.mkdir()
        program.run("fit", {**options, "steps": steps, "out": folder}, scratch, lambda: None)
        made.append(
            {file: found for file, found in digest_files(folder, finished_files(folder)).items() if file not in APART}
        )
    if made[0] != made[1]:
        other = min(file for file in made[0].keys() | made[1].keys() if made[0].get(file) != made[1].get(file))
        finding = f"gave two models for one seed, after {steps} steps: {other} differs"
        raise ProgramError(
            "setting 'seeded'", finding, "set it to false, and add an A/A arm ('SET+null' in the list 'real')"
        )
