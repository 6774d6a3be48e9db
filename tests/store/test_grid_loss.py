from __future__ import annotations

from dataclasses import asdict
from pathlib import Path

import pytest

from nephrite.store.grid_loss import GridLoss, grid_losses, loss_lines, vanished_patients, vanished_volume
from nephrite.store.slices import PairStore, Patient, read_patient, write_patient
from tests.conftest import hash_again

CLASSES = {1: "kidney", 2: "tumor"}


def patient(name: str, **volumes: tuple[float, float]) -> Patient:
    return Patient(name, (1.0, 1.0, 1.0), "IPL", (0.0, 1.0), volumes=volumes)


def test_a_loss_is_less_than_half_of_the_scans_own_volume() -> None:
    found = grid_losses(
        [patient("a", kidney=(100.0, 50.0), tumor=(10.0, 4.9)), patient("b", tumor=(10.0, 0.0)), patient("c")]
    )
    assert found == [GridLoss("a", "tumor", 10.0, 4.9), GridLoss("b", "tumor", 10.0, 0.0)]
    assert [loss.vanished for loss in found] == [False, True]


def test_lines_name_class_patients_and_volumes_vanished_first() -> None:
    losses = [GridLoss("a", "kidney", 9000, 4000), GridLoss("b", "tumor", 90, 0), GridLoss("c", "tumor", 50, 0)]
    assert loss_lines(losses, 14, "test patient") == [
        "tumor vanished on the grid in 2 of 14 test patients: b (0.09 to 0 ml), c (0.05 to 0 ml).",
        "kidney shrank on the grid to less than half in 1 of 14 test patients: a (9 to 4 ml).",
    ]
    assert loss_lines([], 14, "patient") == []


def test_long_lines_are_cut() -> None:
    losses = [GridLoss(f"p{number}", "tumor", 90, 0) for number in range(20)]
    assert loss_lines(losses, 20, "patient")[0].endswith("p7 (0.09 to 0 ml) and 12 more.")


@pytest.mark.parametrize(
    ("volumes", "values", "wanted"),
    [
        ({"tumor": (90.0, 0.0)}, (2,), 0.09),
        ({"tumor": (90.0, 1.0)}, (2,), 0),
        ({"tumor": (90.0, 0.0), "kidney": (10.0, 0.0)}, (1, 2), 0.1),
        ({"tumor": (90.0, 0.0), "kidney": (10.0, 5.0)}, (1, 2), 0),
        ({"kidney": (10.0, 5.0)}, (2,), 0),
        ({}, (1, 2), 0),
    ],
)
def test_a_region_vanished_if_nothing_of_any_of_its_classes_is_left(
    volumes: dict[str, tuple[float, float]], values: tuple[int, ...], wanted: float
) -> None:
    assert vanished_volume(patient("a", **volumes), CLASSES, values) == pytest.approx(wanted)


def test_patients_of_a_store_whose_region_vanished(pairs: Path) -> None:
    for name in ("a1", "c1"):
        known = asdict(read_patient(pairs, name)) | {"volumes": {"tumor": (90.0, 0.0)}, "provenance": None}
        write_patient(pairs, Patient(**known))
    hash_again(pairs)
    assert vanished_patients(PairStore(pairs), ["a1", "a2", "c1"], [2]) == {"a1", "c1"}
