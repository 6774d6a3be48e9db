"""The crossed model of a table of paired differences: standard error, degrees of freedom, p and interval of its mean.

A difference in cell i and patient j is mean + cell_i + patient_j + noise_ij: two-way random effects without
replication, in which cells and patients are both a sample (Searle, Casella, McCulloch 1992, "Variance components",
chapter 4). The same design, with readers for cells, is that of reader studies, and its test is taken over from there:

* The variance of the mean is (MS_cell + max(MS_patient - MS_noise, 0)) / (cells * patients), and the mean over its
  root follows Student's t (Hillis 2007, "A comparison of denominator degrees of freedom methods for multiple observer
  ROC analysis", Statistics in Medicine 26).
* Hillis takes the degrees of freedom from the cells alone, as if patients were without number. Here both levels have
  their term (Satterthwaite 1946), for the patients (MS_patient - MS_noise) * MS_patient / (patients - 1). Where MS_cell
  falls below MS_noise, which chance alone can do, MS_noise takes its place in the degrees of freedom: three cells that
  agree by luck are no proof of precision. For the same reason MS_cell counts for no less than what MS_noise alone would
  exceed in 95 of 100 tables (FLOOR, by the chi-squared distribution): else means of cells that happen to be equal would
  make an interval of no width. Ways to count were compared by simulation. This one finds a p below 0.05 in 3.0 to
  5.6 % of trials without an effect with three cells, and in 4.6 to 5.8 % with eight, for the spreads that real trials
  have and 8 to 60 patients. With MS_noise itself as floor it would be 0.1 to 2.8 % with three cells.

A p and an interval come from one distribution, so that p is below 1 - confidence exactly where the interval excludes
zero. No resampling is used: with three cells there are ten different resamples, which say nothing of the far tails that
a correction for many comparisons, or for many looks, asks for.

**Overlap.** Cells whose training subsets share patients are not independent draws of training patients. With f as the
expected share that two cells have in common, the true variance of their mean is not 1/J of the variance of a cell, but
1/J + f / (1 - f) of the variance seen between cells (the role that the share of test over train plays in Nadeau and
Bengio 2003, "Inference for the generalization error", Machine Learning 52, section 3). Only the cells' own component is
multiplied; patients and noise stay. That component is taken halfway between its unbiased estimate, which few cells put
at zero too often, and all of MS_cell. At f = 1 all cells see the same training patients: nothing can be added, and the
interval speaks for these training patients alone.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float
from scipy import stats

ROUNDING = 1e-12  # of the largest difference: below it, a difference is rounding noise
FLOOR = 0.05  # quantile of the mean square of cells that do not differ, below which theirs is taken for luck
NORMAL = 1e6  # degrees of freedom beyond which Student's t is the normal distribution
Tables = Float[np.ndarray, "table cell patient"]
PerTable = Float[np.ndarray, " table"]


@dataclass(frozen=True)
class Estimates:
    """Means of tables, with what says how far they can be trusted; an entry for each table.

    Attributes:
        mean: of all differences.
        error: standard error of the mean; 0 where nothing varies.
        freedom: degrees of freedom of Student's t.
    """

    mean: PerTable
    error: PerTable
    freedom: PerTable

    def p(self) -> PerTable:
        """Two-sided p: 1 where there is no difference at all, 0 where all differences are the same and not zero."""
        ratio = np.divide(np.abs(self.mean), self.error, out=np.zeros_like(self.mean), where=self.error > 0)
        p: PerTable = np.where(self.error > 0, 2 * stats.t.sf(ratio, self.freedom), self.mean == 0)
        return p

    def intervals(self, confidence: float | PerTable) -> Float[np.ndarray, "3 table"]:
        """Mean, lower and upper end at one confidence, or at one for each table."""
        half = stats.t.isf((1 - np.asarray(confidence)) / 2, self.freedom) * self.error
        return np.stack([self.mean, self.mean - half, self.mean + half])


def estimate(tables: Tables, *, overlap: float = 0.0) -> Estimates:
    """Estimate many tables of the same size; with one cell from patients alone.

    Args:
        tables: differences; at least two patients.
        overlap: expected share of its training patients that a cell has in common with another; at 1 nothing is added,
            and the estimate is of these training patients.
    """
    _, cells, patients = tables.shape
    assert patients > 1, "one patient has no spread"
    smallest = ROUNDING * np.abs(tables).max(axis=(1, 2))
    mean = tables.mean(axis=(1, 2))
    mean = np.where(np.abs(mean) <= smallest, 0, mean)
    by_cell, by_patient, noise = mean_squares(tables)
    if cells == 1:
        error = np.sqrt(by_patient / patients)
        return Estimates(mean, np.where(error <= smallest, 0, error), np.full_like(mean, patients - 1))
    by_cell = np.maximum(by_cell, noise * stats.chi2.ppf(FLOOR, cells - 1) / (cells - 1))
    # variance of the mean, times the number of differences
    of_patients = np.maximum(by_patient - noise, 0)
    shared = cells * overlap / (1 - overlap) if overlap < 1 else 0.0
    spread = np.maximum(by_cell - noise, 0)
    variance = by_cell + of_patients + shared * (by_cell + spread) / 2
    # degrees of freedom
    surer = np.maximum(by_cell, noise)
    of_cells = surer + shared * (surer + spread) / 2
    parts = of_cells**2 / (cells - 1) + of_patients * by_patient / (patients - 1)
    freedom = np.divide((of_cells + of_patients) ** 2, parts, out=np.full_like(mean, NORMAL), where=parts > 0)
    error = np.sqrt(variance / (cells * patients))
    return Estimates(mean, np.where(error <= smallest, 0, error), np.minimum(freedom, NORMAL))


def mean_squares(tables: Tables) -> tuple[PerTable, PerTable, PerTable]:
    """Mean squares of cells, patients and noise; 0 for what one cell alone cannot show."""
    _, cells, patients = tables.shape
    centered = tables - tables.mean(axis=(1, 2), keepdims=True)
    by_cell, by_patient = centered.mean(axis=2), centered.mean(axis=1)
    noise = centered - by_cell[:, :, None] - by_patient[:, None, :]
    return (
        patients * (by_cell**2).sum(axis=1) / max(cells - 1, 1),
        cells * (by_patient**2).sum(axis=1) / max(patients - 1, 1),
        (noise**2).sum(axis=(1, 2)) / max((cells - 1) * (patients - 1), 1),
    )
