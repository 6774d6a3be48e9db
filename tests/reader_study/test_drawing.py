from __future__ import annotations

from collections import Counter
from pathlib import Path

import numpy as np
import pytest

from nephrite.errors import StoreError
from nephrite.reader_study.drawing import Draw, Pool, check_stores, draw_slices
from nephrite.store.slices import PairStore, Patient, Provenance, SliceRef
from tests.conftest import SPLITS, finish, hash_again, write_pair, write_synthetic


def draw(pairs: Path, synthetic: Path, count: int, *, per_patient: int | None = None, seed: int = 0) -> Draw:
    return draw_slices(PairStore(pairs), PairStore(synthetic), count=count, per_patient=per_patient, seed=seed)


def write_sources(root: Path, sources: tuple[str, ...]) -> Path:
    """A synthetic store of a patient for each source."""
    for number, source in enumerate(sources):
        provenance = Provenance(source, tuple(range(6)), (None,) * 6, "synthesizer-1", sources)
        write_pair(
            root, Patient(f"synthetic-{source}", (4.0, 2.0, 2.0), "IPL", (-200.0, 200.0), provenance=provenance), number
        )
    finish(root, "synthetic", {f"synthetic-{source}": "train" for source in sources})
    return root


def present(store: PairStore, patient: str, position: int) -> bool:
    return bool(store.label(patient)[position].any())


def test_a_seed_draws_as_many_of_both_kinds_and_always_the_same(pairs: Path, synthetic: Path) -> None:
    first = draw(pairs, synthetic, 5)
    assert Counter(shown.kind for shown in first.slices) == {"real": 5, "synthetic": 5}
    assert len(set(first.slices)) == 10
    assert draw(pairs, synthetic, 5) == first
    others = [draw(pairs, synthetic, 5, seed=seed).slices for seed in range(1, 6)]
    assert len({*others, first.slices}) == 6
    kinds = {tuple(shown.kind for shown in slices) for slices in others}
    assert len(kinds) > 1  # the place says nothing of the kind


def test_real_slices_are_of_others_than_those_from_whom_the_synthetic_derive(pairs: Path, synthetic: Path) -> None:
    found = draw(pairs, synthetic, 6)
    assert {shown.patient for shown in found.slices if shown.kind == "real"} == {"b1", "b2", "c1", "c2"}
    assert (found.derived, found.real_patients, found.synthetic_patients) == (0, 4, 1)


def test_where_no_others_are_left_it_is_counted(pairs: Path, tmp_path: Path) -> None:
    known = tuple(patient for patient in SPLITS if patient != "c2")
    found = draw(pairs, write_synthetic(tmp_path / "all", "a1", known), 6)
    # of the one patient who is left, as many slices as match: five hold both classes, and one none
    assert found.derived == 0
    found = draw(pairs, write_synthetic(tmp_path / "every", "a1", tuple(SPLITS)), 6)
    assert found.derived == 6


def test_real_slices_hold_the_same_classes_as_the_synthetic_ones(pairs: Path, synthetic: Path) -> None:
    real, fakes = PairStore(pairs), PairStore(synthetic)
    for seed in range(5):
        found = draw(pairs, synthetic, 4, seed=seed)
        held = Counter(
            (shown.kind, present(real if shown.kind == "real" else fakes, shown.patient, shown.position))
            for shown in found.slices
        )
        assert held["real", True] == held["synthetic", True]
        assert found.unmatched == 0


def test_other_classes_are_taken_where_no_slice_matches_and_counted(
    pairs: Path, synthetic: Path, take_away: object
) -> None:
    for split in ("train", "validation", "test"):
        assert callable(take_away)
        take_away(split, 2)
    found = draw(pairs, synthetic, 6)
    assert found.unmatched == 5


def test_both_kinds_are_spread_evenly_over_patients(pairs: Path, tmp_path: Path) -> None:
    synthetic = write_sources(tmp_path / "many", ("a1", "a2", "a3"))
    found = draw(pairs, synthetic, 6)
    fakes = Counter(shown.patient for shown in found.slices if shown.kind == "synthetic")
    assert set(fakes.values()) == {2}
    reals = Counter(shown.patient for shown in found.slices if shown.kind == "real")
    assert max(reals.values()) == 2
    assert len(reals) == 4


def test_no_more_of_a_patient_than_asked_for(pairs: Path, synthetic: Path, tmp_path: Path) -> None:
    many = write_sources(tmp_path / "many", ("a1", "a2", "a3"))
    found = draw(pairs, many, 3, per_patient=1)
    assert len({shown.patient for shown in found.slices}) == 6
    with pytest.raises(
        StoreError,
        match=r"has 1 synthetic slice to show with at most 1 of a patient, and 2 .*name another store, or raise",
    ):
        draw(pairs, synthetic, 2, per_patient=1)


def test_too_few_slices_of_either_kind_are_refused(pairs: Path, tmp_path: Path) -> None:
    with pytest.raises(
        StoreError, match="has 6 synthetic slices to show, and 7 of each kind are asked for; ask for fewer: --slices 6"
    ):
        draw(pairs, write_synthetic(tmp_path / "few", "a1", ("a1",)), 7)
    many = write_sources(tmp_path / "many", tuple(SPLITS))
    finish(pairs, "real", SPLITS | dict.fromkeys(["a1", "a2", "a3", "b1", "b2", "c1"], "unlabeled"))
    content = PairStore(many).manifest
    assert content.kind == "synthetic"
    with pytest.raises(StoreError, match="has 6 real slices to show, and 7 of each kind"):
        draw(pairs, many, 7)


def test_stores_that_do_not_belong_together_are_refused(pairs: Path, synthetic: Path, tmp_path: Path) -> None:
    real, fakes = PairStore(pairs), PairStore(synthetic)
    with pytest.raises(StoreError, match="is a 'synthetic' store, not a 'real' one"):
        check_stores(fakes, fakes)
    with pytest.raises(StoreError, match="is a 'real' store, not a 'synthetic' one"):
        check_stores(real, real)
    finish(tmp_path / "none", "synthetic", {})
    with pytest.raises(StoreError, match="holds no accepted slice"):
        check_stores(real, PairStore(tmp_path / "none"))
    content = (synthetic / "store.json").read_text().replace('"inputs": {}', f'"inputs": {{"pairs": "{"0" * 64}"}}')
    (synthetic / "store.json").write_text(content)
    hash_again(synthetic)
    with pytest.raises(StoreError, match=r"made from other real slices \(digest 000000000000"):
        check_stores(real, PairStore(synthetic))


def test_a_pool_takes_whoever_was_drawn_least() -> None:
    slices = [(SliceRef("a", n), "a") for n in range(3)] + [(SliceRef("b", 0), "b")]
    drawn = Counter({"a": 1})
    pool = Pool(slices, drawn, 2, np.random.default_rng(0))
    assert [ref.patient for _ in range(4) if (ref := pool.draw())] == ["b", "a"]
    assert drawn == {"a": 2, "b": 1}
