"""How many replicates and steps fit into the minutes that a user has, by the speed of this machine."""

from __future__ import annotations

import os
from pathlib import Path

from nephrite.config import load_config
from nephrite.planning import TRAINING, trainings_seconds
from nephrite.survey.proposal import Line
from nephrite.survey.text import as_text
from nephrite.words import duration

FEWEST, MOST = 3, 8  # replicates: below three there is no verdict; more are better spent on other questions
LONGER = 1.1  # times the minutes: what is said to be too long
LEAST_STEPS = 200  # of a training, below which a small U-Net has learned next to nothing


def budgeted(lines: list[Line], minutes: float, *, processes: int) -> list[Line]:
    """The settings with replicates and steps for these minutes."""
    config = load_config(Path("params.yaml"), text=as_text([*lines, Line("trial.cells", [0], "")]))
    side_by_side = min(processes, len(os.sched_getaffinity(0)))
    cell = trainings_seconds(config, config.trial.arms, helpers=[]) / side_by_side
    seconds = 60 * minutes * TRAINING
    cells = int(max(FEWEST, min(MOST, seconds // cell)))
    epochs, usual = config.train_segmenter.epochs, config.train_segmenter.steps_per_epoch
    # fewer steps per epoch, as far as they teach anything
    steps = min(usual, max(round(usual * seconds / (cells * cell)), -(-LEAST_STEPS // epochs)))
    taken = cells * cell * steps / usual
    few = f"; fewer steps teach nothing, so {minutes:g} minutes are too few" if taken > LONGER * seconds else ""
    said = [
        Line("trial.cells", [*range(cells)], f"replicates: about {duration(taken / TRAINING)} on this machine{few}")
    ]
    if steps < usual:
        said.append(
            Line("train_segmenter.steps_per_epoch", steps, f"for the minutes; {usual} is the default, and better")
        )
    return [*lines, *said]
