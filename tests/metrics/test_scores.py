from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest

from nephrite.errors import StoreError, TrialError
from nephrite.evidence import sealed
from nephrite.metrics.scores import (
    ArmScores,
    SliceScores,
    dice_by_patient,
    mean_over_slices,
    score_regions,
    score_slices,
)


@pytest.fixture
def scores(make_arm: Callable[..., ArmScores]) -> ArmScores:
    return make_arm("real", "light", 0, {"case_b": 0.25, "case_a": 0.0})


def test_regions_are_scored_with_their_own_tolerance_and_volume() -> None:
    truth = np.zeros((6, 10, 10), dtype=bool)
    truth[1:5, 2:6, 2:6] = True
    shifted = np.roll(truth, 1, axis=1)
    masks = ({"loose": shifted, "strict": shifted}, {"loose": truth, "strict": truth})
    found = score_regions(*masks, spacing=(5.0, 2.0, 2.0), tolerances={"loose": 3.0, "strict": 1.0})
    assert found["loose"].surface_dice == 1
    assert found["strict"].surface_dice != 1
    assert found["strict"].truth_volume == pytest.approx(64 * 0.02)
    assert found["strict"].dice == pytest.approx(0.75)


def test_slices_are_averaged_and_a_class_that_is_nowhere_has_no_iou() -> None:
    truth = np.zeros((2, 2, 10, 10), dtype=bool)
    truth[0, 0, :2] = True
    found = score_slices(truth, truth, channels=["kidney", "tumor"])
    assert found.capstone_iou == 100
    assert found.predict_nothing == pytest.approx((45 + 100) / 2)
    assert found.foreground_iou == {"kidney": 1.0, "tumor": None}
    assert found.foreground_slices == {"kidney": 1, "tumor": 0}


def test_patients_weigh_by_their_slices() -> None:
    short = SliceScores(1, 100.0, 50.0, {"kidney": 1.0}, {"kidney": 1})
    long = SliceScores(3, 60.0, 50.0, {"kidney": None}, {"kidney": 0})
    pooled = mean_over_slices([short, long])
    assert (pooled.slices, pooled.capstone_iou, pooled.predict_nothing) == (4, 70, 50)
    assert pooled.foreground_iou == {"kidney": 1.0}


def test_scores_survive_their_file(scores: ArmScores) -> None:
    content = json.loads(json.dumps(scores.to_json(), allow_nan=False))
    assert ArmScores.from_json(content, "scores.json") == scores


def test_another_version_is_refused(scores: ArmScores) -> None:
    with pytest.raises(StoreError, match=r"scores\.json: scores have version 0, not 5"):
        ArmScores.from_json(scores.to_json() | {"version": 0}, "scores.json")


@pytest.mark.parametrize("change", [{"surprise": 1}, {"patients": [{}]}, {"arm": {"cell": -1}}, {"patients": None}])
def test_broken_scores_are_refused(scores: ArmScores, change: dict[str, object]) -> None:
    with pytest.raises(StoreError, match=r"scores\.json: scores are broken"):
        ArmScores.from_json(scores.to_json() | change, "scores.json")


def test_dice_stands_in_the_order_of_patient_ids(scores: ArmScores) -> None:
    assert dice_by_patient(scores, "tumor").tolist() == [0.0, 0.25]


def test_a_region_that_was_not_scored_is_named(scores: ArmScores) -> None:
    with pytest.raises(TrialError, match=r"real/light/1.0/0: region 'cyst' was not scored.*kidney_and_tumor"):
        dice_by_patient(scores, "cyst")


def test_a_region_that_vanished_on_the_grid_is_missed_whatever_was_found() -> None:
    nothing, something = np.zeros((2, 4, 4), bool), np.ones((2, 4, 4), bool)
    for found in (nothing, something):
        scores = score_regions(
            {"tumor": found, "organ": found},
            {"tumor": nothing, "organ": nothing},
            spacing=(5, 1, 1),
            tolerances={"tumor": 1, "organ": 1},
            vanished={"tumor": 0.09, "organ": 0.0},
        )
        assert (scores["tumor"].dice, scores["tumor"].surface_dice, scores["tumor"].hd95) == (0, 0, None)
        assert (scores["tumor"].truth_volume, scores["organ"].truth_volume) == (0.09, 0)
        assert scores["tumor"].predicted_volume == scores["organ"].predicted_volume
        assert scores["organ"].dice == (not found.any())


@pytest.mark.parametrize("lost", [0.0, 0.5])
def test_where_spacing_is_nominal_there_are_no_distances(lost: float) -> None:
    truth = np.zeros((2, 8, 8), dtype=bool)
    truth[:, 2:5, 2:5] = not lost
    score = score_regions(
        {"r": np.roll(truth, 1, axis=1)},
        {"r": truth},
        spacing=(1, 1, 1),
        tolerances={"r": 1.0},
        vanished={"r": lost},
        measured=False,
    )["r"]
    assert (score.surface_dice, score.hd95) == (None, None)
    assert score.dice == pytest.approx(0 if lost else 2 / 3)


def test_record_of_a_region_is_whole() -> None:
    truth, found = np.zeros((2, 4, 10, 10), dtype=bool)
    truth[1:3, 2:6, 2:6], found[1:3, 2:6, 2:4] = True, True
    score = score_regions({"r": found}, {"r": truth}, spacing=(5.0, 1.0, 1.0), tolerances={"r": 1.0})["r"]
    assert score.hd95 == pytest.approx(2.0)
    assert score.truth_volume == pytest.approx(32 * 0.005)
    assert score.predicted_volume == pytest.approx(16 * 0.005)


def test_means_over_slices_are_taken_for_each_channel_over_its_own_slices() -> None:
    truth = np.zeros((3, 2, 10, 10), dtype=bool)
    truth[:, 0, :4], truth[:2, 1, :2] = True, True
    predicted = truth.copy()
    predicted[0, 0, 2:4] = False  # half of the kidney in one of its three slices
    predicted[0, 1] = False  # the tumor in one of its two
    found = score_slices(predicted, truth, channels=["kidney", "tumor"])
    assert found.slices == 3
    assert found.foreground_iou == {"kidney": pytest.approx((0.5 + 1 + 1) / 3), "tumor": pytest.approx(0.5)}
    assert found.foreground_slices == {"kidney": 3, "tumor": 2}


def test_pooled_means_weigh_every_part_by_its_slices() -> None:
    short = SliceScores(1, 100.0, 10.0, {"kidney": 0.25, "tumor": None}, {"kidney": 1, "tumor": 0})
    long = SliceScores(3, 60.0, 50.0, {"kidney": 0.75, "tumor": None}, {"kidney": 3, "tumor": 0})
    pooled = mean_over_slices([short, long])
    assert pooled.predict_nothing == pytest.approx(40)
    assert pooled.foreground_iou == {"kidney": pytest.approx(0.625), "tumor": None}
    assert pooled.foreground_slices == {"kidney": 4, "tumor": 0}
    assert mean_over_slices([short]).foreground_iou == short.foreground_iou


def test_scores_of_older_versions_are_read_without_what_they_lack(scores: ArmScores) -> None:
    content = scores.to_json() | {"version": 3}
    del content["external"]
    for patient in content["patients"]:
        del patient["recall"]
    found = ArmScores.from_json(sealed(content), "scores.json")
    assert found.external == ()
    assert found.patients[0].recall == {}
    assert found == scores


def test_scores_elsewhere_survive_their_file_and_name_no_patient_twice(scores: ArmScores) -> None:
    there = replace(scores, external=(replace(scores.patients[0], patient="e1", recall={"tumor": 0.5, "cyst": None}),))
    content = json.loads(json.dumps(there.to_json(), allow_nan=False))
    assert ArmScores.from_json(content, "scores.json") == there
    twice = replace(there, external=there.external * 2)
    with pytest.raises(StoreError, match="scores 'e1' twice"):
        ArmScores.from_json(twice.to_json(), "scores.json")
