from __future__ import annotations

import csv
from pathlib import Path

import numpy as np

from nephrite.generation.book import EDITS, OVERLAP, Book
from nephrite.generation.conditioning import Request
from nephrite.generation.requests import Asked
from nephrite.generation.source_slices import Pass
from nephrite.store.slices import PairStore
from nephrite.synthesis.edits import LesionEdit


def rows(path: Path) -> list[dict[str, str]]:
    with path.open() as file:
        return [*csv.DictReader(file)]


def test_a_mask_as_it_is_is_its_own_neighbor_and_another_is_looked_up(pairs: Path, tmp_path: Path) -> None:
    store = PairStore(pairs)
    book, label = Book(store, ["a1", "a2"]), np.array(store.label("a1")[1:3])
    edit = LesionEdit("added", 2, True, "inside", "small", 6.0)
    book.enter("same", Asked(Pass("a3", 1, (1, 2)), Request(label)))
    book.enter("new", Asked(Pass("a3", 2, (1, 2)), Request(label), seed=5, edits=(edit,)))
    book.enter_brought("brought", label)
    book.write(tmp_path)
    found = {(row["patient"], row["slice"]): row for row in rows(tmp_path / OVERLAP)}
    assert (found["same", "0"]["nearest_patient"], found["same", "0"]["dice"]) == ("a3", "1.0")
    for name in ("new", "brought"):
        assert [found[name, n]["nearest_patient"] for n in "01"] == ["a1", "a1"]
        assert [found[name, n]["nearest_slice"] for n in "01"] == ["1", "2"]
    assert [row["class"] for row in rows(tmp_path / EDITS)] == ["tumor"]
    metrics = {"slices": 6.0, "patients": 3.0, "edited_lesions": 1.0, "nearest_mask_dice": 1.0}
    assert book.metrics == metrics
