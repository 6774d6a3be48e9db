from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from nephrite.config import Config, ForeignSettings, ProvenanceSettings
from nephrite.errors import SourceError, StoreError
from nephrite.imaging.layouts.pairing import Pair
from nephrite.store.brought.sources import (
    StoredFake,
    check_sets,
    find_fakes,
    open_fake,
    stored_provenance,
    unverifiable_sets,
    values_of,
)
from nephrite.store.slices import PairStore, Patient, Provenance
from tests.conftest import finish, write_pair
from tests.foreign_sets import write_maisi

Load = Callable[..., Config]


def test_files_and_stores_are_told_apart(synthetic: Path, tmp_path: Path) -> None:
    files = find_fakes(write_maisi(tmp_path / "maisi", 2), ForeignSettings())
    assert [type(fake) for fake in files] == [Pair, Pair]
    assert find_fakes(synthetic, ForeignSettings()) == [StoredFake("synthetic-a1", synthetic)]


def test_real_slices_and_empty_stores_are_refused(pairs: Path, tmp_path: Path) -> None:
    with pytest.raises(StoreError, match="store of real slices"):
        find_fakes(pairs, ForeignSettings())
    finish(tmp_path / "empty", "synthetic", {})
    with pytest.raises(SourceError, match="holds no slice"):
        find_fakes(tmp_path / "empty", ForeignSettings())


def test_a_store_is_read_in_its_own_units_and_its_classes_by_name(load: Load, synthetic: Path) -> None:
    settings = load("prepare.classes={1: tumor, 2: kidney}").prepare
    (fake,) = find_fakes(synthetic, ForeignSettings())
    assert values_of(ForeignSettings(), fake, settings) == {1: 2, 2: 1}
    volume = open_fake(fake, ForeignSettings(), settings)
    store = PairStore(synthetic)
    label = np.concatenate([block for _, block in volume.label_blocks(2, settings.classes)])
    image = np.concatenate([block for _, block in volume.image_blocks(2)])
    assert np.array_equal(label == 2, store.label("synthetic-a1") == 1)
    assert np.array_equal(image, store.image("synthetic-a1"))
    assert (volume.spacing, volume.orientation) == ((4.0, 2.0, 2.0), "IPL")


def test_what_a_store_knows_of_its_patients_is_told_on(synthetic: Path) -> None:
    told = stored_provenance(synthetic, ProvenanceSettings(license="mine"))
    assert told.trained_on.patients == told.masks_from.patients == ("a1", "a2", "a3")
    assert (told.generator, told.license) == ("nephrite", "mine")


def test_doubts_are_told_on(tmp_path: Path) -> None:
    known = Provenance(None, (0,) * 6, (None,) * 6, "id", (), brought="maisi", unverifiable=True)
    write_pair(tmp_path, Patient("synthetic-x", (4.0, 2.0, 2.0), "IPL", (-200.0, 200.0), provenance=known), 1)
    store = finish(tmp_path, "synthetic", {"synthetic-x": "train"})
    assert unverifiable_sets(store) == ["maisi"]
    assert not stored_provenance(tmp_path, ProvenanceSettings()).trained_on.is_told


def test_slices_that_were_painted_here_leave_no_doubt(synthetic: Path) -> None:
    assert unverifiable_sets(PairStore(synthetic)) == []


def test_sets_are_looked_at_before_anything_is_copied(load: Load, tmp_path: Path) -> None:
    folder = write_maisi(tmp_path / "maisi", 2)
    config = load(f"acquire.synthetic={{maisi: {{path: {folder}}}}}")
    check_sets(config.acquire)
    (folder / "provenance.json").write_text("{")
    with pytest.raises(StoreError, match="JSON"):
        check_sets(config.acquire)
    (folder / "sample_1_label.nii.gz").unlink()
    with pytest.raises(SourceError, match="pairs with nothing"):
        check_sets(config.acquire)
