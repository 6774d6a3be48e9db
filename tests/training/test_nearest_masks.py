from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from nephrite.store.slices import PairStore, SliceRef
from nephrite.training.nearest_masks import NOWHERE, Nearest, TrainingMasks


@pytest.fixture
def store(pairs: Path) -> PairStore:
    return PairStore(pairs)


def test_a_copy_finds_its_original(store: PairStore) -> None:
    found = TrainingMasks(store, ["a1", "a2"]).nearest(np.array(store.label("a2")[3:5]))
    assert [one.slice for one in found] == [SliceRef("a2", 3), SliceRef("a2", 4)]
    assert [one.dice for one in found] == pytest.approx([1, 1], abs=1e-5)


def test_a_new_mask_is_less_like_any(store: PairStore) -> None:
    (found,) = TrainingMasks(store, ["a1", "a2", "a3"]).nearest(np.roll(store.label("a1")[:1], 9, axis=1))
    assert 0 <= found.dice < 0.95


def test_masks_of_other_patients_are_not_looked_at(store: PairStore) -> None:
    found = TrainingMasks(store, ["a1"]).nearest(np.array(store.label("b1")[:5]))
    assert {one.slice.patient for one in found} == {"a1"}


def test_an_empty_mask_is_a_copy_of_an_empty_one(store: PairStore) -> None:
    (found,) = TrainingMasks(store, ["a1", "a2"]).nearest(np.array(store.label("a2")[5:]))
    assert (found.dice, found.slice) == (1, SliceRef("a1", 5))


def test_masks_are_those_with_a_class_and_one_empty_one(store: PairStore) -> None:
    assert TrainingMasks(store, ["a1", "a2"]).slices == [
        *(SliceRef(patient, place) for patient in ("a1", "a2") for place in range(5)),
        SliceRef("a1", 5),
    ]


def test_without_labels_there_is_nothing_that_a_mask_is_like(store: PairStore) -> None:
    found = TrainingMasks(store, []).nearest(np.array(store.label("a2")[:2]))
    assert found == [Nearest(0.0, NOWHERE)] * 2
