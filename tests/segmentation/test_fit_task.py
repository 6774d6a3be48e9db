from __future__ import annotations

from pathlib import Path

import numpy as np

from nephrite.config import IGNORED
from nephrite.segmentation.fit_task import Cohort
from nephrite.store.slices import PairStore, SliceRef
from nephrite.training.pseudo_labels import PseudoLabels


def test_a_cohort_gives_the_slices_of_its_patients_in_the_order_of_the_store(pairs: Path) -> None:
    store = PairStore(pairs)
    slices = Cohort(store, ["b1", "a2"]).slices()
    assert slices == [SliceRef(name, place) for name in ("a2", "b1") for place in range(6)]
    assert Cohort(store, ["b1", "a2"], most=3).slices() == [slices[0], slices[6], slices[11]]


def test_a_cohort_knows_which_of_its_slices_hold_a_class(pairs: Path) -> None:
    store = PairStore(pairs)
    maps = np.zeros((3, 32, 32), np.uint8)
    maps[0, 1, 1], maps[1] = 1, IGNORED
    assert Cohort(PseudoLabels(store, {"a1": maps}), ["a1"]).holds().tolist() == [True, False, False]
    truth = [bool(store.label(ref.patient)[ref.position].any()) for ref in Cohort(store, ["a2", "b1"]).slices()]
    assert Cohort(store, ["a2", "b1"]).holds().tolist() == truth
