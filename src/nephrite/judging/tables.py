"""Given scores as tables of cells and patients, which are judged as those of a trial are."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import ClassVar

import numpy as np
from jaxtyping import Bool, Float

from nephrite.errors import TrialError
from nephrite.judging.given import DECIDING, Column, GivenScores
from nephrite.verdict.measures import FEWEST_WITH, NAMES, Measure
from nephrite.verdict.statistics import MINIMUM_CELLS
from nephrite.verdict.tables import Tables
from nephrite.verdict.trial import TrialPlan

SEGMENTER = "your segmenter"
WHOLE = 1.0  # label fraction: how many labels an arm knew is not told


@dataclass(frozen=True)
class GivenTables(Tables):
    """Given scores under a plan; a cell is a replicate, by its place among all of them. Fewer than a
    verdict needs are no sample: their mean is judged, over patients alone.

    Raises:
        TrialError: the plan names an arm, a region or a metric that the scores do not hold.
    """

    SAMPLE_FROM: ClassVar[int] = MINIMUM_CELLS
    plan: TrialPlan
    scores: GivenScores

    def __post_init__(self) -> None:
        plan, place = self.plan, self.scores.place
        named = [plan.reference, *(plan.question or ()), *plan.copies, *plan.copies.values()]
        if unknown := [name for name in named if name not in self.training_sets]:
            finding = f"has no arm '{unknown[0]}'; its arms are {', '.join(self.training_sets)}"
            raise TrialError(place, finding, "name one of them")
        if plan.metric not in DECIDING:
            raise TrialError("--metric", f"'{plan.metric}' decides nothing here", f"name one of {', '.join(DECIDING)}")
        for metric in ("dice", plan.metric):  # the report shows Dice, whatever decides
            if plan.region not in (known := self.scores.regions(metric)):
                finding = f"has no {NAMES[metric]} of '{plan.region}'; it has that of {known or 'no region'}"
                raise TrialError(place, finding, "name a region that has it, or add the scores")
        having = len(self.columns())
        if plan.metric == "recall" and having < FEWEST_WITH:
            finding = f"{having} of {len(self.scores.patients)} patients have any {plan.region}"
            raise TrialError(place, f"{finding}, and {FEWEST_WITH} are needed for its recall", "ask for 'dice'")

    @property
    def segmenters(self) -> tuple[str, ...]:
        """One, of which nothing is known."""
        return (SEGMENTER,)

    @property
    def training_sets(self) -> tuple[str, ...]:
        """Names of the arms."""
        return tuple(self.scores.runs)

    @property
    def fractions(self) -> tuple[float, ...]:
        """One, of which nothing is known."""
        return (WHOLE,)

    def runs(self, training_set: str, segmenter: str, fraction: float) -> dict[int, str]:
        """Cell to the name of the replicate."""
        if (segmenter, fraction) != (SEGMENTER, WHOLE):
            return {}
        has = {*self.scores.runs.get(training_set, ())}
        return {cell: name for cell, name in enumerate(self.scores.replicates) if name in has}

    def columns(self, measure: Measure | None = None) -> tuple[str, ...]:
        """Ids of the patients of whom the measure is defined."""
        defined = self._defined(measure or self.plan.measure)
        return tuple(name for name, known in zip(self.scores.patients, defined, strict=True) if known)

    def table(
        self, training_set: str, segmenter: str, fraction: float, cells: Sequence[int], measure: Measure | None = None
    ) -> Float[np.ndarray, "cell patient"]:
        """The measure for each cell and patient."""
        asked, runs = measure or self.plan.measure, self.runs(training_set, segmenter, fraction)
        defined = self._defined(asked)
        rows = [self.values(training_set, runs[cell], asked.region, asked.metric)[defined] for cell in cells]
        return np.array(rows)

    def values(self, arm: str, replicate: str, region: str, metric: str) -> Float[np.ndarray, " patient"]:
        """One run as it was given; NaN where the measure is not defined."""
        return self.scores.values[Column(arm, replicate, region, metric)]

    def validation_score(self, training_set: str, fraction: float) -> float:
        """Not told, and never asked: no arm is said to be synthetic."""
        raise TrialError(training_set, "has no validation score", "choose the best arm on validation patients")

    def _defined(self, measure: Measure) -> Bool[np.ndarray, " patient"]:
        """Which patients a measure is defined of; the same in all runs."""
        defined: Bool[np.ndarray, " patient"] = ~np.isnan(self._first[measure.region, measure.metric])
        return defined

    @cached_property
    def _first(self) -> dict[tuple[str, str], Float[np.ndarray, " patient"]]:
        """The first run of each region and metric."""
        found: dict[tuple[str, str], Float[np.ndarray, " patient"]] = {}
        for column, values in self.scores.values.items():
            found.setdefault((column.region, column.metric), values)
        return found
