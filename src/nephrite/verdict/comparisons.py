"""The comparisons of a trial: the question, every training set with the reference, synthetic data with its rivals.

A rival is a baseline: a training set that reaches for the same gain without synthetic data. A cell is a replicate: one
subset of training patients and one initialization, shared by all arms. A null is what chance alone does: the
difference of an A/A arm (null arm), or of an arm's cells.

One comparison is the headline: declared before any run, and judged alone. All others are adjusted for how many there
are, in two families: the question at other label fractions and for single segmenters, and whatever else the report
shows. A comparison that several tables show is judged once, so its p, interval and word are the same in all of them.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Literal, NamedTuple

import numpy as np

from nephrite.verdict.families import Table, adjust
from nephrite.verdict.measures import Measure
from nephrite.verdict.statistics import (
    Interval,
    NullDifference,
    Verdict,
    judge,
    null_difference,
    null_of_arm,
    paired_interval,
    paired_p,
)
from nephrite.verdict.tables import Tables

Family = Literal["headline", "question", "exploration"]


class Pair(NamedTuple):
    """Which two arms a comparison is of.

    Attributes:
        training_set: the one that is judged.
        against: the one that it is compared with.
        segmenters: one, or several whose differences are averaged within each cell and patient.
        fraction: share of the training patients whose labels both know.
        measure: by which they are compared; None = by what decides.
    """

    training_set: str
    against: str
    segmenters: tuple[str, ...]
    fraction: float
    measure: Measure | None = None


@dataclass(frozen=True)
class Comparison:
    """A training set against another one, paired by cell and test patient.

    Attributes:
        pair: the two arms.
        cells: the cells that both arms share.
        patients: number of test patients.
        better: test patients whose mean difference over the cells is above zero.
        worse: test patients whose mean difference over the cells is below zero.
        interval: mean difference and its interval, for this comparison alone.
        p: of the same model, for this comparison alone.
        family: the headline, which is judged alone, or the family that it is adjusted for.
        adjusted: the interval that holds its true difference together with all others of the family.
        p_adjusted: `p` adjusted for the family.
        null: what the arm `against` does by chance: its A/A arm (null arm), else its other cells; None without.
        verdict: the answer in words, by the adjusted interval.
        over_cells: whether the interval takes cells as a sample, too, and not patients alone.
    """

    pair: Pair
    cells: tuple[int, ...]
    patients: int
    better: int
    worse: int
    interval: Interval
    p: float
    family: Family
    adjusted: Interval
    p_adjusted: float
    null: NullDifference | None
    verdict: Verdict
    over_cells: bool

    @property
    def sampled_cells(self) -> tuple[int, ...]:
        """The cells of the rows of its table: one where their mean was taken."""
        return self.cells if self.over_cells else self.cells[:1]


@dataclass(frozen=True)
class BestSynthetic:
    """The synthetic training set that did best on validation at one label fraction, and how it does on test.

    Attributes:
        fraction: of the labels.
        training_set: chosen without test scores.
        validation_score: mean over cells and segmenters, by which it was chosen.
        comparisons: with the reference and with every rival, over all segmenters.
    """

    fraction: float
    training_set: str
    validation_score: float
    comparisons: tuple[Comparison, ...]


@dataclass(frozen=True)
class Judged:
    """All comparisons of a trial.

    Attributes:
        answers: the plan's question at each label fraction over all segmenters; that at the plan's is the headline.
        questions: the plan's further questions, over all segmenters at the plan's label fraction.
        by_segmenter: the plan's question for each segmenter at the plan's fraction.
        with_reference: every training set against the reference of the same segmenter and fraction. Null arms get no
            rows of their own: they are given beside each row.
        with_rivals: every synthetic training set against every rival of the same segmenter and fraction.
        best_synthetic: the best synthetic training set of each label fraction; only those that every segmenter has.
    """

    answers: tuple[Comparison, ...]
    questions: tuple[Comparison, ...]
    by_segmenter: tuple[Comparison, ...]
    with_reference: tuple[Comparison, ...]
    with_rivals: tuple[Comparison, ...]
    best_synthetic: tuple[BestSynthetic, ...]

    @property
    def headline(self) -> Comparison | None:
        """The comparison that answers the plan's question; None where it asks none."""
        return next((row for row in self.answers if row.family == "headline"), None)


def judge_trial(trial: Tables) -> Judged:
    """Judge everything that a report shows, each comparison once.

    Raises:
        TrialError: two arms that are compared share no cell.
    """
    # what is shown, and where
    plan, everyone = trial.plan, trial.segmenters
    asked = [Pair(*plan.question, everyone, fraction) for fraction in trial.fractions] if plan.question else []
    by_segmenter = [Pair(*plan.question, (name,), plan.fraction) for name in everyone] if plan.question else []
    reference, rivals, best = _with_reference(trial), _with_rivals(trial), _best_synthetic(trial)
    # by what decides, a further question is the same comparison as elsewhere
    own = [None if q.measure == plan.measure else q.measure for q in plan.questions]
    questions = [Pair(*q[1:], everyone, plan.fraction, measure) for q, measure in zip(plan.questions, own, strict=True)]
    shown = [
        *asked,
        *by_segmenter,
        *questions,
        *reference,
        *rivals,
        *(pair for _, _, _, pairs in best for pair in pairs),
    ]
    # each comparison once: the headline alone, the others in their families
    headline = [pair for pair in asked if pair.fraction == plan.fraction]
    declared = [pair for pair in dict.fromkeys([*asked, *questions, *by_segmenter]) if pair not in headline]
    others = [pair for pair in dict.fromkeys(shown) if pair not in headline and pair not in declared]
    found = {pair: compare(trial, pair) for pair in headline}
    found |= _family(trial, declared, "question") | _family(trial, others, "exploration")

    def rows(pairs: Iterable[Pair]) -> tuple[Comparison, ...]:
        return tuple(found[pair] for pair in pairs)

    return Judged(
        answers=rows(asked),
        questions=rows(questions),
        by_segmenter=rows(by_segmenter),
        with_reference=rows(reference),
        with_rivals=rows(rivals),
        best_synthetic=tuple(BestSynthetic(share, name, score, rows(pairs)) for share, name, score, pairs in best),
    )


def compare(trial: Tables, pair: Pair) -> Comparison:
    """Judge one training set against another alone; several segmenters are averaged within each cell and patient.

    The segmenters are those of the trial and no sample of all segmenters, so they are averaged, not resampled.

    Raises:
        TrialError: both arms share no cell.
    """
    # paired by cell and patient
    cells, differences = trial.shared_cells(*pair[:4]), trial.differences(*pair)
    overlap = trial.plan.overlap_at(pair.fraction)
    interval = paired_interval(differences, confidence=trial.plan.confidence, overlap=overlap)
    # rounded, so that equal scores tie
    by_patient, p = differences.mean(axis=0).round(12), paired_p(differences, overlap=overlap)
    return Comparison(
        pair,
        cells,
        patients=len(by_patient),
        better=int((by_patient > 0).sum()),
        worse=int((by_patient < 0).sum()),
        interval=interval,
        p=p,
        family="headline",
        adjusted=interval,
        p_adjusted=p,
        null=_null(trial, pair, cells),
        verdict=judge(interval, cells=len(cells), patients=len(by_patient), who=_who(trial, pair)),
        over_cells=len(differences) > 1,
    )


def _family(trial: Tables, pairs: Sequence[Pair], family: Family) -> dict[Pair, Comparison]:
    """Comparisons that are adjusted for each other."""
    plan = trial.plan
    alone = {pair: compare(trial, pair) for pair in pairs}
    tables = [
        Table(trial.differences(*pair), row.sampled_cells, row.p, trial.columns(pair.measure))
        for pair, row in alone.items()
    ]
    found = adjust(tables, confidence=plan.confidence, draws=plan.resamples, seed=plan.seed)
    rows = {}
    for (pair, row), table, p in zip(alone.items(), tables, found.p, strict=True):
        overlap = plan.overlap_at(pair.fraction)
        adjusted = paired_interval(table.differences, confidence=found.confidence, overlap=overlap)
        verdict = judge(adjusted, cells=len(row.cells), patients=row.patients, who=_who(trial, pair))
        rows[pair] = replace(row, family=family, adjusted=adjusted, p_adjusted=p, verdict=verdict)
    return rows


def _who(trial: Tables, pair: Pair) -> str:
    """Of whom the scores of a comparison are."""
    return trial.plan.who_at((pair.measure or trial.plan.measure).where)


def _null(trial: Tables, pair: Pair, cells: Sequence[int]) -> NullDifference | None:
    plan, arm = trial.plan, pair.against
    null = plan.copy_of(arm)
    if null and all(trial.runs(null, name, pair.fraction) for name in pair.segmenters):
        differences = trial.differences(null, arm, pair.segmenters, pair.fraction, pair.measure)
        return null_of_arm(differences, paired_interval(differences, confidence=plan.confidence), null)
    tables = [trial.table(arm, name, pair.fraction, cells, pair.measure) for name in pair.segmenters]
    scores = np.mean(tables, axis=0)
    return null_difference(scores, confidence=plan.confidence)


def _with_reference(trial: Tables) -> list[Pair]:
    reference, copies = trial.plan.reference, trial.plan.copies
    kinds = [kind for kind in trial.kinds() if kind[2] != reference and kind[2] not in copies]
    return [Pair(name, reference, (segmenter,), fraction) for fraction, segmenter, name in kinds]


def _with_rivals(trial: Tables) -> list[Pair]:
    plan = trial.plan
    return [
        Pair(name, rival, (segmenter,), fraction)
        for fraction, segmenter, rival, name in itertools.product(
            trial.fractions, trial.segmenters, plan.rivals, plan.synthetic
        )
        if trial.runs(rival, segmenter, fraction) and trial.runs(name, segmenter, fraction)
    ]


def _best_synthetic(trial: Tables) -> list[tuple[float, str, float, list[Pair]]]:
    """Label fraction, set, its validation score, and the comparisons of that set."""
    found = []
    for fraction in trial.fractions:
        names = [name for name in trial.plan.synthetic if _everywhere(trial, name, fraction)]
        scores = {name: trial.validation_score(name, fraction) for name in names}
        best = max(scores, key=scores.__getitem__, default=None)
        if best:
            others = [name for name in (trial.plan.reference, *trial.plan.rivals) if _everywhere(trial, name, fraction)]
            pairs = [Pair(best, other, trial.segmenters, fraction) for other in others if other != best]
            found.append((fraction, best, scores[best], pairs))
    return found


def _everywhere(trial: Tables, training_set: str, fraction: float) -> bool:
    return all(trial.runs(training_set, name, fraction) for name in trial.segmenters)
