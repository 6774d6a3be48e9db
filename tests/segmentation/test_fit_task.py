from __future__ import annotations

from pathlib import Path

from nephrite.segmentation.fit_task import Cohort
from nephrite.store.slices import PairStore, SliceRef


def test_a_cohort_gives_the_slices_of_its_patients_in_the_order_of_the_store(pairs: Path) -> None:
    store = PairStore(pairs)
    slices = Cohort(store, ["b1", "a2"]).slices()
    assert slices == [SliceRef(name, place) for name in ("a2", "b1") for place in range(6)]
    assert Cohort(store, ["b1", "a2"], most=3).slices() == [slices[0], slices[6], slices[11]]
