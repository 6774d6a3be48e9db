"""How many replicates and steps fit into the minutes that a user has, by the speed of this machine."""

from __future__ import annotations

import os
from pathlib import Path

from nephrite.config import Config, load_config
from nephrite.planning import TRAINING, trainings_seconds
from nephrite.survey.proposal import Line
from nephrite.survey.text import as_text
from nephrite.words import duration

FEWEST, MOST = 3, 8  # replicates: below three there is no verdict; more are better spent on other questions
LEAST_STEPS = 200  # of a training, below which a small U-Net has learned next to nothing


def budgeted(lines: list[Line], minutes: float, *, processes: int) -> list[Line]:
    """The settings with replicates and steps for these minutes."""
    config = load_config(Path("params.yaml"), text=as_text([*lines, Line("trial.cells", [0], "")]))
    side_by_side = min(processes, len(os.sched_getaffinity(0)))
    cell = trainings_seconds(config, config.trial.arms, helpers=[]) / side_by_side
    seconds = 60 * minutes * TRAINING
    cells = int(max(FEWEST, min(MOST, seconds // cell)))
    lines = [*lines, Line("trial.cells", [*range(cells)], f"replicates: {duration(cells * cell)} of training here")]
    if cells * cell <= seconds:
        return lines
    return [*lines, *_shorter(config, seconds / (cells * cell))]


def _shorter(config: Config, share: float) -> list[Line]:
    """Fewer steps per epoch, as far as they teach anything."""
    epochs, steps = config.train_segmenter.epochs, config.train_segmenter.steps_per_epoch
    asked = max(round(steps * share), -(-LEAST_STEPS // epochs))
    why = f"for the minutes; {steps} is the default, and better"
    return [Line("train_segmenter.steps_per_epoch", min(asked, steps), why)] if asked < steps else []
