"""Coverage of measures that belong to a set of patients: simulated candidates, whose curves differ by a known amount.

The suite simulates few trials; `make simulate` more. Here each trial draws curves, so there are a fiftieth of those of
tests/trial/test_judge.py.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from functools import partial

import numpy as np
import pytest

from nephrite.metrics.lesions import Candidate, LesionFindings
from nephrite.verdict.froc import competition_metric
from nephrite.verdict.measures import parts_of_set
from nephrite.verdict.statistics import paired_interval

TRIALS = int(os.environ.get("NEPHRITE_SIMULATED_TRIALS", "3000")) // 50
SIZES = [(3, 20), (8, 20), (8, 60)] if TRIALS > 100 else [(3, 20)]
GAIN = 0.5  # of the logits of lesions
Patient = tuple[np.ndarray, float]


def population(rng: np.random.Generator, count: int) -> list[Patient]:
    """Patients with lesions of different difficulty, and a rate of false candidates."""
    return [(rng.normal(0, 1, 1 + rng.poisson(0.7)), float(rng.gamma(1.5, 0.8))) for _ in range(count)]


def findings(rng: np.random.Generator, patients: Sequence[Patient], gain: float) -> list[LesionFindings]:
    """What one run finds; another initialization shifts all lesions alike."""
    shift, found = rng.normal(0, 0.2), []
    for difficulties, rate in patients:
        logits = 1.2 - difficulties + gain + shift + rng.normal(0, 0.6, len(difficulties))
        hits = [Candidate(float(1 / (1 + np.exp(-z))), 0.1, place) for place, z in enumerate(logits) if z > 0]
        wrong = [Candidate(float(1 / (1 + np.exp(-z))), 0.1, None) for z in rng.normal(0, 1, rng.poisson(rate))]
        found.append(LesionFindings((0.1,) * len(difficulties), (*hits, *wrong), 3))
    return found


def differences(rng: np.random.Generator, cells: int, count: int) -> np.ndarray:
    """A trial's table of the competition metric, with minus without the gain."""
    patients = population(rng, count)
    rows = []
    for _ in range(cells):
        arms = [findings(rng, patients, gain) for gain in (GAIN, 0.0)]
        one, other = (parts_of_set(partial(competition_metric, arm), count, 5) for arm in arms)
        rows.append(one - other)
    return np.array(rows)


def gain_of_sets(size: int) -> float:
    """The mean gain of sets of so many patients; with few images a curve has coarse steps, and the gain is smaller."""
    rng, found = np.random.default_rng(99), []
    for _ in range(40_000 // size):
        patients = population(rng, size)
        one, other = (competition_metric(findings(rng, patients, gain))[0] for gain in (GAIN, 0.0))
        found.append(float(one - other))
    return float(np.mean(found))


@pytest.mark.parametrize(("cells", "patients"), SIZES)
def test_intervals_of_curves_hold_the_gain_in_nineteen_of_twenty_trials(cells: int, patients: int) -> None:
    rng, truth, held, lengths = np.random.default_rng(cells), gain_of_sets(patients), 0, []
    for _ in range(TRIALS):
        found = paired_interval(differences(rng, cells, patients))
        assert found.low is not None
        assert found.high is not None
        held += found.low <= truth <= found.high
        lengths.append(found.high - found.low)
    chance = 3 * np.sqrt(0.94 * 0.06 / TRIALS)
    assert 0.94 - chance <= held / TRIALS <= 0.97 + chance, held / TRIALS
    assert np.mean(lengths) < 10 * truth  # an interval that holds everything says nothing
