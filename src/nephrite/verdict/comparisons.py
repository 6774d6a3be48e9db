"""The comparisons of a trial: the question, every training set with the reference, synthetic data with its rivals.

A rival is a baseline: a training set that reaches for the same gain without synthetic data. A cell is a replicate: one
subset of training patients and one initialization, shared by all arms. A null is what chance alone does: the
difference of an A/A arm (null arm), or of an arm's cells."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from jaxtyping import Float

from nephrite.verdict.statistics import (
    Interval,
    NullDifference,
    Verdict,
    holm,
    judge,
    null_difference,
    null_of_arm,
    paired_interval,
    wilcoxon_p,
)
from nephrite.verdict.trial import Trial, TrialPlan


@dataclass(frozen=True)
class Comparison:
    """A training set against another one, paired by cell and test patient.

    Attributes:
        training_set: the one that is judged.
        against: the one that it is compared with.
        segmenters: one, or several whose differences were averaged within each cell and patient.
        fraction: share of the training patients whose labels both know.
        cells: the cells that both arms share.
        patients: number of test patients.
        better: test patients whose mean difference over the cells is above zero.
        worse: test patients whose mean difference over the cells is below zero.
        interval: mean difference and its interval.
        p: Wilcoxon signed-rank over patients.
        p_holm: `p` adjusted for all comparisons of the same table.
        null: what the arm `against` does by chance: its A/A arm (null arm), else its other cells; None without.
        verdict: the answer in words.
    """

    training_set: str
    against: str
    segmenters: tuple[str, ...]
    fraction: float
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
class BestSynthetic:
    """The synthetic training set that did best on validation at one label fraction, and how it does on test.

    Attributes:
        fraction: of the labels.
        training_set: chosen without test scores.
        validation_score: mean over cells and segmenters, by which it was chosen.
        comparisons: with the reference and with every rival, over all segmenters, p adjusted over these.
    """

    fraction: float
    training_set: str
    validation_score: float
    comparisons: tuple[Comparison, ...]


def compare(trial: Trial, training_set: str, against: str, segmenters: Sequence[str], fraction: float) -> Comparison:
    """Judge one training set against another; several segmenters are averaged within each cell and patient.

    The segmenters are those of the trial and no sample of all segmenters, so they are averaged, not resampled.

    Raises:
        TrialError: both arms share no cell.
    """
    # paired by cell and patient
    cells = trial.shared_cells(training_set, against, segmenters, fraction)
    differences = trial.differences(training_set, against, segmenters, fraction)
    interval = _interval(trial.plan, differences)
    # rounded, so that equal scores tie
    by_patient, p = differences.mean(axis=0).round(12), wilcoxon_p(differences)
    return Comparison(
        training_set,
        against,
        tuple(segmenters),
        fraction,
        cells,
        patients=len(by_patient),
        better=int((by_patient > 0).sum()),
        worse=int((by_patient < 0).sum()),
        interval=interval,
        p=p,
        p_holm=p,
        null=_null(trial, against, segmenters, fraction, cells),
        verdict=judge(interval, cells=len(cells), patients=len(by_patient)),
    )


def _null(
    trial: Trial, arm: str, segmenters: Sequence[str], fraction: float, cells: Sequence[int]
) -> NullDifference | None:
    plan, null = trial.plan, trial.plan.copy_of(arm)
    if null and all(trial.runs(null, name, fraction) for name in segmenters):
        differences = trial.differences(null, arm, segmenters, fraction)
        return null_of_arm(differences, _interval(plan, differences), null)
    scores = np.mean([trial.table(arm, name, fraction, cells) for name in segmenters], axis=0)
    return null_difference(scores, confidence=plan.confidence, resamples=plan.resamples, seed=plan.seed)


def _interval(plan: TrialPlan, differences: Float[np.ndarray, "cell patient"]) -> Interval:
    return paired_interval(differences, confidence=plan.confidence, resamples=plan.resamples, seed=plan.seed)


def answers(trial: Trial) -> list[Comparison]:
    """The plan's question at each label fraction over all segmenters, p adjusted over the fractions."""
    question = trial.plan.question
    if not question:
        return []
    return _adjusted([compare(trial, *question, trial.segmenters, fraction) for fraction in trial.fractions])


def answers_by_segmenter(trial: Trial) -> list[Comparison]:
    """The plan's question for each segmenter at the plan's fraction, p adjusted over the segmenters."""
    question, fraction = trial.plan.question, trial.plan.fraction
    return _adjusted([compare(trial, *question, [name], fraction) for name in trial.segmenters]) if question else []


def with_reference(trial: Trial) -> list[Comparison]:
    """Every training set against the reference of the same segmenter and fraction, p adjusted over all of them.

    Null arms get no rows of their own: they are given beside each row.
    """
    reference = trial.plan.reference
    kinds = [kind for kind in trial.kinds() if kind[2] != reference and kind[2] not in trial.plan.copies]
    return _adjusted([compare(trial, name, reference, [segmenter], fraction) for fraction, segmenter, name in kinds])


def with_rivals(trial: Trial) -> list[Comparison]:
    """Every synthetic training set against every rival of the same segmenter and fraction, p adjusted over all."""
    plan = trial.plan
    groups = itertools.product(trial.fractions, trial.segmenters, plan.rivals, plan.synthetic)
    return _adjusted(
        [
            compare(trial, name, rival, [segmenter], fraction)
            for fraction, segmenter, rival, name in groups
            if trial.runs(rival, segmenter, fraction) and trial.runs(name, segmenter, fraction)
        ]
    )


def best_synthetic(trial: Trial) -> list[BestSynthetic]:
    """The best synthetic training set of each label fraction; only those that every segmenter has."""
    found = []
    for fraction in trial.fractions:
        names = [name for name in trial.plan.synthetic if _everywhere(trial, name, fraction)]
        scores = {name: trial.validation_score(name, fraction) for name in names}
        best = max(scores, key=scores.__getitem__, default=None)
        if best:
            others = [name for name in (trial.plan.reference, *trial.plan.rivals) if _everywhere(trial, name, fraction)]
            rows = [compare(trial, best, other, trial.segmenters, fraction) for other in others if other != best]
            found.append(BestSynthetic(fraction, best, scores[best], tuple(_adjusted(rows))))
    return found


def _everywhere(trial: Trial, training_set: str, fraction: float) -> bool:
    return all(trial.runs(training_set, name, fraction) for name in trial.segmenters)


def _adjusted(comparisons: Sequence[Comparison]) -> list[Comparison]:
    values = holm([comparison.p for comparison in comparisons])
    return [replace(comparison, p_holm=value) for comparison, value in zip(comparisons, values, strict=True)]
