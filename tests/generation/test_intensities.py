"""What the card says of intensities is what the training slices show, and no other."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from nephrite.config import TissueSettings
from nephrite.errors import ConfigError
from nephrite.generation import intensities
from nephrite.generation.conditioning import Conditioning
from nephrite.generation.intensities import class_statistics, fit_intensities, fit_tissue
from nephrite.store.slices import PairStore
from tests.conftest import hash_again

QUANTILES = TissueSettings(kind="quantiles", classes=4, smoothing=0)


def pixels(store: PairStore, value: int) -> np.ndarray:
    refs = store.slices("train")
    parts = [store.windowed(ref)[store.label(ref.patient)[ref.position] == value] for ref in refs]
    return np.concatenate(parts)


def test_intensities_are_those_of_the_label_classes(pairs: Path) -> None:
    store = PairStore(pairs)
    found = fit_intensities(store, store.slices("train"), Conditioning((1, 2)))
    for value, seen in enumerate(found):
        expected = pixels(store, value)
        assert (seen.mean, seen.deviation) == pytest.approx((expected.mean(), expected.std()), abs=1e-3)
        assert (seen.low, seen.high) == pytest.approx(np.percentile(expected, [1, 99]), abs=2e-3)


def test_tissue_classes_come_first_and_part_the_background_by_brightness(pairs: Path) -> None:
    store = PairStore(pairs)
    edges = fit_tissue(store, store.slices("train"), QUANTILES)
    found = fit_intensities(store, store.slices("train"), Conditioning((1, 2), edges=edges))
    means = [seen.mean for seen in found[: len(edges) + 1] if seen.mean is not None]
    assert len(found) == len(edges) + 3
    assert means == sorted(means)


def test_class_without_a_pixel_has_no_intensities(pairs: Path) -> None:
    store = PairStore(pairs)
    found = fit_intensities(store, store.slices("train"), Conditioning((1, 2, 9)))
    assert found[3] == (None, None, None, None)
    assert class_statistics(found).mean.isnan().tolist() == [False, False, False, True]


def test_large_stores_are_looked_at_evenly(pairs: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    store = PairStore(pairs)
    monkeypatch.setattr(intensities, "MOST", 3)
    image = store.image("a2")
    seen = [batch.patient.tolist() for batch in intensities._batches(store, store.slices("train"))]
    assert seen == [[0, 1, 2]]
    assert len(image) == 6


def test_hounsfield_borders_follow_the_window_of_the_store(pairs: Path) -> None:
    store = PairStore(pairs)
    hounsfield = TissueSettings(kind="hounsfield", classes=4, smoothing=0)
    edges = fit_tissue(store, store.slices("train"), hounsfield)
    assert edges == pytest.approx([(value + 200) / 400 for value in (-160, -20, 100)])


def test_hounsfield_borders_of_patients_with_windows_of_their_own_are_refused(pairs: Path) -> None:
    meta = pairs / "patients" / "a2" / "meta.json"
    meta.write_text(meta.read_text().replace("-200.0", "0.0"))
    hash_again(pairs)
    store = PairStore(pairs)
    with pytest.raises(ConfigError, match="needs a fixed window"):
        fit_tissue(store, store.slices("train"), TissueSettings(kind="hounsfield", classes=4, smoothing=0))
