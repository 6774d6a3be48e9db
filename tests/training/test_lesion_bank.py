from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from nephrite.errors import ConfigError
from nephrite.store.slices import PairStore
from nephrite.training.lesion_bank import fill_bank

KIDNEY_TUMORS = {2: 1}


def test_the_bank_holds_the_lesions_of_the_slices(pairs: Path) -> None:
    store = PairStore(pairs)
    bank = fill_bank(store, store.slices("train"), KIDNEY_TUMORS, place="arm")
    assert {lesion.patient for lesion in bank.lesions} == {"a1", "a2", "a3"}


def test_no_lesion_to_cut_out_is_an_error(pairs: Path, take_away: Callable[[str, int], None]) -> None:
    take_away("train", 2)
    store = PairStore(pairs)
    with pytest.raises(
        ConfigError, match=r"arm: pastes \['tumor'\], and its 3 patients have none that is large enough"
    ):
        fill_bank(store, store.slices("train"), KIDNEY_TUMORS, place="arm")


def test_patients_without_the_organ_cannot_take_a_lesion(pairs: Path, take_away: Callable[[str, int], None]) -> None:
    take_away("train", 1)
    store = PairStore(pairs)
    with pytest.raises(ConfigError, match=r"no slice with \['kidney'\] of its 3 patients could take one; take more"):
        fill_bank(store, store.slices("train"), KIDNEY_TUMORS, place="arm")
    assert fill_bank(store, store.slices("train"), {2: None}, place="arm").lesions


def test_a_patient_takes_no_lesion_of_their_own(pairs: Path) -> None:
    store = PairStore(pairs)
    own = [ref for ref in store.slices("train") if ref.patient == "a1"]
    with pytest.raises(ConfigError, match=r"of its 1 patients could take one"):
        fill_bank(store, own, KIDNEY_TUMORS, place="arm")


def test_lesions_may_be_for_other_patients_than_they_come_from(
    pairs: Path, take_away: Callable[[str, int], None]
) -> None:
    store = PairStore(pairs)
    slices, classes = store.slices_of(["a1"]), {2: 1}
    with pytest.raises(ConfigError, match="no slice with"):
        fill_bank(store, slices, classes, place="arm x")
    assert fill_bank(store, slices, classes, place="arm x", onto=["a2", "a3"]).lesions
