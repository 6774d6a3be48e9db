from __future__ import annotations

from pathlib import Path

from nephrite.store.slices import Patient
from nephrite.store.volume_range import volume_ranges
from tests.conftest import finish, write_pair

SIZES = {"a1": {"kidney": (2000.0, 1.0), "tumor": (5.0, 1.0)}, "a2": {"kidney": (900.0, 1.0)}}


def test_the_smallest_and_the_largest_volume_of_each_class_are_found(tmp_path: Path) -> None:
    for number, (name, volumes) in enumerate(SIZES.items()):
        write_pair(tmp_path, Patient(name, (4.0, 2.0, 2.0), "IPL", (-200.0, 200.0), volumes=volumes), number)
    store = finish(tmp_path, "real", dict.fromkeys(SIZES, "train"))
    assert volume_ranges(store, ["a1", "a2"]) == {"kidney": (900.0, 2000.0), "tumor": (0.0, 5.0)}
    assert volume_ranges(store, ["a2"]) == {"kidney": (900.0, 900.0)}
    assert volume_ranges(store, []) == {}
