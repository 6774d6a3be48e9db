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
STEP = 1e-3  # of a mean score, by which the slope of the exponent is found


def exponent_of(counts: Sequence[int], means: Sequence[float]) -> float:
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


def slopes_of_exponent(counts: Sequence[int], means: Sequence[float]) -> Float[np.ndarray, " count"]:
    """How the exponent changes with each mean score, by central differences."""
    steps = STEP * np.eye(len(counts))
    pairs = [(exponent_of(counts, list(means + step)), exponent_of(counts, list(means - step))) for step in steps]
    return np.array([(up - down) / (2 * STEP) for up, down in pairs])


def straightened(count: Float[np.ndarray, " place"], exponent: float) -> Float[np.ndarray, " place"]:
    """Numbers of patients on the axis on which a curve of this exponent is straight; the logarithm at 0."""
    if exponent == 0:
        return np.log(count)
    axis: Float[np.ndarray, " place"] = -np.expm1(-exponent * np.log(count)) / exponent
    return axis
