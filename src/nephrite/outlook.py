"""Which effects a trial could show, before it is run: by simulation, with the spread of scores that are there."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import astuple, dataclass, field, replace
from pathlib import Path

from nephrite.config import Config
from nephrite.errors import TrialError
from nephrite.stages.report import overlaps, read_arms, trial_plan
from nephrite.store.persons import alone
from nephrite.store.slices import EXTERNAL
from nephrite.verdict.measures import Measure
from nephrite.verdict.power import (
    ASSUMED_SPREAD,
    QUICK,
    USUAL,
    Simulation,
    Spread,
    cells_needed,
    estimate_spread,
    largest_spread,
    smallest_effect,
)
from nephrite.verdict.statistics import MINIMUM_CELLS, MINIMUM_PATIENTS
from nephrite.verdict.trial import Trial
from nephrite.words import counted

EFFECTS = (0.02, 0.03)  # gains for which the number of cells is given
MOST_CELLS = 64
POWER = "found in 4 of 5 such trials"
ASSUMED = "assumed from a pilot; '--finished SCORES' takes that of a trial of yours"
OF_DICE = "that of Dice in a pilot, which says little of {}: '--finished SCORES' takes that of a trial of yours"


@dataclass(frozen=True)
class Outlook:
    """Which effects a trial with these cells (replicates) and test patients could show.

    Attributes:
        spread: standard deviations between cells, patients and single scores that are planned with.
        source: where they come from.
        smallest_effect: of the measure, found in four of five trials; None where no verdict is possible.
        cells_needed: gain to the cells that show it; None where `MOST_CELLS` do not.
        measure: that decides; all numbers are in its unit.
        who: the patients who are judged.
        effects: other numbers of cells to the smallest effect that they find.
    """

    spread: Spread
    source: str
    smallest_effect: float | None
    cells_needed: Mapping[float, int | None]
    measure: Measure
    who: str = "test patient"
    effects: Mapping[int, float | None] = field(default_factory=dict)

    def rows(self) -> list[tuple[str, str]]:
        """The outlook as names and values."""
        # words for what cannot be reached
        none = f"none: a verdict needs {MINIMUM_CELLS} cells and {counted(MINIMUM_PATIENTS, self.who)}"
        more = f"not within {MOST_CELLS} cells: more {self.who}s are needed"
        needed = [(f"cells for {effect:g}", str(cells or more)) for effect, cells in self.cells_needed.items()]
        smallest = f"{self.smallest_effect:.3f} in {self.measure}, {POWER}" if self.smallest_effect else none
        return [
            ("smallest effect", smallest),
            *needed,
            ("spread", f"{_in_words(self.spread)} between cells, patients and single scores,"),
            ("", self.source),
        ]


def look_ahead(
    config: Config, splits: Mapping[str, str], finished: Path | None, *, also: Sequence[int] = ()
) -> Outlook:
    """Simulate trials with these test patients, whose cells share training patients; see `verdict.power`.

    Args:
        config: settings of the trial.
        splits: person to split.
        finished: folder with the scores of a finished trial, on test or validation patients; None takes an assumed
            spread.
        also: other numbers of cells that are asked about.

    Raises:
        StoreError: an arm's scores are missing or broken.
        TrialError: the finished trial has no question, or too few cells.
    """
    elsewhere = config.trial.where == "external"
    patients, usual = judged_patients(config, splits), simulation_of(config, splits)
    quick = replace(usual, trials=QUICK.trials)
    measure = Measure(config.trial.metric, config.trial.primary, config.trial.where)
    assumed = ASSUMED if measure.metric == "dice" else OF_DICE.format(measure)
    spread, source = _spread_of(config, finished) if finished else (ASSUMED_SPREAD, assumed)
    needed = {e: cells_needed(e, spread, patients, most=MOST_CELLS, simulation=quick) for e in EFFECTS}
    smallest = smallest_effect(spread, len(config.trial.cells), patients, simulation=usual)
    effects = {cells: smallest_effect(spread, cells, patients, simulation=usual) for cells in also}
    who = "external test patient" if elsewhere else f"{_home(config)} patient"
    return Outlook(spread, source, smallest, needed, measure, who, effects)


def judged_patients(config: Config, splits: Mapping[str, str]) -> int:
    """How many patients the headline will be about; a pilot on validation patients stands for a trial on test."""
    judged = EXTERNAL if config.trial.where == "external" else _home(config)
    return [*splits.values()].count(judged)


def simulation_of(config: Config, splits: Mapping[str, str]) -> Simulation:
    """Trials of these cells, which share training patients, at the confidence of a first look."""
    training = alone(name for name, split in splits.items() if split == "train")
    overlap = overlaps(config, training)[min(config.trial.label_fractions)]
    declared = config.report.confidence
    confidence = declared if config.acquire.source == "phantom" else (1 + declared) / 2
    return replace(USUAL, confidence=confidence, overlap=overlap)


def _home(config: Config) -> str:
    return "test" if config.trial.judged_on == "validation" else config.trial.judged_on


def _spread_of(config: Config, scores: Path) -> tuple[Spread, str]:
    """Spread of the question of a finished trial at the smallest label fraction, as large as it may well be."""
    arms = [found for found in read_arms(config, scores) if found.arm.fraction]  # others have no counterpart
    trial = Trial(trial_plan(config), tuple(arms))
    if trial.plan.question is None:
        raise TrialError(scores, "asks no question about synthetic data", "plan without '--finished'")
    differences = trial.differences(*trial.plan.question, trial.segmenters, trial.plan.fraction)
    estimate = _in_words(estimate_spread(differences))
    sample = f"{counted(len(differences), 'cell')} of {scores}"
    source = f"of {trial.plan.measure}: upper 80% limits; estimated from {sample}: {estimate}"
    return largest_spread(differences), source


def _in_words(spread: Spread) -> str:
    return " / ".join(f"{part:.3f}" for part in astuple(spread))
