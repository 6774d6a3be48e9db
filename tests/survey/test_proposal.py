from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from nephrite.survey.proposal import is_nominal, lesions_of, propose
from nephrite.survey.survey import Survey
from tests.survey.conftest import CASE, KIDNEY, TUMOR

Found = Callable[..., Survey]


def values(found: Survey) -> dict[str, Any]:
    return {line.key: line.value for line in propose(found)}


def reasons(found: Survey) -> dict[str, str]:
    return {line.key: line.why for line in propose(found)}


def test_a_tumor_decides_and_is_drawn_into_the_organ(found: Found) -> None:
    said = values(found())
    assert said["trial.primary"] == "tumor"
    assert said["prepare.lesions"] == {"tumor": "kidney"}
    assert said["prepare.classes"] == {1: "kidney", 2: "tumor"}
    assert said["evaluate.regions"] == {"tumor": {"labels": [2]}, "kidney": {"labels": [1, 2]}}
    assert "real+standard+copy_paste" in said["trial.training_sets.real"]
    assert said["train_gan.painted.method"] == {"kind": "lesion_painter"}
    assert said["promote.model"] == "nephrite-my_scans"


def test_without_a_lesion_the_contrast_is_redrawn(found: Found) -> None:
    said = values(found(names={1: "liver"}, classes={1: KIDNEY}))
    assert said["trial.primary"] == "liver"
    assert said["prepare.lesions"] == {}
    assert said["trial.synthesizers"] == ["recontrast"]
    assert said["train_gan.recontrast.method"] == {"kind": "recontrast"}
    assert "real+standard+copy_paste" not in said["trial.training_sets.real"]


@pytest.mark.parametrize(
    ("names", "classes", "lesions"),
    [
        ({1: "lung", 2: "nodule"}, {1: KIDNEY, 2: replace(TUMOR, inside=0)}, {"nodule": None}),
        ({}, {1: KIDNEY, 2: TUMOR}, {"class_2": "class_1"}),
        ({}, {1: KIDNEY, 2: replace(TUMOR, voxels=4000)}, {}),
        ({}, {1: KIDNEY, 2: replace(TUMOR, inside=0)}, {}),
        ({1: "kidney", 2: "left_kidney"}, {1: replace(KIDNEY, inside=2), 2: replace(KIDNEY, inside=1)}, {}),
    ],
)
def test_lesions_are_known_by_name_or_by_place_and_size(
    found: Found, names: dict[int, str], classes: dict[int, Any], lesions: dict[str, str | None]
) -> None:
    survey = found(names=names, classes=classes)
    assert lesions_of(survey, {value: names.get(value, f"class_{value}") for value in classes})[0] == lesions


def test_values_without_a_name_are_told(found: Found) -> None:
    assert "[2] have no name here: --class 2=kidney" in reasons(found(names={1: "kidney"}))["prepare.classes"]


@pytest.mark.parametrize(
    ("changes", "window"),
    [
        ({}, {"kind": "window", "center": 40.0, "width": 400.0}),
        (
            {"classes": {1: replace(KIDNEY, low=-900.0, high=-500.0)}},
            {"kind": "window", "center": -700.0, "width": 700.0},
        ),
        ({"least": 0.0, "most": 255.0}, {"kind": "window", "center": 127.5, "width": 255}),
        ({"least": 0.0, "most": 1.0}, {"kind": "percentile"}),
        ({"least": 0.0, "most": 3000.0}, {"kind": "percentile"}),
    ],
)
def test_the_window_follows_from_the_intensities(found: Found, changes: dict[str, Any], window: dict[str, Any]) -> None:
    assert values(found(names={}, **changes))["prepare.intensity"] == window


def test_whole_slices_fit_the_grid_and_lost_lesions_are_told(found: Found) -> None:
    assert values(found())["prepare.in_plane"] == {"kind": "resample", "spacing": 3.2, "size": 128}
    tiny = {1: KIDNEY, 2: replace(TUMOR, pieces=(500, 1))}
    assert reasons(found(classes=tiny))["prepare.in_plane"] == (
        "410 mm across in 128 pixels; 40 of 80 lesions are then less than 2 pixels across"
    )


def test_made_up_voxel_sizes_are_told_from_measured_ones(found: Found) -> None:
    nominal = found(unit_given=False, spacing=(1.0, 1.0, 1.0), shape=(3, 128, 128))
    assert is_nominal(nominal)
    said = values(nominal)
    assert said["prepare.spacing"] == "nominal"
    assert said["prepare.in_plane"] == {"kind": "resize", "size": 128}
    assert said["train_gan.painted.method"]["slices"] == "apart"
    assert not is_nominal(found())
    assert not is_nominal(found(count=1, unit_given=False))
    other = replace(CASE, unit_given=False, spacing=(3.0, 0.8, 0.8))
    assert not is_nominal(Survey(nominal.folder, [*nominal.cases, other], [], {}, {}))


@pytest.mark.parametrize(
    ("patients", "test", "told"),
    [(100, 0.3, "100 patients"), (20, 0.4, "20 patients"), (14, 0.58, "14 patients"), (10, 0.6, "below 8")],
)
def test_enough_patients_are_tested_where_there_are_enough(found: Found, patients: int, test: float, told: str) -> None:
    survey = found(count=patients)
    shares = values(survey)["prepare.split"]
    assert shares["test"] == test
    assert sum(shares.values()) == pytest.approx(1)
    assert told in reasons(survey)["prepare.split"]
    assert ("no verdict" in reasons(survey)["prepare.split"]) == (told == "below 8")
