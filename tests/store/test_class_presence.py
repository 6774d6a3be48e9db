from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from nephrite.errors import ConfigError
from nephrite.store.class_presence import absent_classes, demand_holders, held, holders
from nephrite.store.slices import PairStore, write_patient
from tests.conftest import hash_again


def test_holders_are_the_patients_with_a_pixel_of_any_value(pairs: Path, take_away: Callable[[str, int], None]) -> None:
    take_away("train", 2)
    store = PairStore(pairs)
    assert holders(store, ["b1", "a1"], [2]) == ["b1"]
    assert holders(store, ["b1", "a1"], [1, 2]) == ["a1", "b1"]
    assert absent_classes(store, ["a1", "a2"]) == ["tumor"]
    assert not absent_classes(store, ["a1", "b1"])


def test_a_region_that_no_patient_has_is_an_error(pairs: Path, take_away: Callable[[str, int], None]) -> None:
    take_away("test", 2)
    store, told = PairStore(pairs), {"region": "tumor", "who": "test patients", "remedy": "add some"}
    demand_holders(store, store.patients(), [2], **told)
    with pytest.raises(
        ConfigError, match=r"^trial.primary: 'tumor' with labels \[2\] is in none of the 2 test .*; add"
    ):
        demand_holders(store, store.patients("test"), [2], **told)


def test_a_class_that_vanished_on_the_grid_is_there(pairs: Path, take_away: Callable[[str, int], None]) -> None:
    take_away("test", 2)
    store = PairStore(pairs)
    assert held(store, ["c1"], [1])
    assert not held(store, ["c1"], [2])
    write_patient(pairs, replace(store.patient("c1"), volumes={"tumor": (90.0, 0.0)}))
    hash_again(pairs)
    assert held(PairStore(pairs), ["c1"], [2])
    assert not held(PairStore(pairs), ["c2"], [2])
