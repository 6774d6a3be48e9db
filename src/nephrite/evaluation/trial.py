"""The trial: scores of all arms, put side by side patient by patient."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from jaxtyping import Float

from nephrite.errors import TrialError
from nephrite.evaluation.scores import ArmScores, dice_by_patient
from nephrite.evaluation.statistics import (
    Interval,
    NullDifference,
    Verdict,
    holm,
    judge,
    null_difference,
    paired_interval,
    wilcoxon_p,
)

AGAIN = "run 'evaluate' again for both on the same split"


@dataclass(frozen=True)
class TrialPlan:
    """What was declared before any run.

    Attributes:
        region: the region whose per-patient 3-D Dice decides.
        reference: the training set that all others are compared with.
        question: the two training sets, with and without synthetic data, whose difference is the headline; None where
            the trial has no such pair.
        confidence: of every interval.
        resamples: bootstrap draws.
        seed: of the bootstrap.
        digest: digest of the settings, so that a report can be told from another.
    """

    region: str
    reference: str
    question: tuple[str, str] | None
    confidence: float = 0.95
    resamples: int = 10_000
    seed: int = 0
    digest: str = ""


@dataclass(frozen=True)
class Comparison:
    """A training set against another one, paired by cell and test patient.

    Attributes:
        training_set: the one that is judged.
        against: the one that it is compared with.
        segmenters: one, or several whose differences were averaged within each cell and patient.
        cells: the cells that both arms share.
        patients: number of test patients.
        better: test patients whose mean difference over the cells is above zero.
        worse: test patients whose mean difference over the cells is below zero.
        interval: mean difference and its interval.
        p: Wilcoxon signed-rank over patients.
        p_holm: `p` adjusted for all comparisons of the same table.
        null: what the arm `against` does when only the cell changes; None with a single cell.
        verdict: the answer in words.
    """

    training_set: str
    against: str
    segmenters: tuple[str, ...]
    cells: tuple[int, ...]
    patients: int
    better: int
    worse: int
    interval: Interval
    p: float
    p_holm: float
    null: NullDifference | None
    verdict: Verdict


@dataclass(frozen=True)
class Trial:
    """Scores of all arms under one plan.

    Raises:
        TrialError: no arms, an arm twice, other test patients in one arm than in another, a region that was not
            scored, or a training set of the plan that a segmenter lacks.
    """

    plan: TrialPlan
    arms: tuple[ArmScores, ...]

    def __post_init__(self) -> None:
        if not self.arms:
            raise TrialError("trial", "has no arms", "run 'train_segmenter' and 'evaluate' for every arm")
        self._each_arm_once()
        self._same_patients()
        for segmenter in self.segmenters:
            for needed in {self.plan.reference, *(self.plan.question or ())}:
                self._has_training_set(segmenter, needed)

    @property
    def patients(self) -> tuple[str, ...]:
        """Ids of the test patients, sorted; the order of every table's columns."""
        return tuple(sorted(score.patient for score in self.arms[0].patients))

    @property
    def segmenters(self) -> tuple[str, ...]:
        """Names of the segmenters in the order in which they were given."""
        return tuple(dict.fromkeys(scores.arm.segmenter for scores in self.arms))

    @property
    def training_sets(self) -> tuple[str, ...]:
        """Names of the training sets in the order in which they were given."""
        return tuple(dict.fromkeys(scores.arm.training_set for scores in self.arms))

    def runs(self, training_set: str, segmenter: str) -> dict[int, ArmScores]:
        """Cell to the scores of its run, for one training set and segmenter; empty if there is none."""
        wanted = (training_set, segmenter)
        runs = {s.arm.cell: s for s in self.arms if (s.arm.training_set, s.arm.segmenter) == wanted}
        return dict(sorted(runs.items()))

    def table(self, training_set: str, segmenter: str, cells: Sequence[int]) -> Float[np.ndarray, "cell patient"]:
        """Dice of the declared region for each cell and test patient."""
        runs = self.runs(training_set, segmenter)
        return np.array([dice_by_patient(runs[cell], self.plan.region) for cell in cells])

    def compare(self, training_set: str, against: str, segmenters: Sequence[str]) -> Comparison:
        """Judge one training set against another; several segmenters are averaged within each cell and patient.

        The segmenters are those of the trial and no sample of all segmenters, so they are averaged, not resampled.

        Raises:
            TrialError: both arms share no cell.
        """
        cells = self._shared_cells(training_set, against, segmenters)
        with_it = np.mean([self.table(training_set, segmenter, cells) for segmenter in segmenters], axis=0)
        without = np.mean([self.table(against, segmenter, cells) for segmenter in segmenters], axis=0)
        interval = self._interval(with_it - without)
        by_patient = (with_it - without).mean(axis=0).round(12)
        p = wilcoxon_p(with_it - without)
        return Comparison(
            training_set,
            against,
            tuple(segmenters),
            cells,
            patients=len(by_patient),
            better=int((by_patient > 0).sum()),
            worse=int((by_patient < 0).sum()),
            interval=interval,
            p=p,
            p_holm=p,
            null=null_difference(without),
            verdict=judge(interval, cells=len(cells), patients=len(by_patient)),
        )

    def answer(self) -> Comparison | None:
        """The headline: the plan's question over all segmenters; the one comparison that needs no Holm correction."""
        return self.compare(*self.plan.question, self.segmenters) if self.plan.question else None

    def answers_by_segmenter(self) -> list[Comparison]:
        """The plan's question for each segmenter, p adjusted over the segmenters."""
        question = self.plan.question
        return _adjusted([self.compare(*question, [name]) for name in self.segmenters]) if question else []

    def comparisons(self) -> list[Comparison]:
        """Every training set against the reference of the same segmenter, p adjusted over all of them."""
        return _adjusted(
            [
                self.compare(training_set, self.plan.reference, [segmenter])
                for segmenter in self.segmenters
                for training_set in self.training_sets
                if training_set != self.plan.reference and self.runs(training_set, segmenter)
            ]
        )

    def best_run(self) -> ArmScores:
        """The run to promote, chosen on validation only: the best arm by its mean over cells, then its best cell."""
        arms = [
            list(self.runs(name, segmenter).values()) for name in self.training_sets for segmenter in self.segmenters
        ]
        best_arm = max(filter(None, arms), key=lambda runs: float(np.mean([run.validation_score for run in runs])))
        return max(best_arm, key=lambda run: run.validation_score)

    def _shared_cells(self, training_set: str, against: str, segmenters: Sequence[str]) -> tuple[int, ...]:
        sides = [self.runs(name, segmenter).keys() for name in (training_set, against) for segmenter in segmenters]
        cells = tuple(sorted(set(sides[0]).intersection(*sides[1:])))
        if not cells:
            place = f"{training_set} against {against} ({', '.join(segmenters)})"
            raise TrialError(place, "share no cell", "train both with the same 'trial.cells'")
        return cells

    def _interval(self, differences: Float[np.ndarray, "cell patient"]) -> Interval:
        plan = self.plan
        return paired_interval(differences, confidence=plan.confidence, resamples=plan.resamples, seed=plan.seed)

    def _each_arm_once(self) -> None:
        seen = [scores.arm for scores in self.arms]
        for arm in seen:
            if seen.count(arm) > 1:
                raise TrialError(str(arm), "is scored twice in one trial", "give each arm's scores once")

    def _same_patients(self) -> None:
        for scores in self.arms:
            patients = [score.patient for score in scores.patients]
            twice = sorted({patient for patient in patients if patients.count(patient) > 1})
            if twice or not patients:
                raise TrialError(
                    str(scores.arm), f"scores test patients {twice} twice" if twice else "scores no patient", AGAIN
                )
            _demand_same_patients(scores, self.arms[0])
            dice_by_patient(scores, self.plan.region)

    def _has_training_set(self, segmenter: str, training_set: str) -> None:
        if not self.runs(training_set, segmenter):
            finding = f"has no arm '{training_set}', which others are compared with"
            raise TrialError(f"segmenter {segmenter}", finding, "add it to 'trial.training_sets' and run its arms")


def synthetic_question(training_sets: Sequence[str], reference: str) -> tuple[str, str] | None:
    """The pair of training sets that asks whether synthetic data helps: the same set with and without it.

    Among several pairs the one without synthetic data that is the reference is taken, else the richest set.
    """
    pairs = [(name, "+".join(part for part in name.split("+") if part != "synthetic")) for name in training_sets]
    pairs = [(name, without) for name, without in pairs if without != name and without in training_sets]
    return max(pairs, key=lambda pair: (pair[1] == reference, pair[0].count("+")), default=None)


def compare_runs(
    challenger: ArmScores, champion: ArmScores, region: str, *, confidence: float = 0.95, seed: int = 0
) -> Interval:
    """Dice of one run minus Dice of another on the same test patients; one run each, so only patients are resampled.

    Raises:
        TrialError: the runs were scored on different test patients, or the region was not scored.
    """
    _demand_same_patients(challenger, champion)
    differences = dice_by_patient(challenger, region) - dice_by_patient(champion, region)
    return paired_interval(differences[None, :], confidence=confidence, seed=seed)


def _demand_same_patients(scores: ArmScores, others: ArmScores) -> None:
    odd = {score.patient for score in scores.patients} ^ {score.patient for score in others.patients}
    if odd:
        raise TrialError(str(scores.arm), f"and {others.arm} do not share test patients {sorted(odd)}", AGAIN)


def _adjusted(comparisons: Sequence[Comparison]) -> list[Comparison]:
    values = holm([comparison.p for comparison in comparisons])
    return [replace(comparison, p_holm=value) for comparison, value in zip(comparisons, values, strict=True)]
