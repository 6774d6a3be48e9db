from __future__ import annotations

from pathlib import Path

import pytest

from nephrite.segmentation.fit_task import Cohort, thin
from nephrite.store.slices import PairStore, SliceRef


@pytest.mark.parametrize(("most", "expected"), [(3, [0, 2, 5]), (6, [0, 1, 2, 3, 4, 5]), (9, [0, 1, 2, 3, 4, 5])])
def test_thinning_takes_evenly(most: int, expected: list[int]) -> None:
    assert thin(range(6), most) == expected


def test_a_cohort_gives_the_slices_of_its_patients_in_the_order_of_the_store(pairs: Path) -> None:
    store = PairStore(pairs)
    slices = Cohort(store, ["b1", "a2"]).slices()
    assert slices == [SliceRef(name, place) for name in ("a2", "b1") for place in range(6)]
    assert Cohort(store, ["b1", "a2"], most=3).slices() == [slices[0], slices[6], slices[11]]
