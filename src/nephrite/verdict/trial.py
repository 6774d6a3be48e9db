"""The trial: scores of all arms, put side by side patient by patient."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Literal, NamedTuple

import numpy as np
from jaxtyping import Float

from nephrite.config import Metric, Where
from nephrite.errors import TrialError
from nephrite.metrics.persons import of_persons
from nephrite.metrics.scores import ArmScores
from nephrite.verdict.measures import Measure, columns_of, demand, table_of
from nephrite.verdict.tables import Tables

AGAIN = "run 'evaluate' again for both on the same split"


class Question(NamedTuple):
    """A question beside the headline: whether one training set is better than another by some measure."""

    measure: Measure
    training_set: str
    against: str


@dataclass(frozen=True)
class TrialPlan:
    """What was declared before any run.

    Attributes:
        region: the region that decides.
        metric: what of it decides; see `nephrite.verdict.measures`.
        where: of whose patients: the trial's own, or those of another hospital.
        questions: further questions, declared before any run: each a measure, and the two training sets.
        reference: the training set that all others are compared with.
        question: the two training sets, with and without synthetic data, whose difference is the headline; None where
            the trial has no such pair.
        fraction: the label fraction of the headline.
        synthetic: training sets with synthetic slices.
        rivals: baselines: sets without synthetic slices with which each of these is compared beside the reference.
        copies: training sets of A/A arms, and the set that each repeats from another initialization.
        judged_on: split of the patients whose scores are compared; 'validation' makes a report for development, which
            chooses recipes and answers nothing.
        overlap: label fraction to the share of its training patients that a cell has in common with another, on
            average; what is not named is 0. At 1 the trial speaks for these training patients only.
        confidence: of every interval.
        resamples: draws by which families of comparisons are adjusted.
        seed: of these draws.
        digest: digest of the settings, so that a report can be told from another.
    """

    region: str
    reference: str
    question: tuple[str, str] | None
    fraction: float = 1.0
    synthetic: tuple[str, ...] = ()
    rivals: tuple[str, ...] = ()
    copies: Mapping[str, str] = field(default_factory=dict)
    metric: Metric = "dice"
    where: Where = "home"
    questions: tuple[Question, ...] = ()
    judged_on: Literal["test", "validation", "confirmation"] = "test"
    overlap: Mapping[float, float] = field(default_factory=dict)
    confidence: float = 0.95
    resamples: int = 10_000
    seed: int = 0
    digest: str = ""

    @property
    def who(self) -> str:
        """'test patient', 'external test patient', 'validation patient' and the like: of whom the headline is."""
        return self.who_at(self.where)

    def who_at(self, where: Where) -> str:
        """The same for any measure."""
        return f"{'external ' if where == 'external' else ''}{self.judged_on} patient"

    def overlap_at(self, fraction: float) -> float:
        """The share of its training patients that a cell has in common with another, on average."""
        return self.overlap.get(fraction, 0.0)

    @property
    def measure(self) -> Measure:
        """What decides."""
        return Measure(self.metric, self.region, self.where)

    def copy_of(self, training_set: str) -> str | None:
        """The A/A arm of a training set; None where it has none."""
        return next((copy for copy, origin in self.copies.items() if origin == training_set), None)

    def without_synthetic(self) -> TrialPlan:
        """The plan of the arms that see no synthetic slices; it asks nothing about synthetic data."""
        left = [asked for asked in self.questions if not {asked.training_set, asked.against} & {*self.synthetic}]
        copies = {copy: origin for copy, origin in self.copies.items() if origin not in self.synthetic}
        return replace(self, question=None, synthetic=(), questions=tuple(left), copies=copies)


@dataclass(frozen=True)
class Trial(Tables):
    """Scores of all arms under one plan; those of several scans of one patient are brought together.

    Raises:
        TrialError: no arms, an arm twice, other test patients in one arm than in another, a region that was not
            scored, or a training set of the plan that a segmenter lacks.
    """

    plan: TrialPlan
    arms: tuple[ArmScores, ...]

    def __post_init__(self) -> None:
        if not self.arms:
            raise TrialError("trial", "has no arms", "run 'train_segmenter' and 'evaluate' for every arm")
        object.__setattr__(self, "arms", tuple(map(of_persons, self.arms)))  # frozen: no table ever knows scans
        self._each_arm_once()
        self._same_patients()
        for segmenter in self.segmenters:
            for needed in {self.plan.reference, *(self.plan.question or ())}:
                for fraction in {self.plan.fraction, *self.fractions}:
                    self._has_training_set(segmenter, needed, fraction)

    @property
    def patients(self) -> tuple[str, ...]:
        """Ids of the trial's own test patients, sorted."""
        return tuple(sorted(score.patient for score in self.arms[0].patients))

    @property
    def external(self) -> tuple[str, ...]:
        """Ids of the patients of another hospital, sorted."""
        return tuple(sorted(score.patient for score in self.arms[0].external))

    def columns(self, measure: Measure | None = None) -> tuple[str, ...]:
        """Ids of the patients of a table's columns; they are the same in all arms."""
        return columns_of(self.arms[0], measure or self.plan.measure)

    @property
    def segmenters(self) -> tuple[str, ...]:
        """Names of the segmenters in the order in which they were given."""
        return tuple(dict.fromkeys(scores.arm.segmenter for scores in self.arms))

    @property
    def training_sets(self) -> tuple[str, ...]:
        """Names of the training sets in the order in which they were given."""
        return tuple(dict.fromkeys(scores.arm.training_set for scores in self.arms))

    @property
    def fractions(self) -> tuple[float, ...]:
        """Label fractions, the smallest first."""
        return tuple(sorted({scores.arm.fraction for scores in self.arms}))

    def runs(self, training_set: str, segmenter: str, fraction: float) -> dict[int, ArmScores]:
        """Cell to the scores of its run, for one training set, segmenter and label fraction; empty if there is none."""
        wanted = (training_set, segmenter, fraction)
        runs = {s.arm.cell: s for s in self.arms if (s.arm.training_set, s.arm.segmenter, s.arm.fraction) == wanted}
        return dict(sorted(runs.items()))

    def table(
        self,
        training_set: str,
        segmenter: str,
        fraction: float,
        cells: Sequence[int],
        measure: Measure | None = None,
    ) -> Float[np.ndarray, "cell patient"]:
        """What decides, or another measure, for each cell and test patient."""
        asked = measure or self.plan.measure
        runs = self.runs(training_set, segmenter, fraction)
        return np.array([self._row(runs[cell], asked) for cell in cells])

    def _row(self, run: ArmScores, measure: Measure) -> Float[np.ndarray, " patient"]:
        """A row of a table; a curve of a set takes a moment, and many comparisons ask for it."""
        key = (str(run.arm), measure)
        if key not in self._rows:
            self._rows[key] = table_of([run], measure, seed=self.plan.seed)[0]
        return self._rows[key]

    @cached_property
    def _rows(self) -> dict[tuple[str, Measure], Float[np.ndarray, " patient"]]:
        return {}

    def grouped_runs(self) -> list[list[ArmScores]]:
        """The runs of every training set, segmenter and label fraction, over its cells."""
        return [list(self.runs(name, segmenter, fraction).values()) for fraction, segmenter, name in self.kinds()]

    def validation_score(self, training_set: str, fraction: float) -> float:
        """Mean over cells, then over segmenters, of what a training set reached on validation."""
        runs = [self.runs(training_set, name, fraction).values() for name in self.segmenters]
        return float(np.mean([np.mean([run.validation_score for run in group]) for group in runs if group]))

    def best_run(self) -> ArmScores:
        """The run to promote, chosen on validation only: the best arm by its mean over cells, then its best cell.

        Null arms are left out: a second try of one training set would be two chances for it.
        """
        arms = [runs for runs in self.grouped_runs() if runs[0].arm.training_set not in self.plan.copies]
        best_arm = max(arms, key=lambda runs: float(np.mean([run.validation_score for run in runs])))
        return max(best_arm, key=lambda run: run.validation_score)

    def _each_arm_once(self) -> None:
        counts = Counter(str(scores.arm) for scores in self.arms)
        for arm, count in counts.items():
            if count > 1:
                raise TrialError(arm, "is scored twice in one trial", "give each arm's scores once")

    def _same_patients(self) -> None:
        for scores in self.arms:
            patients = [score.patient for score in scores.patients]
            twice = sorted({patient for patient in patients if patients.count(patient) > 1})
            if twice or not patients:
                raise TrialError(
                    str(scores.arm), f"scores test patients {twice} twice" if twice else "scores no patient", AGAIN
                )
            _demand_same_patients(scores, self.arms[0])
            for measure in (self.plan.measure, *(question.measure for question in self.plan.questions)):
                demand(scores, measure)

    def _has_training_set(self, segmenter: str, training_set: str, fraction: float) -> None:
        if not self.runs(training_set, segmenter, fraction):
            finding = f"has no arm '{training_set}', which others are compared with"
            raise TrialError(
                f"segmenter {segmenter} at label fraction {fraction}",
                finding,
                "add it to 'trial.training_sets' and run its arms",
            )


def synthetic_question(pairs: Mapping[str, str], reference: str) -> tuple[str, str] | None:
    """The pair of training sets that asks whether synthetic data helps: the same set with and without it.

    Among several pairs the first one whose set without synthetic data is the reference is taken, else the richest set.

    Args:
        pairs: training set with synthetic slices to the same set without them, where the trial has both.
        reference: training set that all others are compared with.
    """
    return max(pairs.items(), key=lambda pair: (pair[1] == reference, pair[0].count("+")), default=None)


def _demand_same_patients(scores: ArmScores, others: ArmScores) -> None:
    for one, other in ((scores.patients, others.patients), (scores.external, others.external)):
        if odd := {score.patient for score in one} ^ {score.patient for score in other}:
            raise TrialError(str(scores.arm), f"and {others.arm} do not share test patients {sorted(odd)}", AGAIN)
