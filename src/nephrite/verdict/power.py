"""Power by simulation: the smallest effect that a trial of so many test patients and cells (replicates) detects.

A difference in cell i and patient j is taken as effect + cell_i + patient_j + noise_ij, each drawn from a normal
distribution (two-way random effects without replication; Searle, Casella, McCulloch 1992, "Variance components",
chapter 4). Each simulated table goes through the interval of the trial itself, so the answer is what `judge` will say.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float
from scipy import stats

from nephrite.errors import TrialError
from nephrite.verdict.crossed import estimate, mean_squares
from nephrite.verdict.statistics import MINIMUM_CELLS, MINIMUM_PATIENTS

LARGEST_BLOCK = 500_000  # simulated differences held at once: 4 MB


@dataclass(frozen=True)
class Spread:
    """Standard deviations of a paired difference of scores, in units of the score.

    Attributes:
        between_cells: of the true mean differences of cells.
        between_patients: of the true mean differences of patients.
        residual: of a single difference around what its cell and its patient explain.
    """

    between_cells: float
    between_patients: float
    residual: float

    def standard_error(self, cells: int, patients: int) -> float:
        """Standard error of the mean difference."""
        residual = self.residual**2 / (cells * patients)
        return math.sqrt(self.between_cells**2 / cells + self.between_patients**2 / patients + residual)


ASSUMED_SPREAD = Spread(between_cells=0.02, between_patients=0.05, residual=0.14)
"""For a plan without a finished run, in Dice. Between cells: a pilot on heart MR and lung nodules, 5 to 60 training
patients. The others: first trials of this software, three cells each (synthetic data on top of geometric augmentation,
lung nodules, 68 test patients: 0.02, 0.07, 0.14; kidneys, 8 test patients: 0, 0.04, 0.16)."""


@dataclass(frozen=True)
class Simulation:
    """How trials are simulated.

    Attributes:
        confidence: of the trial's interval.
        overlap: share of its training patients that a cell has in common with another, on average.
        trials: number; with 2000 the smallest effect is good to about 2 % of itself.
        seed: the same seed gives the same answer.
    """

    confidence: float = 0.95
    overlap: float = 0.0
    trials: int = 2000
    seed: int = 0


USUAL = Simulation()
QUICK = Simulation(trials=1000)


def estimate_spread(differences: Float[np.ndarray, "cell patient"]) -> Spread:
    """Spread of a finished run, by the method of moments (analysis of variance; a negative variance counts as 0).

    Args:
        differences: score with minus score without, for each cell and test patient.

    Raises:
        TrialError: fewer than two cells or two patients.
    """
    cells, patients = differences.shape
    if cells < 2 or patients < 2:
        finding = f"{cells} cells and {patients} test patients: a spread needs two of each"
        raise TrialError("trial", finding, "run more cells, or plan with the stated assumption")
    # variance components of a two-way table without repeats
    by_cell, by_patient, noise = (float(part[0]) for part in mean_squares(differences[None]))
    return Spread(
        between_cells=math.sqrt(max(0.0, by_cell - noise) / patients),
        between_patients=math.sqrt(max(0.0, by_patient - noise) / cells),
        residual=math.sqrt(noise),
    )


def largest_spread(differences: Float[np.ndarray, "cell patient"], *, confidence: float = 0.8) -> Spread:
    """Spread of a finished run as large as it may well be: upper limits of what lies between cells and patients.

    Three cells put the spread between cells at zero in more than a third of runs, and a plan that believes them
    promises too much. So the mean square of a level is replaced by its upper limit before that of noise is taken off
    (Williams 1962, Tukey 1951: Burdick and Graybill 1992, "Confidence intervals on variance components", section 3.3).

    Args:
        differences: score with minus score without, for each cell and test patient.
        confidence: share of runs whose true spread lies below each limit.

    Raises:
        TrialError: fewer than two cells or two patients.
    """
    estimated = estimate_spread(differences)
    by_cell, by_patient, noise = (float(part[0]) for part in mean_squares(differences[None]))
    cells, patients = differences.shape

    def limit(mean_square: float, count: int, others: int) -> float:
        largest = mean_square * (count - 1) / float(stats.chi2.ppf(1 - confidence, count - 1))
        return math.sqrt(max(0.0, largest - noise) / others)

    return Spread(limit(by_cell, cells, patients), limit(by_patient, patients, cells), estimated.residual)


def simulate_differences(
    spread: Spread, cells: int, patients: int, *, trials: int, generator: np.random.Generator, effect: float = 0.0
) -> Float[np.ndarray, "trial cell patient"]:
    """Tables of differences of trials in which the true difference is `effect`."""
    by_cell = spread.between_cells * generator.standard_normal((trials, cells, 1))
    by_patient = spread.between_patients * generator.standard_normal((trials, 1, patients))
    tables: Float[np.ndarray, "trial cell patient"] = generator.standard_normal((trials, cells, patients))
    tables *= spread.residual
    tables += by_cell
    tables += by_patient + effect
    return tables


def smallest_effect(
    spread: Spread,
    cells: int,
    patients: int,
    *,
    power: float = 0.8,
    simulation: Simulation = USUAL,
) -> float | None:
    """The smallest true difference for which the trial says 'helps' with a chance of `power`.

    Adding an effect to a table moves its interval by just that effect. So an effect is found in those trials whose
    lower end without any effect lies less than the effect below zero, and one simulation answers for all effects.

    Args:
        spread: of a finished run, or assumed.
        cells: subset and initialization pairs shared by both arms.
        patients: test patients.
        power: chance to find the effect.
        simulation: number of trials and their intervals.

    Returns:
        The effect in units of the score; None where no effect is ever enough, because `judge` asks for more cells or
        test patients.
    """
    if cells < MINIMUM_CELLS or patients < MINIMUM_PATIENTS:
        return None
    short_of = _reach(spread, cells, patients, simulation)
    return float(np.quantile(short_of, power))


def chance_to_find(
    effect: float,
    spread: Spread,
    cells: int,
    patients: int,
    *,
    simulation: Simulation = USUAL,
) -> float:
    """Share of trials that say 'helps' if the true difference is `effect`; arguments as for `smallest_effect`."""
    if cells < MINIMUM_CELLS or patients < MINIMUM_PATIENTS:
        return 0.0
    short_of = _reach(spread, cells, patients, simulation)
    return float((short_of < effect).mean())


def cells_needed(
    effect: float,
    spread: Spread,
    patients: int,
    *,
    power: float = 0.8,
    most: int = 64,
    simulation: Simulation = QUICK,
) -> int | None:
    """The smallest number of cells with which `effect` is found with a chance of `power`.

    Args:
        effect: true difference in units of the score, above zero.
        spread: of a finished run, or assumed.
        patients: test patients.
        power: chance to find the effect.
        most: cells that are affordable at all.
        simulation: for each number of cells that is looked at.

    Returns:
        None where `most` cells are not enough: then the test patients are too few, and more cells do not help.
    """

    def enough(cells: int) -> bool:
        return chance_to_find(effect, spread, cells, patients, simulation=simulation) >= power

    if not enough(most):
        return None
    few, many = MINIMUM_CELLS - 1, most
    while many - few > 1:
        middle = (few + many) // 2
        few, many = (few, middle) if enough(middle) else (middle, many)
    return many


def _reach(spread: Spread, cells: int, patients: int, simulation: Simulation) -> Float[np.ndarray, " trial"]:
    """How far the lower end of the interval lies below the true difference, in each simulated trial."""
    # what cells share is seen in none of their differences, and moves all of them
    generator, share = np.random.default_rng(simulation.seed), min(simulation.overlap, 1.0)
    common = spread.between_cells * math.sqrt(share / (1 - share)) if share < 1 else 0.0
    # in blocks: memory is bounded
    block = max(1, LARGEST_BLOCK // (cells * patients))
    lows = []
    for start in range(0, simulation.trials, block):
        count = min(block, simulation.trials - start)
        tables = simulate_differences(spread, cells, patients, trials=count, generator=generator)
        tables += common * generator.standard_normal((count, 1, 1))
        _, low, _ = estimate(tables, overlap=simulation.overlap).intervals(simulation.confidence)
        lows.append(low)
    return -np.concatenate(lows)
