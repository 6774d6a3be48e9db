from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from nephrite.config import Config
from nephrite.errors import StoreError
from nephrite.files import read_json, write_json
from nephrite.report.examples import _source, draw_examples
from nephrite.store.slices import PairStore
from tests.conftest import hash_again


def test_the_slices_with_most_of_the_primary_region_are_shown(
    load: Callable[..., Config], pairs: Path, synthetic: Path, tmp_path: Path
) -> None:
    assert [*draw_examples(load(), pairs, synthetic, tmp_path).values()] == ["figures/examples.png"]
    with Image.open(tmp_path / "figures" / "examples.png") as image:
        assert np.asarray(image).std() > 10


def test_a_slice_whose_source_is_not_known_is_refused(
    load: Callable[..., Config], pairs: Path, synthetic: Path, tmp_path: Path
) -> None:
    (meta,) = synthetic.glob("patients/*/meta.json")
    write_json(meta, read_json(meta) | {"provenance": None})
    hash_again(synthetic)
    with pytest.raises(StoreError, match="'synthetic-a1' has no provenance"):
        draw_examples(load(), pairs, synthetic, tmp_path)


def test_beside_a_slice_that_is_nobodys_stands_the_fullest_training_slice(
    load: Callable[..., Config], pairs: Path, synthetic: Path, tmp_path: Path
) -> None:
    (meta,) = synthetic.glob("patients/*/meta.json")
    content = read_json(meta)
    write_json(meta, content | {"provenance": content["provenance"] | {"source_patient": None, "brought": "maisi"}})
    hash_again(synthetic)
    assert [*draw_examples(load(), pairs, synthetic, tmp_path).values()] == ["figures/examples.png"]
    known, store = PairStore(synthetic).patient("synthetic-a1").provenance, PairStore(pairs)
    assert known is not None
    shown = _source(store, known, 0)
    assert store.splits[shown.patient] == "train"
    fullest = max(np.count_nonzero(store.label(patient)[place]) for patient, place in store.slices("train"))
    assert np.count_nonzero(store.label(shown.patient)[shown.position]) == fullest
