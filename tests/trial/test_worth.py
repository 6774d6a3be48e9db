"""Coverage of 'worth k more patients': simulated trials on learning curves that are known, power laws and others.

The suite simulates few trials; `make simulate` more. An interval takes a moment, so there are a twentieth of those of
tests/trial/test_judge.py.
"""

from __future__ import annotations

import math
import os
from collections.abc import Callable

import numpy as np
import pytest
from scipy.optimize import brentq

from nephrite.verdict.equivalence import data_equivalence

TRIALS = int(os.environ.get("NEPHRITE_SIMULATED_TRIALS", "3000")) // 20
START, END, RISE = 0.5, 0.75, 0.1  # scores at the ends of the curve, and what synthetic data adds at its start
CELLS, PATIENTS = 8, 60
SPREAD = (0.02, 0.05, 0.14)  # of differences: between cells, patients and single scores, as `nephrite plan` assumes
Curve = Callable[[float], float]


def power_law(counts: tuple[int, ...], exponent: float) -> Curve:
    """a - b n^-c through both ends."""
    fall = (END - START) / (counts[0] ** -exponent - counts[-1] ** -exponent)
    return lambda count: START + fall * (counts[0] ** -exponent - count**-exponent)


def logarithm(counts: tuple[int, ...], _: float) -> Curve:
    """A curve that does not flatten."""
    return lambda count: START + (END - START) * math.log(count / counts[0]) / math.log(counts[-1] / counts[0])


def saturation(counts: tuple[int, ...], share: float) -> Curve:
    """A curve that ends: what is left falls exponentially, to a share of its start in a quarter of the patients."""
    rate = -4 * math.log(share) / counts[-1]
    whole = math.exp(-rate * counts[0]) - math.exp(-rate * counts[-1])
    return lambda count: START + (END - START) * (math.exp(-rate * counts[0]) - math.exp(-rate * count)) / whole


def trial(
    rng: np.random.Generator, counts: tuple[int, ...], curve: Curve
) -> tuple[dict[int, np.ndarray], dict[int, np.ndarray]]:
    """Tables of the reference at each number of patients, and of the synthetic arm at the smallest."""
    cell, patient, single = np.array(SPREAD) / math.sqrt(2)
    shared = rng.normal(0, 0.02, (CELLS, 1)) + rng.normal(0, 0.2, PATIENTS)

    def table(mean: float) -> np.ndarray:
        own = rng.normal(0, cell, (CELLS, 1)) + rng.normal(0, patient, PATIENTS)
        return mean + shared + own + rng.normal(0, single, (CELLS, PATIENTS))

    return {count: table(curve(count)) for count in counts}, {counts[0]: table(START + RISE)}


@pytest.mark.parametrize("counts", [(7, 21, 60), (5, 10, 20, 40)])
@pytest.mark.parametrize(
    ("kind", "shape", "least"),
    [(power_law, 0.5, 0.93), (power_law, 1.5, 0.93), (logarithm, 0.0, 0.93), (saturation, 0.37, 0.87)],
)
def test_the_worth_of_synthetic_data_is_held_by_its_interval_and_met_on_average(
    counts: tuple[int, ...], kind: Callable[[tuple[int, ...], float], Curve], shape: float, least: float
) -> None:
    rng, curve, held, worth = np.random.default_rng(len(counts)), kind(counts, shape), 0, []
    truth = brentq(lambda count: curve(count) - START - RISE, counts[0], counts[-1]) - counts[0]
    for _ in range(TRIALS):
        found = data_equivalence(*trial(rng, counts, curve))
        assert found.low is not None
        assert found.high is not None
        held += found.low <= truth <= found.high
        worth.append(found.more)
    chance = 3 * math.sqrt(0.94 * 0.06 / TRIALS)
    assert least - chance <= held / TRIALS <= 0.98 + chance, held / TRIALS
    assert 0.8 < float(np.median(worth)) / truth < 1.25
