from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from nephrite.screening.continuity import Continuity, measure_continuity
from nephrite.store.arrays import create_arrays
from nephrite.store.slices import PairStore, Patient, Provenance, SliceRef, write_patient
from tests.conftest import SIZE, finish


def painted(root: Path, source: str | None, positions: tuple[int, ...], steps: tuple[int, ...]) -> PairStore:
    """A synthetic patient whose slices are even, each brighter than the one before; the left half is no body."""
    provenance = Provenance(source, positions, (None,) * len(positions), "synthesizer-1", ("a1",))
    patient = Patient("synthetic-x", (4.0, 2.0, 2.0), "IPL", (-200.0, 200.0), provenance=provenance)
    image, _ = create_arrays(root, patient.patient, (len(positions), SIZE, SIZE))
    image[:] = -1000
    for place, level in enumerate(np.cumsum([-100, *steps])):
        image[place, :, SIZE // 2 :] = level
    write_patient(root, patient)
    return finish(root, "synthetic", {"synthetic-x": "train"})


def difference(store: PairStore, patient: str, position: int) -> float:
    one, other = store.windowed_of([SliceRef(patient, position), SliceRef(patient, position + 1)])
    return float(np.abs(one - other).mean())  # all of these slices is body


def test_the_difference_is_that_of_neighbors_in_the_body_by_the_window(pairs: Path, tmp_path: Path) -> None:
    fakes = painted(tmp_path / "fakes", "a1", (0, 1, 2), (40, -80))
    found = measure_continuity(fakes, PairStore(pairs), [])
    assert found.painted.tolist() == pytest.approx([0.1, 0.2])


def test_slices_that_are_no_neighbors_are_not_compared(pairs: Path, tmp_path: Path) -> None:
    found = measure_continuity(painted(tmp_path / "fakes", "a1", (0, 2, 3), (40, -80)), PairStore(pairs), [])
    assert found.painted.tolist() == pytest.approx([0.2])


def test_the_same_slices_of_the_source_scan_stand_beside_them(pairs: Path, tmp_path: Path) -> None:
    store = PairStore(pairs)
    found = measure_continuity(painted(tmp_path / "fakes", "a2", (3, 4), (40,)), store, store.slices("train"))
    assert found.real.tolist() == pytest.approx([difference(store, "a2", 3)], rel=1e-5)
    assert found.ratio == pytest.approx(0.1 / difference(store, "a2", 3), rel=1e-5)


def test_without_a_source_they_stand_beside_neighbors_among_the_training_slices(pairs: Path, tmp_path: Path) -> None:
    store = PairStore(pairs)
    training = [SliceRef("a1", 0), SliceRef("a1", 1), SliceRef("a1", 3)]
    found = measure_continuity(painted(tmp_path / "fakes", None, (0, 1), (40,)), store, training)
    assert found.real.tolist() == pytest.approx([difference(store, "a1", 0)], rel=1e-5)


def test_single_slices_have_no_measure(pairs: Path, tmp_path: Path) -> None:
    store = PairStore(pairs)
    found = measure_continuity(painted(tmp_path / "fakes", "a1", (0, 2), (40,)), store, store.slices("train"))
    assert found.ratio is None
    assert found.facts["painted"] == found.facts["real"] == {"pairs": 0, "p10": None, "median": None, "p90": None}


def test_quantiles_and_ratio_of_the_medians() -> None:
    facts = Continuity(np.array([0.2, 0.4, 0.3]), np.array([0.1, 0.2])).facts
    assert facts["ratio"] == pytest.approx(2)
    assert facts["painted"] == pytest.approx({"pairs": 3, "p10": 0.22, "median": 0.3, "p90": 0.38})
