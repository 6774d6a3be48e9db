"""What can be judged: scores of arms as tables of cells and patients, whoever trained the arms and measured them."""

from __future__ import annotations

import itertools
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, ClassVar

import numpy as np
from jaxtyping import Float

from nephrite.errors import TrialError
from nephrite.verdict.measures import Measure

if TYPE_CHECKING:
    from nephrite.verdict.trial import TrialPlan


class Tables(ABC):
    """Scores of all arms under one plan; an arm has a training set, a segmenter and a label fraction.

    Attributes:
        plan: what was declared.
        SAMPLE_FROM: number of cells from which on an interval takes them as a sample beside patients.
    """

    SAMPLE_FROM: ClassVar[int] = 2
    plan: TrialPlan

    @property
    @abstractmethod
    def segmenters(self) -> tuple[str, ...]:
        """Names of the segmenters in the order in which they were given."""

    @property
    @abstractmethod
    def training_sets(self) -> tuple[str, ...]:
        """Names of the training sets in the order in which they were given."""

    @property
    @abstractmethod
    def fractions(self) -> tuple[float, ...]:
        """Label fractions, the smallest first."""

    @abstractmethod
    def runs(self, training_set: str, segmenter: str, fraction: float) -> Mapping[int, object]:
        """The runs of one arm by their cells, in the order of the cells; empty if there is none."""

    @abstractmethod
    def columns(self, measure: Measure | None = None) -> tuple[str, ...]:
        """Ids of the patients of a table's columns; they are the same in all arms."""

    @abstractmethod
    def table(
        self, training_set: str, segmenter: str, fraction: float, cells: Sequence[int], measure: Measure | None = None
    ) -> Float[np.ndarray, "cell patient"]:
        """What decides, or another measure, for each cell and test patient."""

    @abstractmethod
    def validation_score(self, training_set: str, fraction: float) -> float:
        """By which the best of the plan's synthetic sets is chosen: what it reached on validation."""

    def kinds(self) -> list[tuple[float, str, str]]:
        """Label fraction, segmenter and training set of every arm that has runs."""
        product = itertools.product(self.fractions, self.segmenters, self.training_sets)
        return [(f, segmenter, name) for f, segmenter, name in product if self.runs(name, segmenter, f)]

    def shared_cells(
        self, training_set: str, against: str, segmenters: Sequence[str], fraction: float
    ) -> tuple[int, ...]:
        """Cells that both training sets have with each of the segmenters.

        Raises:
            TrialError: there is none.
        """
        sides = [
            self.runs(name, segmenter, fraction).keys() for name in (training_set, against) for segmenter in segmenters
        ]
        cells = tuple(sorted(set(sides[0]).intersection(*sides[1:])))
        if not cells:
            place = f"{training_set} against {against} ({', '.join(segmenters)}, label fraction {fraction})"
            raise TrialError(place, "share no cell", "train both with the same 'trial.cells'")
        return cells

    def differences(
        self,
        training_set: str,
        against: str,
        segmenters: Sequence[str],
        fraction: float,
        measure: Measure | None = None,
    ) -> Float[np.ndarray, "cell patient"]:
        """One training set minus another in the cells that both have, averaged over segmenters.

        With fewer cells than are taken for a sample, their mean: one row, whose spread is that of patients.

        Args:
            training_set, against: the two.
            segmenters: that are averaged.
            fraction: label fraction.
            measure: what decides, unless told.

        Raises:
            TrialError: both arms share no cell, or the measure was not scored.
        """
        cells = self.shared_cells(training_set, against, segmenters, fraction)
        differences: Float[np.ndarray, "cell patient"] = np.mean(
            [
                self.table(training_set, name, fraction, cells, measure)
                - self.table(against, name, fraction, cells, measure)
                for name in segmenters
            ],
            axis=0,
        )
        return differences if len(cells) >= self.SAMPLE_FROM else differences.mean(axis=0, keepdims=True)
