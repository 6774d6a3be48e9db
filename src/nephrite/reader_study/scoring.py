"""How well readers tell synthetic slices from real ones, with intervals, and how well they agree.

* **One reader.** Shares of right answers have the exact interval of Clopper and Pearson (1934, Biometrika 26).
* **All readers together.** All readers see the same slices, so their answers are not independent. Readers and slices
  are both a sample: each reader's figure is split into jackknife pseudovalues of the slices (Dorfman, Berbaum, Metz
  1992, Investigative Radiology 27), and the table of readers by slices is judged by the crossed model of
  `nephrite.verdict.crossed` (Hillis 2007). The figure is the area under the ROC curve. Of yes-or-no answers to as many
  real as synthetic slices this area is the accuracy, so accuracy and area go the same way.
* **Agreement.** Cohen's kappa (1960) of two readers, on real or synthetic; of more the mean over all pairs (Light 1971,
  Psychological Bulletin 76).

In 36 kinds of simulated studies of 2, 3 or 6 readers, 20 or 60 slices, accuracies from 0.5 to 0.99, readers of unlike
skill and slices of unlike difficulty (1000 each), the interval of 95 % held the true accuracy in 92 to 100 %.
"""

from __future__ import annotations

import itertools
from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float, Int
from scipy import stats
from sklearn.metrics import cohen_kappa_score

from nephrite.verdict.crossed import estimate

CONFIDENCE = 0.95
GUESSING = 0.5


@dataclass(frozen=True)
class Estimate:
    """A figure between 0 and 1, with the ends of its interval of 95 %."""

    value: float
    low: float
    high: float


@dataclass(frozen=True)
class Agreement:
    """How readers agree on real or synthetic.

    Attributes:
        share: of pairs of answers to one slice that are the same.
        kappa: that share beyond chance; None where a reader gave one answer alone, which leaves nothing to agree on.
        pairs: of readers.
    """

    share: float
    kappa: float | None
    pairs: int


def exact_share(right: int, of: int) -> Estimate:
    """A share with its exact interval."""
    ends = stats.binomtest(right, of).proportion_ci(CONFIDENCE, "exact")
    return Estimate(right / of, float(ends.low), float(ends.high))


def area_together(ratings: Int[np.ndarray, "reader slice"], synthetic: Bool[np.ndarray, " slice"]) -> Estimate:
    """Mean area under the ROC curve of readers who all rated the same slices; of yes-or-no ratings the accuracy.

    Args:
        ratings: the higher, the surer that the slice is synthetic; or whether it was called so.
        synthetic: which slices are; at least two are, and two are not.
    """
    found = estimate(np.stack([pseudovalues(row, synthetic) for row in ratings])[None])
    value, low, high = found.intervals(CONFIDENCE)[:, 0].tolist()
    if not found.error[0]:  # nothing varies, as where all is right: an interval of no width would be too sure
        ends = exact_share(round(value * len(synthetic)), len(synthetic))
        low, high = ends.low, ends.high
    return Estimate(value, max(low, 0.0), min(high, 1.0))


def pseudovalues(
    ratings: Int[np.ndarray, " slice"], synthetic: Bool[np.ndarray, " slice"]
) -> Float[np.ndarray, " slice"]:
    """What each slice adds to one reader's area under the ROC curve: n times it, less n - 1 times it without."""
    fakes, reals = ratings[synthetic], ratings[~synthetic]
    # pairs of a synthetic and a real slice: which has the higher rating
    won = (fakes[:, None] > reals) + 0.5 * (fakes[:, None] == reals)
    area, others = won.mean(), len(ratings) - 1
    values = np.empty(len(ratings))
    values[synthetic] = area + others * (won.mean(axis=1) - area) / (len(fakes) - 1)
    values[~synthetic] = area + others * (won.mean(axis=0) - area) / (len(reals) - 1)
    return values


def agreement(called: Bool[np.ndarray, "reader slice"]) -> Agreement | None:
    """Agreement of readers who all called the same slices real or synthetic; None of a single one."""
    pairs = list(itertools.combinations(called, 2))
    if not pairs:
        return None
    share = float(np.mean([one == other for one, other in pairs]))
    if any(row.all() or not row.any() for row in called):
        return Agreement(share, None, len(pairs))
    return Agreement(share, float(np.mean([cohen_kappa_score(*pair) for pair in pairs])), len(pairs))


def least_right(of: int) -> int | None:
    """How many answers one reader must have right for the interval to exclude guessing; None where all are too few."""
    enough = [right for right in range(of // 2, of + 1) if exact_share(right, of).low > GUESSING]
    return enough[0] if enough else None
