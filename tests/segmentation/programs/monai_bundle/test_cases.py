from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from nephrite.programs.case_folders import Case, Wanted, write_cases
from nephrite.segmentation.backend import StoredScan
from nephrite.segmentation.programs.monai_bundle.cases import open_folder
from nephrite.store.slices import PairStore


def test_intensities_end_at_0_and_1_and_labels_are_counted(pairs: Path, tmp_path: Path) -> None:
    store = PairStore(pairs)
    label = np.where(np.asarray(store.label("a1")) == 2, 7, np.asarray(store.label("a1"))).astype(np.uint8)
    wanted = Wanted({"kidney": (1, 7), "tumor": (7,)})
    write_cases(tmp_path, [Case("a1", StoredScan(store, "a1"), label)], wanted)
    folder = open_folder(tmp_path)
    assert folder.values == [1, 7]
    assert folder.channels == {"kidney": [1, 7], "tumor": [7]}
    ((image, classes),) = folder.cases([1, 7])
    assert pytest.approx(StoredScan(store, "a1").windowed(range(6)), abs=1e-4) == image.T
    assert np.array_equal(classes.T, store.label("a1"))  # 7 is the second class


def test_scans_without_labels_lie_apart(pairs: Path, tmp_path: Path) -> None:
    store = PairStore(pairs)
    write_cases(tmp_path, [Case("c1", StoredScan(store, "c1"))], Wanted({"kidney": (1,)}))
    ((name, file, image),) = open_folder(tmp_path).scans()
    assert (name, file.shape) == ("c1", (32, 32, 6))
    assert image.dtype == np.dtype(np.float32)
