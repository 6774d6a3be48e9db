from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from nephrite.errors import StoreError
from nephrite.store.arrays import create_arrays
from nephrite.store.runs import count_outside, runs_of, volumes_of
from nephrite.store.slices import PairStore, Patient, Provenance, write_patient
from tests.conftest import SIZE, finish

REAL = Patient("a1", (4.0, 2.0, 2.0), "IPL", (-200.0, 200.0))


def painted(root: Path, **sources: tuple[int, ...]) -> PairStore:
    """A synthetic store; of each patient, which slices of the source were painted."""
    for name, positions in sources.items():
        create_arrays(root, f"synthetic-{name}", (len(positions), SIZE, SIZE))
        provenance = Provenance(name, positions, (None,) * len(positions), "synthesizer-1", ("a1",))
        write_patient(root, replace(REAL, patient=f"synthetic-{name}", provenance=provenance))
    return finish(root, "synthetic", {f"synthetic-{name}": "train" for name in sources})


def test_a_real_scan_is_one_run_however_short_it_is(pairs: Path) -> None:
    store = PairStore(pairs)
    assert runs_of(store, "a1") == [("a1", range(6))]
    assert volumes_of(store, ["a1", "b1"]) == [("a1", range(6)), ("b1", range(6))]


def test_painted_slices_are_neighbors_where_their_sources_are(tmp_path: Path) -> None:
    store = painted(tmp_path, a1=(3, 4, 5, 7, 8, 12))
    assert [part for _, part in runs_of(store, "synthetic-a1")] == [range(3), range(3, 5), range(5, 6)]


def test_a_run_of_eight_painted_slices_is_a_volume_and_a_shorter_one_is_left_out(tmp_path: Path) -> None:
    store = painted(tmp_path, a1=(0, *range(5, 13), *range(20, 27)))
    assert volumes_of(store, store.patients()) == [("synthetic-a1", range(1, 9))]
    assert count_outside(store, asker="arm x") == (8, 16)


def test_slices_that_come_downwards_are_no_run(tmp_path: Path) -> None:
    store = painted(tmp_path, a1=tuple(range(9, 0, -1)))
    assert {len(part) for _, part in runs_of(store, "synthetic-a1")} == {1}


def test_scattered_slices_are_one_line(tmp_path: Path) -> None:
    store = painted(tmp_path, a1=(0, 2, 3, 4), a2=(1, 5))
    with pytest.raises(StoreError, match=r"of at most 3 neighboring slices, and arm x learns from 8 or more; paint"):
        count_outside(store, asker="arm x")
