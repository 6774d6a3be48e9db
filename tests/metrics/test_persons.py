"""Scores of scans become scores of patients."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from nephrite.config import Arm
from nephrite.metrics.calibration import calibrate, expected_calibration_errors
from nephrite.metrics.lesions import Candidate, LesionFindings
from nephrite.metrics.persons import of_persons, scores_of_persons
from nephrite.metrics.scores import ArmScores, PatientScore, RegionScore, SliceScores

SURE = calibrate(np.array([1.0, 0.0]), np.array([True, False]))
WRONG = calibrate(np.array([1.0, 0.6]), np.array([False, False]))
MISSED = LesionFindings((3.0,), (Candidate(0.4, 1.0, None),), 5)
FOUND = LesionFindings((2.0, 1.0), (Candidate(0.9, 2.0, 1),), 7)


def scan(name: str, person: str | None, dice: float, **changes: Any) -> PatientScore:
    score = PatientScore(
        name,
        {"tumor": RegionScore(dice, dice / 2, None, 4.0, 3.0)},
        SliceScores(10, 50.0, 40.0, {"tumor": 0.5}, {"tumor": 2}),
        {"tumor": MISSED},
        {"tumor": SURE},
        person,
    )
    return replace(score, **changes)


TWICE = (
    scan("x_2", "x", 0.2, native={"tumor": RegionScore(0.0, 0.1, None, 4.0, 3.0)}),
    scan(
        "x_1",
        "x",
        0.8,
        regions={"tumor": RegionScore(0.8, 0.4, 6.0, 1.0, 2.0)},
        slices=SliceScores(30, 90.0, 80.0, {"tumor": 1.0}, {"tumor": 6}),
        lesions={"tumor": FOUND},
        calibration={"tumor": WRONG},
        native={"tumor": RegionScore(0.6, 0.3, 5.0, 1.0, 2.0)},
    ),
    scan("a", "a", 0.5),
)


def test_scores_of_a_persons_scans_are_averaged_and_volumes_added_up() -> None:
    alone, both = scores_of_persons(TWICE)
    assert (alone.patient, both.patient, both.person) == ("a", "x", None)
    region = both.regions["tumor"]
    assert (region.dice, region.surface_dice) == pytest.approx((0.5, 0.25))
    assert (region.hd95, region.truth_volume, region.predicted_volume) == (6.0, 5.0, 5.0)
    assert alone.regions == TWICE[2].regions
    own = both.native["tumor"]
    assert (own.dice, own.surface_dice, own.hd95, own.truth_volume) == pytest.approx((0.3, 0.2, 5.0, 5.0))


def test_slices_weigh_the_same_whichever_scan_they_are_of() -> None:
    slices = scores_of_persons(TWICE)[1].slices
    assert (slices.slices, slices.capstone_iou, slices.foreground_iou["tumor"]) == pytest.approx((40, 80.0, 0.875))


def test_lesions_of_all_scans_are_pooled() -> None:
    found = scores_of_persons(TWICE)[1].lesions["tumor"]
    assert (found.lesions, found.images) == ((3.0, 2.0, 1.0), 12)
    assert [candidate.hit for candidate in found.candidates] == [None, 2]


def test_the_calibration_of_all_scans_is_of_all_their_voxels() -> None:
    found = scores_of_persons(TWICE)[1].calibration["tumor"]
    assert found.brier == pytest.approx((SURE.brier + WRONG.brier) / 2)
    assert expected_calibration_errors([found]) == pytest.approx(expected_calibration_errors([SURE, WRONG]))


def test_a_run_without_a_table_stays_as_it_is() -> None:
    arm = Arm(training_set="real", segmenter="light", fraction=1.0, cell=0)
    run = ArmScores(arm, (scan("b", None, 0.2), scan("a", None, 0.4)), 0.5, 3, 1.0, 3)
    assert of_persons(run) is run
    merged = of_persons(replace(run, patients=TWICE))
    assert [score.patient for score in merged.patients] == ["a", "x"]
    assert of_persons(merged) is merged


def test_what_is_of_millimeters_is_unknown_where_no_scan_has_it() -> None:
    nominal = {"tumor": RegionScore(0.4, None, None, 1.0, 1.0)}
    (found,) = scores_of_persons([scan("x_1", "x", 0.2, regions=nominal), scan("x_2", "x", 0.2, regions=nominal)])
    assert (found.regions["tumor"].dice, found.regions["tumor"].surface_dice) == (0.4, None)
