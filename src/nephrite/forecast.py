"""What each choice of settings would see in the minutes at hand, by its pilot; and the choice that sees most."""

from __future__ import annotations

import os
from bisect import bisect_left
from collections.abc import Mapping, Sequence
from dataclasses import astuple, dataclass, replace
from pathlib import Path

from nephrite.config import Config
from nephrite.layout import Layout
from nephrite.outlook import MOST_CELLS, judged_patients, simulation_of
from nephrite.pilots import Pilot, Source, kept_pilots, pilot_settings, run_pilots
from nephrite.preflight import stored_placement
from nephrite.stages.report import trial_plan
from nephrite.verdict.power import QUICK, Spread, smallest_effect
from nephrite.verdict.statistics import MINIMUM_CELLS
from nephrite.words import counted, duration

GAIN = 0.03  # for which the minutes are told
TOLERATED = 0.02  # validation Dice that the reference may lie below the best: else it is quick, and not trained


@dataclass(frozen=True)
class Forecast:
    """A trial of the question's two arms, under one choice.

    Attributes:
        pilot: what it rests on.
        cells: that fit into the minutes.
        effect: the smallest that they see in four of five trials, if scores spread as much as they well may; None
            where there is no verdict.
        likely: the same by the spread as it was estimated.
        minutes: until `GAIN` is seen, by the spread as it was estimated; None where more cells do not help.
    """

    pilot: Pilot
    cells: int
    effect: float | None
    likely: float | None
    minutes: float | None


@dataclass(frozen=True)
class Proposal:
    """All choices, and the best of them.

    Attributes:
        budget: minutes.
        metric: that the effects are of, in words.
        forecasts: in the order of the choices.
    """

    budget: float
    metric: str
    forecasts: tuple[Forecast, ...]

    @property
    def best(self) -> Forecast | None:
        """The choice that sees the smallest effect, of those whose reference is trained; None where none sees any."""
        top = max(forecast.pilot.reference for forecast in self.forecasts)
        able = [found for found in self.forecasts if found.pilot.reference >= top - TOLERATED and found.effect]
        return min(able, key=lambda found: found.effect or 0.0, default=None)

    def lines(self) -> list[str]:
        """A table of the choices, and the settings that are proposed."""
        cells, best = counted(self.forecasts[0].pilot.cells, "cell"), self.best
        lines = [
            f"Pilots: {cells} of each choice, the question's two arms, on validation patients. Effects are of",
            f"{self.metric}, for such a trial of two arms; at worst: if scores spread as much as they well may.",
            "",
            *self._table(),
            "",
        ]
        if best is None:
            few = f"no choice fits {MINIMUM_CELLS} cells into {self.budget:g} minutes"
            return [*lines, f"Proposed: none, since {few}."]
        chosen = [*best.pilot.choice, f"trial.cells=[{', '.join(map(str, range(best.cells)))}]"]
        trained = f", of choices whose reference is within {TOLERATED:g} Dice of the best"
        return [
            *lines,
            f"Proposed: what sees most in {self.budget:g} minutes{trained}:",
            *(f"  --set '{setting}'" for setting in chosen),
        ]

    def _table(self) -> list[str]:
        head = ("choice", "reference", "spread", "a cell", "cells", "sees", "at worst", f"minutes to see {GAIN:g}")
        rows = [head, *(_row(found) for found in self.forecasts)]
        widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
        return ["  ".join(map(str.ljust, row, widths)).rstrip() for row in rows]


def plan_by_pilots(
    source: Source, tries: Sequence[str], folder: Path, *, minutes: float, processes: int, cells: int
) -> Proposal | None:
    """Run the pilots that are asked for, or take those that are there, and forecast each choice.

    Args:
        source: settings of the trial.
        tries: 'section.key=[value, value]'; none takes the pilots of an earlier call.
        folder: of the pilots.
        minutes: that a trial may take.
        processes: trainings side by side.
        cells: of each pilot.

    Returns:
        None where nothing is asked for, and no pilot is there that still holds.

    Raises:
        NephriteError: as `pilots.run_pilots`.
    """
    side_by_side = min(processes, len(os.sched_getaffinity(0)))
    pilots = (
        run_pilots(source, tries, folder, processes=processes, cells=cells) if tries else kept_pilots(source, folder)
    )
    if not pilots:
        return None
    splits = stored_placement(Layout(folder).pairs).by_person
    return propose(source, pilots, splits, minutes=minutes, processes=side_by_side)


def propose(
    source: Source, pilots: Sequence[Pilot], splits: Mapping[str, str], *, minutes: float, processes: int
) -> Proposal:
    """Forecast every choice.

    Args:
        source: settings of the trial.
        pilots: at least one.
        splits: person to split.
        minutes: that a trial may take.
        processes: workers side by side, each on a processor of its own.

    Raises:
        ConfigError: the settings are wrong.
    """
    trial = source.load()
    forecasts = []
    for pilot in pilots:
        config = source.load(*pilot_settings(trial, pilot.cells), *pilot.choice)
        forecasts.append(_forecast(pilot, config, splits, minutes, processes))
    return Proposal(minutes, str(trial_plan(trial).measure), tuple(forecasts))


def _forecast(pilot: Pilot, config: Config, splits: Mapping[str, str], minutes: float, processes: int) -> Forecast:
    def effect(cells: int, spread: Spread) -> float | None:
        trial = config.trial.model_copy(update={"cells": tuple(range(cells))})
        simulated = simulation_of(config.model_copy(update={"trial": trial}), splits)
        patients = judged_patients(config, splits)
        return smallest_effect(spread, cells, patients, simulation=replace(simulated, trials=QUICK.trials))

    def sees(cells: int) -> bool:
        return (effect(cells, pilot.estimated) or GAIN) < GAIN

    fitting = (60 * minutes - pilot.first_seconds) * processes // pilot.cell_seconds
    cells = max(0, min(MOST_CELLS, int(fitting)))
    tried = range(MINIMUM_CELLS, MOST_CELLS + 1)
    place = bisect_left(tried, x=True, key=sees)  # more cells see more
    needed = pilot.first_seconds + tried[place] * pilot.cell_seconds / processes if place < len(tried) else None
    return Forecast(
        pilot,
        cells,
        effect=effect(cells, pilot.largest),
        likely=effect(cells, pilot.estimated),
        minutes=None if needed is None else needed / 60,
    )


def _row(found: Forecast) -> tuple[str, ...]:
    pilot = found.pilot
    return (
        ", ".join(pilot.choice) or "as it is",
        f"{pilot.reference:.3f}",
        " / ".join(f"{part:.3f}" for part in astuple(pilot.estimated)),
        duration(pilot.cell_seconds),
        str(found.cells),
        _effect(found.likely),
        _effect(found.effect),
        f"more than {MOST_CELLS} cells" if found.minutes is None else f"{found.minutes:.0f}",
    )


def _effect(effect: float | None) -> str:
    return "-" if effect is None else f"{effect:.3f}"
