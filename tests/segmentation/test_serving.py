from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from nephrite.config import Config
from nephrite.errors import StoreError
from nephrite.imaging.recipe import Recipe
from nephrite.imaging.sources import find_scans, open_scan
from nephrite.programs.settings import program_digest
from nephrite.recording import SilentRun
from nephrite.segmentation.backend import Prediction, StoredScan
from nephrite.segmentation.serving import bring_to_grid, check_servable, find_labels
from nephrite.stages.prepare import prepare
from nephrite.store.slices import PairStore
from tests.conftest import CHANNELS, CLASSES, write_case

Load = Callable[..., Config]
SPLIT = "prepare.split={train: 0.34, validation: 0.33, test: 0.33, salt: x}"


@pytest.fixture
def prepared(load: Load, tmp_path: Path) -> tuple[Recipe, PairStore]:
    """Three cases under raw/, their store, and what a segmenter of it takes."""
    for number in range(3):
        write_case(tmp_path / "raw" / f"case_{number}", number)
    config = load(SPLIT, "prepare.in_plane={kind: resize, size: 24}")
    prepare(config, SilentRun(), raw=tmp_path / "raw", pairs=tmp_path / "pairs")
    recipe = Recipe(CLASSES, CHANNELS, config.prepare.intensity, config.prepare.in_plane, 0.5)
    return recipe, PairStore(tmp_path / "pairs")


def test_a_new_scan_is_shown_as_those_of_the_store_were(prepared: tuple[Recipe, PairStore], tmp_path: Path) -> None:
    recipe, store = prepared
    for found in find_scans(tmp_path / "raw"):
        new = bring_to_grid(found.patient, open_scan(found), recipe, tmp_path / f"{found.patient}.npy", block=2)
        known = StoredScan(store, found.patient)
        assert (new.patient, new.shape, new.spacing) == (known.patient, known.shape, known.spacing)
        assert new.intensity_window == known.intensity_window
        assert np.array_equal(new.windowed(range(1, 4)), known.windowed(range(1, 4)))


def test_label_maps_come_in_order_on_the_scans_own_voxels(prepared: tuple[Recipe, PairStore], tmp_path: Path) -> None:
    recipe, _ = prepared
    volumes = {found.patient: open_scan(found) for found in find_scans(tmp_path / "raw")}

    def answer(trained: Any, scans: Any) -> Any:
        for number, scan in enumerate(scans):
            yield Prediction(np.full(scan.shape, number, np.uint8))

    trained: Any = SimpleNamespace(channels=CHANNELS, threshold=0.5, backend=SimpleNamespace(predict_all=answer))
    found = [*find_labels(trained, volumes, recipe, scratch=tmp_path, block=2)]
    assert [(mask.shape, np.unique(mask).tolist()) for mask in found] == [((5, 40, 48), [n]) for n in range(3)]
    assert not [path for path in tmp_path.iterdir() if path.name.startswith("tmp")]  # nothing of a scan stays


def test_a_program_that_was_changed_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "mine.py"
    path.write_text("1")
    asked: list[int] = []
    backend = SimpleNamespace(check_here=lambda: asked.append(1))
    known = {"program": program_digest([path])}
    card = SimpleNamespace(inputs=known, settings=SimpleNamespace(programs=(path,)), image_channels=())
    segmenter: Any = SimpleNamespace(card=card, trained=SimpleNamespace(backend=backend))
    check_servable(segmenter, "model")
    path.write_text("2")
    with pytest.raises(StoreError, match=r"^model: was trained by another version of mine\.py; bring back"):
        check_servable(segmenter, "model")
    assert asked == [1, 1]


def test_a_segmenter_of_several_channels_is_refused() -> None:
    segmenter: Any = SimpleNamespace(card=SimpleNamespace(image_channels=("T1", "T2")))
    with pytest.raises(StoreError, match=r"^model: takes scans of 2 channels \(T1, T2\), and 'predict' reads one; run"):
        check_servable(segmenter, "model")
