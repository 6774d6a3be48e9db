"""Many comparisons of one trial: an adjusted p and an adjusted interval for each, by the largest of their statistics.

The comparisons of a trial share cells, test patients and often an arm, so their errors go together. The smallest p
among them is simulated under no effect at all, with the errors' own correlations (max-T; Westfall and Young 1993,
"Resampling-based multiple testing", section 2.5; single-step). The share of draws in which it is as small as a
comparison's p is that comparison's adjusted p. The level below which it falls in `alpha` of the draws is the level of
each adjusted interval, so all of them hold their true differences at once in a share of 1 - alpha of trials, and an
adjusted p is below alpha exactly where the adjusted interval excludes zero.

The correlations are those of the bootstrap that resamples cells and patients (Owen 2007, "The pigeonhole bootstrap",
Annals of Applied Statistics 1), drawn for all comparisons at once. Their covariances have a closed form, so the draws
themselves come from a normal distribution with these covariances: smooth in the tails, where three cells know ten
resamples only.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float
from scipy import stats

from nephrite.verdict.crossed import ROUNDING

RIDGE = 1e-9  # keeps the correlations of equal comparisons a matrix that has a root


@dataclass(frozen=True)
class Table:
    """The differences of one comparison, the cells of its rows, its p, and the patients of its columns.

    Without `patients` the columns of all tables are the same ones.
    """

    differences: Float[np.ndarray, "cell patient"]
    cells: tuple[int, ...]
    p: float
    patients: tuple[str, ...] = ()

    @property
    def columns(self) -> tuple[str, ...]:
        """A name for each column."""
        return self.patients or tuple(map(str, range(self.differences.shape[1])))


@dataclass(frozen=True)
class Adjusted:
    """A family of comparisons, adjusted.

    Attributes:
        p: adjusted p of each, in the given order.
        confidence: of each adjusted interval, the same for all.
    """

    p: tuple[float, ...]
    confidence: float


def adjust(tables: Sequence[Table], *, confidence: float, draws: int, seed: int) -> Adjusted:
    """Adjust the p of a family's comparisons, and the confidence of their intervals.

    Args:
        tables: one for each comparison; what they have in common are cells and patients.
        confidence: share of trials in which all adjusted intervals should hold their true differences.
        draws: of the smallest p; a level alpha is told to about sqrt(alpha / draws).
        seed: the same seed and tables give the same answer.
    """
    if len(tables) < 2:
        return Adjusted(tuple(table.p for table in tables), confidence)
    # the smallest p of each draw
    generator = np.random.default_rng(seed)
    root = np.linalg.cholesky(correlations(tables) + RIDGE * np.eye(len(tables)))
    largest = np.abs(generator.standard_normal((draws, len(tables))) @ root.T).max(axis=1)
    smallest = np.sort(2 * stats.norm.sf(largest))
    # where the family's level lies, and the share of draws at or below each p
    alpha = 1 - confidence
    level = min(float(smallest[math.ceil(alpha * draws - 1e-9) - 1]), alpha)
    shares = [int(np.searchsorted(smallest, table.p, side="right")) / draws for table in tables]
    return Adjusted(
        tuple(max(share, table.p) for share, table in zip(shares, tables, strict=True)),
        1 - level,
    )


def correlations(tables: Sequence[Table]) -> Float[np.ndarray, "table table"]:
    """How the errors of comparisons go together; a comparison without any spread goes with none."""
    cells = sorted({cell for table in tables for cell in table.cells})
    patients = sorted({patient for table in tables for patient in table.columns})
    errors = np.array([_errors(table, cells, patients) for table in tables])
    lengths = np.linalg.norm(errors, axis=1, keepdims=True)
    directions = np.divide(errors, lengths, out=np.zeros_like(errors), where=lengths > 0)
    found: Float[np.ndarray, "table table"] = directions @ directions.T
    np.fill_diagonal(found, 1.0)
    return found


def _errors(table: Table, cells: Sequence[int], patients: Sequence[str]) -> Float[np.ndarray, " error"]:
    """What each cell and each patient adds to the mean; the product of two is the bootstrap's covariance."""
    centered = table.differences - table.differences.mean()
    centered[np.abs(centered) <= ROUNDING * np.abs(table.differences).max()] = 0
    from_cells = np.zeros(len(cells))
    if len(table.cells) > 1:
        places = [cells.index(cell) for cell in table.cells]
        from_cells[places] = centered.mean(axis=1) / len(table.cells)
    from_patients = np.zeros(len(patients))
    from_patients[[patients.index(name) for name in table.columns]] = centered.mean(axis=0) / centered.shape[1]
    return np.concatenate([from_cells, from_patients])
