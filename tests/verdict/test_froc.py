from __future__ import annotations

import math

import numpy as np
import pytest

from nephrite.metrics.lesions import Candidate, LesionFindings
from nephrite.verdict.froc import RATES, competition_metric, false_positives_per_image, sensitivities


def findings(lesions: int, hits: dict[int, float], wrong: list[float], images: int = 1) -> LesionFindings:
    """So many lesions of 1 ml, scores of those that are hit, scores of candidates that hit nothing."""
    found = [Candidate(score, 1.0, place) for place, score in hits.items()]
    return LesionFindings((1.0,) * lesions, (*found, *(Candidate(score, 1.0, None) for score in wrong)), images)


PATIENTS = [
    findings(2, {0: 0.9, 1: 0.5}, [0.7, 0.2]),
    findings(1, {0: 0.6}, [0.95]),
    findings(1, {}, []),
    findings(0, {}, [0.4]),
]


def test_sensitivity_is_read_at_the_last_point_that_the_rate_allows() -> None:
    # from the top: false .95 | true .9 | false .7 | true .6 | true .5 | false .4, .2; 4 images, 4 lesions
    found = sensitivities(PATIENTS, (0.24, 0.25, 0.5, 1.0))
    assert found.tolist() == [[0.0, 0.25, 0.75, 0.75]]


def test_the_metric_is_the_mean_over_seven_rates() -> None:
    expected = np.mean([0.0, 0.25, *[0.75] * 5])
    assert len(RATES) == 7
    assert competition_metric(PATIENTS) == pytest.approx([expected])


def test_a_weight_counts_a_patient_so_many_times() -> None:
    weights = np.array([[2.0, 0, 1, 1], [1, 1, 1, 1], [0, 0, 0, 1]])
    copies = [PATIENTS[0], PATIENTS[0], PATIENTS[2], PATIENTS[3]]
    found = sensitivities(PATIENTS, RATES, weights)
    assert found[0].tolist() == sensitivities(copies, RATES)[0].tolist()
    assert found[1].tolist() == sensitivities(PATIENTS, RATES)[0].tolist()
    assert np.isnan(found[2]).all()


def test_further_hits_on_a_lesion_count_neither_way() -> None:
    once = LesionFindings((1.0,), (Candidate(0.9, 1.0, 0), Candidate(0.8, 1.0, None)), 4)
    often = LesionFindings((1.0,), (*once.candidates, Candidate(0.85, 1.0, 0), Candidate(0.3, 1.0, 0)), 4)
    assert sensitivities([once], RATES).tolist() == sensitivities([often], RATES).tolist()


def test_equal_scores_are_taken_together() -> None:
    tied = findings(1, {0: 0.5}, [0.5])
    assert sensitivities([tied], (0.5, 1.0)).tolist() == [[0.0, 1.0]]


def test_lesions_of_other_sizes_count_neither_way() -> None:
    mixed = LesionFindings((0.1, 2.0), (Candidate(0.9, 1.0, 0), Candidate(0.8, 1.0, None)), 1)
    assert sensitivities([mixed], (1.0,), volumes=(0.0, 1.0)).tolist() == [[1.0]]
    assert sensitivities([mixed], (1.0,), volumes=(1.0, math.inf)).tolist() == [[0.0]]
    assert np.isnan(sensitivities([mixed], (1.0,), volumes=(5.0, math.inf))).all()


def test_a_segmenter_that_finds_nothing_scores_zero() -> None:
    assert competition_metric([findings(3, {}, [])]).tolist() == [0.0]


def test_false_positives_are_per_image_and_of_scans_without_lesions_where_asked() -> None:
    assert false_positives_per_image(PATIENTS, 0.5) == 2 / 4
    assert false_positives_per_image(PATIENTS, 0.4, without_lesions=True) == 1.0
    assert false_positives_per_image(PATIENTS[:3], 0.4, without_lesions=True) is None
    assert false_positives_per_image([findings(1, {}, [0.9], images=5)], 0.9) == 0.2
