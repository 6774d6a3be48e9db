"""Free-response curves of a set of patients: sensitivity per lesion against false positives per image.

The score is that of a set, not of a patient. So an interval resamples patients and draws the curve anew: every function
here takes weights of patients, many at a time.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from jaxtyping import Bool, Float, Int

from nephrite.metrics.lesions import LesionFindings

RATES = (1 / 8, 1 / 4, 1 / 2, 1, 2, 4, 8)  # false positives per image: LUNA16's (Setio et al. 2017, section 3.4)


def competition_metric(
    patients: Sequence[LesionFindings],
    weights: Float[np.ndarray, "draw patient"] | None = None,
    *,
    volumes: tuple[float, float] = (0.0, np.inf),
) -> Float[np.ndarray, " draw"]:
    """Mean sensitivity at the seven rates (CPM; Niemeijer et al. 2011, section II.C).

    Args:
        patients: findings of one run.
        weights: how often each patient counts, in each draw; once where it is not given.
        volumes: milliliters from, and up to but without which, lesions count; hits on others count neither way.
    """
    mean: Float[np.ndarray, " draw"] = sensitivities(patients, RATES, weights, volumes=volumes).mean(axis=1)
    return mean


def sensitivities(
    patients: Sequence[LesionFindings],
    rates: Sequence[float],
    weights: Float[np.ndarray, "draw patient"] | None = None,
    *,
    volumes: tuple[float, float] = (0.0, np.inf),
) -> Float[np.ndarray, "draw rate"]:
    """Share of the lesions that are found with at most so many false positives per image.

    One hit finds a lesion, the one with the best score; further hits on it count neither way. Candidates of equal score
    are taken together. Between two operating points nothing is interpolated. NaN where no lesion is weighted.

    Args:
        patients: findings of one run.
        rates: false positives per image.
        weights: how often each patient counts, in each draw; once where it is not given.
        volumes: see `competition_metric`.
    """
    weights = np.ones((1, len(patients))) if weights is None else weights
    scores, owners, true = _events(patients, volumes)
    lesions = np.array([_counted(each, volumes).sum() for each in patients], dtype=float)
    images = np.array([each.images for each in patients], dtype=float)
    # both counts, from the highest score down, where the score changes
    last = np.flatnonzero(np.append(scores[1:] != scores[:-1], True)) if len(scores) else np.zeros(0, int)
    by_event = weights[:, owners]
    hits = np.cumsum(by_event * true, axis=1)[:, last]
    misses = np.cumsum(by_event * ~true, axis=1)[:, last]
    # the last point that is allowed at each rate; before the first one nothing is found
    hits = np.pad(hits, ((0, 0), (1, 0)))
    allowed = np.array([(misses <= rate * (weights @ images)[:, None] + 1e-9).sum(axis=1) for rate in rates]).T
    found = np.take_along_axis(hits, allowed, axis=1)
    total = (weights @ lesions)[:, None]
    shares: Float[np.ndarray, "draw rate"] = np.divide(found, total, out=np.full_like(found, np.nan), where=total > 0)
    return shares


def false_positives_per_image(
    patients: Sequence[LesionFindings], threshold: float, *, without_lesions: bool = False
) -> float | None:
    """Candidates per image that hit nothing and have at least this score; None where there is no such image.

    Args:
        patients: findings of one run.
        threshold: on the score.
        without_lesions: of the patients without any lesion alone.
    """
    asked = [each for each in patients if not (without_lesions and each.lesions)]
    images = sum(each.images for each in asked)
    wrong = sum(one.hit is None and one.score >= threshold for each in asked for one in each.candidates)
    return wrong / images if images else None


def _counted(findings: LesionFindings, volumes: tuple[float, float]) -> Bool[np.ndarray, " lesion"]:
    sizes = np.array(findings.lesions, dtype=float)
    return (sizes >= volumes[0]) & (sizes < volumes[1])


def _events(
    patients: Sequence[LesionFindings], volumes: tuple[float, float]
) -> tuple[Float[np.ndarray, " event"], Int[np.ndarray, " event"], Bool[np.ndarray, " event"]]:
    """Scores, patients and truth of first hits and of candidates that hit nothing, the highest score first."""
    events: list[tuple[float, int, bool]] = []
    for owner, findings in enumerate(patients):
        counted = _counted(findings, volumes)
        best: dict[int, float] = {}
        for candidate in findings.candidates:
            if candidate.hit is None:
                events.append((candidate.score, owner, False))
            elif counted[candidate.hit]:
                best[candidate.hit] = max(candidate.score, best.get(candidate.hit, 0.0))
        events += [(score, owner, True) for score in best.values()]
    events.sort(key=lambda event: -event[0])
    scores, owners, true = zip(*events, strict=True) if events else ((), (), ())
    return np.array(scores, dtype=float), np.array(owners, dtype=int), np.array(true, dtype=bool)
