"""The exponent of a learning curve: score = a - b n^-c of n patients, an inverse power law.

So scores of classifiers follow the number of samples (Figueroa et al. 2012, "Predicting sample size required for
classification performance", BMC Medical Informatics and Decision Making 12:8, Methods). For a given c the curve is a
straight line in n^-c, so a and b follow in closed form and c alone is searched for (variable projection; Golub and
Pereyra 1973).
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from jaxtyping import Float
from scipy.optimize import minimize_scalar

LEAST, MOST = 0.05, 3.0  # exponents: nearly a logarithm, and a curve that ends after the first step
Means = Sequence[float] | Float[np.ndarray, " count"]
STEP = 1e-3  # of a mean score, by which the slope of the exponent is found
BEND = 1e-4  # of an exponent, by which the slope of the curve on it is found


def exponent_of(counts: Sequence[int], means: Means) -> float:
    """The exponent of the curve through some points, by least squares; of points that do not rise, any will do.

    Args:
        counts: numbers of patients, three or more.
        means: mean score at each.
    """
    places, scores = np.array(counts, dtype=float), np.array(means)

    def error(logarithm: float) -> float:
        column = places ** -math.exp(logarithm)
        column -= column.mean()
        fall = max(-float(column @ scores) / float(column @ column), 0.0)
        return float(((scores - scores.mean() + fall * column) ** 2).sum())

    found = minimize_scalar(error, bounds=(math.log(LEAST), math.log(MOST)), method="bounded", options={"xatol": 1e-5})
    return math.exp(float(found.x))


def slopes_of_exponent(counts: Sequence[int], means: Means) -> Float[np.ndarray, " count"]:
    """How the exponent changes with each mean score, by central differences."""
    steps = STEP * np.eye(len(counts))
    pairs = [(exponent_of(counts, means + step), exponent_of(counts, means - step)) for step in steps]
    return np.array([(up - down) / (2 * STEP) for up, down in pairs])


def straightened(count: Float[np.ndarray, " place"], exponent: float) -> Float[np.ndarray, " place"]:
    """Numbers of patients on the axis on which a curve of this exponent is straight; the logarithm at 0."""
    logarithm: Float[np.ndarray, " place"] = np.log(count)
    return logarithm if exponent == 0 else -np.expm1(-exponent * logarithm) / exponent


def between(
    counts: Sequence[int],
    tables: Sequence[Float[np.ndarray, "cell patient"]],
    grid: Float[np.ndarray, " place"],
    exponent: float | None,
) -> Float[np.ndarray, "place cell patient"]:
    """Scores at any numbers of patients between those that were measured.

    With an exponent, each cell and patient also holds what it moves the exponent by, and that the curve (delta method).

    Args:
        counts: numbers of patients that were measured.
        tables: scores at each.
        grid: numbers of patients.
        exponent: of the curve; None = straight in the logarithm.
    """
    known, measured = np.array(counts, dtype=float), np.array(tables)

    def curves(power: float) -> Float[np.ndarray, "place cell patient"]:
        place = np.interp(straightened(grid, power), straightened(known, power), np.arange(len(counts)))
        lower = np.minimum(place.astype(int), len(counts) - 2)
        share = (place - lower)[:, None, None]
        drawn: Float[np.ndarray, "place cell patient"] = (1 - share) * measured[lower] + share * measured[lower + 1]
        return drawn

    found = curves(exponent or 0.0)
    if exponent is None:
        return found
    means = measured.mean(axis=(1, 2))
    moved = np.tensordot(slopes_of_exponent(counts, means), measured - means[:, None, None], axes=1)
    bend = (curves(exponent + BEND) - curves(exponent - BEND)).mean(axis=(1, 2)) / (2 * BEND)
    bent: Float[np.ndarray, "place cell patient"] = found + bend[:, None, None] * moved
    return bent
