from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from nephrite.errors import StoreError
from nephrite.store.slices import PairStore, Provenance, SliceRef


def test_patients_are_listed_by_split(pairs: Path) -> None:
    store = PairStore(pairs)
    assert store.patients("test") == ["c1", "c2"]
    assert len(store.patients()) == 7


def test_slices_of_a_split_are_those_of_its_patients(pairs: Path) -> None:
    refs = PairStore(pairs).slices("validation")
    assert len(refs) == 12
    assert {ref.patient for ref in refs} == {"b1", "b2"}


def test_labeled_slices_leave_the_empty_ones_out(pairs: Path) -> None:
    refs = PairStore(pairs).slices("train", labeled_only=True)
    assert len(refs) == 15
    assert all(ref.position != 5 for ref in refs)


def test_index_counts_pixels_per_class(pairs: Path) -> None:
    first = PairStore(pairs).index[0]
    assert (first["kidney"], first["tumor"]) == (144 - 36, 36)


def test_a_slice_is_windowed_when_it_is_read(pairs: Path) -> None:
    store = PairStore(pairs)
    plane = store.windowed(SliceRef("a1", 2))
    expected = (store.image("a1")[2].astype(float) + 200) / 400
    assert np.allclose(plane, expected.clip(0, 1))


def test_some_slices_come_in_the_order_asked_for(pairs: Path) -> None:
    store, refs = PairStore(pairs), [SliceRef("b1", 3), SliceRef("a1", 2)]
    assert np.array_equal(store.labels_of(refs), [store.label("b1")[3], store.label("a1")[2]])
    assert np.array_equal(store.windowed_of(refs), [store.windowed(ref) for ref in refs])


def test_arrays_are_memory_mapped_and_read_only(pairs: Path) -> None:
    image = PairStore(pairs).image("a1")
    assert isinstance(image, np.memmap)
    assert not image.flags.writeable


def test_provenance_survives_reading(synthetic: Path) -> None:
    provenance = PairStore(synthetic).patient("synthetic-a1").provenance
    assert provenance is not None
    assert provenance.patients == {"a1", "a2", "a3"}


def test_a_folder_without_manifest_is_no_store(pairs: Path) -> None:
    (pairs / "store.json").unlink()
    with pytest.raises(StoreError, match=r"store.json: is missing"):
        PairStore(pairs)


def test_another_format_is_refused(pairs: Path) -> None:
    content = json.loads((pairs / "store.json").read_text())
    (pairs / "store.json").write_text(json.dumps({**content, "format": 99}))
    with pytest.raises(StoreError, match="format"):
        PairStore(pairs)


def test_a_truncated_array_is_named(pairs: Path) -> None:
    path = pairs / "patients" / "a1" / "image.npy"
    path.write_bytes(path.read_bytes()[:40])
    with pytest.raises(StoreError, match=r"a1/image.npy: was changed: .*; run 'prepare' again"):
        PairStore(pairs)


def test_a_store_of_one_channel_says_nothing_of_channels(pairs: Path) -> None:
    store = PairStore(pairs)
    assert store.of_one_channel() is store
    assert np.array_equal(store.channel("a1", 0), store.image("a1"))
    assert "image_channels" not in (pairs / "store.json").read_text()
    assert "further" not in (pairs / "patients" / "a1" / "meta.json").read_text()


def test_provenance_of_some_slices_is_cut_in_all_that_is_told_by_slice() -> None:
    whole = Provenance("a1", (4, 5, 7), (9, 9, None), "s", ("a1",), style_patient="a2", style_slices=(1, 2, 3))
    part = whole.take([2, 0])
    assert (part.source_slices, part.deformation_seeds, part.style_slices) == ((7, 4), (None, 9), (3, 1))
    assert Provenance("a1", (4, 5), (None, None), "s", ("a1",)).take([1]).style_slices == ()


def test_labels_of_a_scan_count_as_unknown_only_if_it_is_named_among_the_scans() -> None:
    unread = Provenance("a3", (1,), (5,), "s", ("a1",), unlabeled_patients=("a3",), source_labels=False)
    assert unread.patients == {"a1"}
    assert replace(unread, unlabeled_patients=()).patients == {"a1", "a3"}
    assert replace(unread, source_labels=True).patients == {"a1", "a3"}


def test_provenance_of_some_slices_keeps_what_holds_for_all() -> None:
    whole = Provenance("a", (3, 5, 8), (None, 1, 2), "painter", ("a", "b"), ("c",))
    assert whole.take([2, 0]) == Provenance("a", (8, 3), (2, None), "painter", ("a", "b"), ("c",))


def test_slices_of_patients_are_those_of_the_split_in_the_order_of_the_index(pairs: Path) -> None:
    store = PairStore(pairs)
    found = store.slices_of(["a3", "a1", "b1"])
    assert found == [ref for ref in store.slices("train") if ref.patient != "a2"]
    assert {ref.patient for ref in store.slices_of(["a1", "b1"], split=None)} == {"a1", "b1"}
    assert len(store.slices_of(["a1"], labeled_only=True)) == 5
