from __future__ import annotations

import numpy as np
import pytest

from nephrite.errors import VolumeError
from nephrite.metrics.calibration import BINS, Calibration, calibrate, expected_calibration_errors


def error_of(patients: list[Calibration]) -> float:
    return float(expected_calibration_errors(patients)[0])


def test_honest_probabilities_have_no_error_and_a_known_brier_score() -> None:
    said = np.repeat([0.25, 0.75], 400)
    true = np.tile([True, False, False, False], 100), np.tile([True, True, True, False], 100)
    found = calibrate(said, np.concatenate(true))
    assert error_of([found]) == pytest.approx(0)
    assert found.brier == pytest.approx(0.75 * 0.25)
    assert found.voxels == (0, 0, 400, 0, 0, 0, 0, 400, 0, 0)
    assert found.true == (0, 0, 100, 0, 0, 0, 0, 300, 0, 0)


def test_certainty_that_is_wrong_is_the_whole_error() -> None:
    found = calibrate(np.ones((2, 3)), np.zeros((2, 3), bool))
    assert (found.brier, error_of([found])) == (1.0, 1.0)
    assert found.voxels[BINS - 1] == 6


def test_gaps_of_patients_cancel_within_a_bin_and_weigh_by_voxels() -> None:
    above, below = (calibrate(np.full(100, 0.55), np.arange(100) < true) for true in (65, 45))
    assert error_of([above, below]) == pytest.approx(0)
    assert error_of([above]) == pytest.approx(0.1)
    sure = calibrate(np.zeros(300), np.zeros(300, bool))
    assert error_of([above, sure]) == pytest.approx(0.1 * 100 / 400)


def test_other_shapes_are_refused() -> None:
    with pytest.raises(VolumeError, match="has shape"):
        calibrate(np.zeros((2, 3)), np.zeros((3, 2), bool))


def test_a_weight_counts_a_patient_so_many_times() -> None:
    one, other = calibrate(np.full(100, 0.55), np.arange(100) < 65), calibrate(np.zeros(300), np.zeros(300, bool))
    found = expected_calibration_errors([one, other], np.array([[2.0, 1.0], [0.0, 1.0]]))
    assert found.tolist() == [error_of([one, one, other]), error_of([other])]
