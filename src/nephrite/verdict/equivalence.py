"""Data equivalence: the number of further real patients that would give the same gain as synthetic data.

The reference arm is trained on several numbers of real patients; its mean score against that number is the learning
curve. The curve is isotonic (more patients never hurt; neighbors that fell by chance are pooled: Barlow et al. 1972)
and goes through the measured points. Between two of them it is that of an inverse power law, whose exponent follows
from all of them (`nephrite.verdict.power_law`).

The equivalence is where this curve reaches the score of the synthetic arm. Its interval holds those numbers of patients
at which the paired difference between both, cell by cell and patient by patient, has an interval that holds zero (an
interval by inverting a test, as Fieller 1954 has it): the same crossed model as in the verdict, and an honest 'more
than the curve reaches' where the curve is too flat to tell. The exponent's own uncertainty goes into it by its slopes
on the mean scores (delta method).

Two points have no exponent. The curve is then straight in the logarithm; real curves are concave there, so it reaches a
score too late: where the error falls with a power of the patients between 0.5 and 1.5 and the numbers of patients lie a
factor of 2 to 4 apart, up to 2.3 times. So what is said is 'at most'.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial

import numpy as np
from jaxtyping import Float
from scipy.optimize import isotonic_regression

from nephrite.errors import TrialError
from nephrite.verdict.crossed import estimate
from nephrite.verdict.power_law import between, exponent_of, straightened
from nephrite.verdict.statistics import MINIMUM_CELLS, MINIMUM_PATIENTS, Interval, paired_interval
from nephrite.verdict.trial import AGAIN, Trial
from nephrite.words import counted

LINES = 2  # points that have no exponent
GRID = 400  # numbers of patients between the smallest and the largest at which both arms are compared
Tables = Mapping[int, Float[np.ndarray, "cell patient"]]


@dataclass(frozen=True)
class CurvePoint:
    """One arm at one number of real training patients: mean score over cells and test patients, with its interval."""

    patients: int
    score: Interval


@dataclass(frozen=True)
class Equivalence:
    """What synthetic data is worth at one number of real patients, in real patients.

    Attributes:
        start: real patients of the synthetic arm that is read.
        largest: the largest number of real patients that the reference was trained on.
        more: so many more real patients bring the reference to the synthetic arm's score; infinite beyond the curve,
            0 where the synthetic arm does not exceed it.
        low: lower end of its interval; None with one test patient.
        high: upper end of its interval, infinite where the curve does not reach far enough; None with one test patient.
        cells: number that all tables share.
        test_patients: number.
        reference: the reference arm's points, by number of patients.
        synthetic: the synthetic arm's points.
        curve: the isotonic curve at the reference's numbers of patients.
        exponent: of the power law between these; None with two of them, where the curve is straight in the logarithm.
        who: of whom scores are compared.
    """

    start: int
    largest: int
    more: float
    low: float | None
    high: float | None
    cells: int
    test_patients: int
    reference: tuple[CurvePoint, ...]
    synthetic: tuple[CurvePoint, ...]
    curve: tuple[float, ...]
    exponent: float | None = None
    who: str = "test patient"

    @property
    def judged(self) -> bool:
        """Whether there are cells and test patients enough for any statement."""
        return self.cells >= MINIMUM_CELLS and self.test_patients >= MINIMUM_PATIENTS and self.low is not None

    @property
    def worth_something(self) -> bool:
        """Whether the whole interval lies above zero more patients."""
        return self.judged and self.low is not None and self.low > 0

    @property
    def sentence(self) -> str:
        """The answer in words."""
        start = counted(self.start, "real patient")
        sample = f"{counted(self.test_patients, self.who)}, {counted(self.cells, 'cell')}"
        if not self.judged:
            need = f"needs at least {MINIMUM_CELLS} cells and {counted(MINIMUM_PATIENTS, self.who)}"
            return f"What synthetic data is worth at {start} cannot be said: it {need} ({sample})."
        interval = f"[{self._in_words(self.low)}, {self._in_words(self.high)}]"
        if self.worth_something:
            most = "at most " if self.exponent is None and not math.isinf(self.more) else ""
            more = f"{most}{self._in_words(self.more)}"
            return f"At {start}, synthetic data is worth {more} more real patients {interval} ({sample})."
        return (
            f"At {start}, synthetic data is worth nothing that this trial can tell: "
            f"{self._in_words(self.more)} more real patients, and the interval {interval} holds zero ({sample})."
        )

    def _in_words(self, more: float | None) -> str:
        assert more is not None
        if math.isinf(more):
            return f"> {self.largest - self.start}"
        return f"{more:.0f}" if more >= 10 or not more else f"{more:.1f}"


def data_equivalence(
    reference: Tables,
    synthetic: Tables,
    *,
    start: int | None = None,
    confidence: float = 0.95,
    overlap: float = 0.0,
) -> Equivalence:
    """How many more real patients bring the reference to the score of the synthetic arm.

    Args:
        reference: number of real training patients to scores without synthetic data.
        synthetic: the same with synthetic data. All tables hold the same cells and test patients.
        start: number of real patients at which the synthetic arm is read; the smallest if not given.
        confidence: of every interval.
        overlap: share of its training patients that a cell has in common with another, on average.

    Raises:
        TrialError: fewer than two numbers of patients, tables of different size, or no arm at `start`.
    """
    start = min(synthetic, default=0) if start is None else start
    _demand_curve(reference, synthetic, start)
    interval = partial(paired_interval, confidence=confidence, overlap=overlap)
    # real curve, made monotone, and where the synthetic score crosses it
    counts = sorted(reference)
    pooled = _pooled([reference[count] for count in counts])
    curve = [float(table.mean()) for table in pooled]
    exponent = exponent_of(counts, curve) if len(counts) > LINES else None
    # its interval, from the differences of both
    grid = np.geomspace(start, counts[-1], GRID)
    low, high = _bounds(grid, synthetic[start] - between(counts, pooled, grid, exponent), confidence, overlap)
    cells, test_patients = synthetic[start].shape
    return Equivalence(
        start,
        counts[-1],
        _crossing(counts, curve, float(synthetic[start].mean()), start, exponent or 0.0),
        low,
        high,
        cells,
        test_patients,
        reference=tuple(CurvePoint(count, interval(reference[count])) for count in counts),
        synthetic=tuple(CurvePoint(count, interval(synthetic[count])) for count in sorted(synthetic)),
        curve=tuple(curve),
        exponent=exponent,
    )


def equivalences(trial: Trial) -> dict[str, Equivalence]:
    """The data equivalence of the trial's question for each segmenter, from the cells that all label fractions share.

    Empty where nothing can be read: without a question, with a single number of real patients, or without such a cell.

    Raises:
        TrialError: cells of one arm were trained on different numbers of patients.
    """
    found = {}
    for segmenter in trial.segmenters if trial.plan.question else ():
        synthetic, reference = (_tables(trial, name, segmenter) for name in trial.plan.question or ())
        shared = {count: table for count, table in synthetic.items() if count in reference}
        if len(reference) > 1 and shared and min(shared) < max(reference):
            plan, overlap = trial.plan, trial.plan.overlap_at(trial.fractions[0])
            worth = data_equivalence(reference, shared, confidence=plan.confidence, overlap=overlap)
            found[segmenter] = replace(worth, who=plan.who)
    return found


def _tables(trial: Trial, training_set: str, segmenter: str) -> dict[int, Float[np.ndarray, "cell patient"]]:
    """Number of real patients to scores; of two label fractions that round to one number the smaller one counts."""
    question = trial.plan.question or ()
    tables: dict[int, Float[np.ndarray, "cell patient"]] = {}
    # cells that both sides have at every label fraction
    sides = [trial.runs(name, segmenter, fraction).keys() for name in question for fraction in trial.fractions]
    cells = sorted(set(sides[0]).intersection(*sides[1:]))
    # a table per number of training patients
    for fraction in trial.fractions if cells else ():
        runs = trial.runs(training_set, segmenter, fraction)
        counts = sorted({run.training_patients for run in runs.values()})
        if len(counts) > 1:
            place = f"{training_set} ({segmenter}, label fraction {fraction})"
            raise TrialError(place, f"was trained on {counts} patients in different cells", AGAIN)
        tables.setdefault(counts[0], trial.table(training_set, segmenter, fraction, cells))
    return tables


def _crossing(counts: Sequence[int], curve: Sequence[float], score: float, start: int, exponent: float) -> float:
    """More patients than `start` with which the curve reaches the score; 0 if it is there, infinite if it never is."""
    first = counts.index(start)
    if score <= curve[first]:
        return 0.0
    if score > curve[-1]:
        return math.inf
    places = straightened(np.array(counts[first:], dtype=float), exponent)
    place = float(np.interp(score, curve[first:], places))
    return (math.exp(place) if not exponent else (1 - exponent * place) ** (-1 / exponent)) - start


def _bounds(
    grid: Float[np.ndarray, " count"],
    tables: Float[np.ndarray, "count cell patient"],
    confidence: float,
    overlap: float,
) -> tuple[float | None, float | None]:
    """Ends of the numbers of patients at which the curve cannot be told from the scores; see the module's text.

    Args:
        grid: numbers of patients, the first that of the synthetic arm.
        tables: scores of the synthetic arm minus the curve at each of them.
        confidence: of the interval.
        overlap: of the cells.
    """
    if tables.shape[2] < 2:
        return None, None
    _, low, high = estimate(tables, overlap=overlap).intervals(confidence)
    not_above, not_below = np.flatnonzero(low <= 0), np.flatnonzero(high >= 0)
    least = _zero_before(grid, low, not_above[0]) - float(grid[0]) if len(not_above) else math.inf
    if not len(not_below):
        return least, 0.0
    last = not_below[-1]
    return least, math.inf if last == GRID - 1 else _zero_before(grid, high, last + 1) - float(grid[0])


def _zero_before(grid: Float[np.ndarray, " count"], ends: Float[np.ndarray, " count"], index: int) -> float:
    """The number of patients, between those at `index` - 1 and `index`, at which the ends cross zero."""
    if index == 0:
        return float(grid[0])
    share = ends[index - 1] / (ends[index - 1] - ends[index])
    return float(grid[index - 1] + share * (grid[index] - grid[index - 1]))


def _demand_curve(reference: Tables, synthetic: Tables, start: int) -> None:
    again = "run the same cells on the same test patients for every label fraction"
    if len(reference) < 2 or start not in reference or start not in synthetic:
        finding = f"reference has {sorted(reference)} real patients, the synthetic arm {sorted(synthetic)}: "
        raise TrialError("learning curve", finding + f"it needs two points, and both arms at {start}", again)
    if start == max(reference):
        finding = f"starts at {start} real patients, where the reference ends"
        raise TrialError("learning curve", finding, "read it at a smaller label fraction")
    shapes = {table.shape for arm in (reference, synthetic) for table in arm.values()}
    if len(shapes) > 1:
        raise TrialError("learning curve", f"has tables of different cells and patients {sorted(shapes)}", again)


def _pooled(tables: Sequence[Float[np.ndarray, "cell patient"]]) -> list[Float[np.ndarray, "cell patient"]]:
    """Tables whose means never fall: neighbors that do are replaced by their average (isotonic regression)."""
    blocks = isotonic_regression([float(table.mean()) for table in tables]).blocks
    pooled: list[Float[np.ndarray, "cell patient"]] = []
    for first, last in itertools.pairwise(blocks):
        pooled += [np.mean(tables[first:last], axis=0)] * int(last - first)
    return pooled
