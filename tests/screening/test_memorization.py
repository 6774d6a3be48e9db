from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from scipy.ndimage import gaussian_filter

from nephrite.errors import DataError
from nephrite.screening.memorization import (
    READ_SLICES,
    Thumbnails,
    calibrate,
    measure_memorization,
    nearest_slices,
    repeated_slices,
    small_slices,
    thumbnails,
)
from nephrite.store.slices import PairStore, SliceRef


def _slices(count: int, seed: int, height: int = 48, width: int = 64) -> np.ndarray:
    """Smooth slices that share a body and differ inside."""
    noise = np.random.default_rng(seed).standard_normal((count, height, width))
    body = np.hypot(*np.mgrid[-1 : 1 : height * 1j, -1 : 1 : width * 1j]) < 0.9
    inside = gaussian_filter(noise, (0, 5, 5))
    slices: np.ndarray = (body * (0.5 + 0.1 * inside / inside.std())).clip(0, 1).astype(np.float32)
    return slices


def _small(count: int, seed: int) -> Thumbnails:
    return thumbnails(_slices(count, seed))


def _references(count: int) -> list[SliceRef]:
    return [SliceRef(f"case_{number // 10}", number % 10) for number in range(count)]


def test_a_thumbnail_averages_the_pixels_that_it_covers() -> None:
    image = np.arange(48 * 64, dtype=np.float32).reshape(1, 48, 64)
    small = thumbnails(image, size=16)
    assert small.shape == (1, 16, 16)
    assert small[0, 1, 2] == pytest.approx(image[0, 3:6, 8:12].mean())
    assert thumbnails(image, size=24).mean() == pytest.approx(image.mean())


def test_copies_are_found_and_traced_to_their_slice_and_new_slices_are_not() -> None:
    training, new = _slices(60, 1), _slices(40, 3)
    noise = 0.02 * np.random.default_rng(5).standard_normal((10, 48, 64))
    copies = np.roll(0.8 * training[20:30] + noise, 2, axis=2)  # darker, noisy, moved by two pixels
    synthetic = thumbnails(np.concatenate([copies, new]))
    found = measure_memorization(synthetic, thumbnails(training), _small(50, 2), _references(60))
    assert found.copied[:10].all()
    assert found.nearest[:10] == tuple(_references(60)[20:30])
    assert found.copied[10:].mean() < 0.1
    assert found.share == found.copied.mean()


def test_the_threshold_is_the_quantile_of_what_validation_slices_reach() -> None:
    training, validation = _small(40, 1), _small(30, 2)
    similarity, _ = nearest_slices(validation, training)
    found = calibrate(validation, training, quantile=0.9)
    assert (similarity > found.threshold).sum() == 3
    assert found.median == pytest.approx(np.median(similarity))
    assert (found.validation_slices, found.training_slices) == (30, 40)


def test_few_validation_slices_say_what_they_cannot_tell() -> None:
    few, many = calibrate(_small(4, 2), _small(20, 1)), calibrate(_small(60, 2), _small(20, 1))
    assert few.honest_share == pytest.approx(0.2)
    assert few.limit is not None
    assert "4 validation slices are fewer than the 50" in few.limit
    assert many.honest_share == pytest.approx(1 / 61)
    assert many.limit is None


def test_similarity_without_shifts_is_pearsons_correlation() -> None:
    samples, training = _small(3, 1), _small(5, 2)
    similarity, position = nearest_slices(samples, training, shift=0)
    table = np.corrcoef(samples.reshape(3, -1), training.reshape(5, -1))[:3, 3:]
    assert similarity == pytest.approx(table.max(axis=1), abs=1e-5)
    assert position.tolist() == table.argmax(axis=1).tolist()


def test_blocks_change_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    samples, training = _small(23, 1), _small(9, 2)
    whole = nearest_slices(samples, training)
    monkeypatch.setattr("nephrite.screening.memorization.BLOCK_VALUES", 9 * 9 * 4)
    similarity, position = nearest_slices(samples, training)
    assert similarity == pytest.approx(whole[0], abs=1e-5)
    assert position.tolist() == whole[1].tolist()


def test_a_blank_slice_is_like_nothing() -> None:
    blank = thumbnails(np.full((2, 48, 64), 0.3, np.float32))
    assert nearest_slices(blank, _small(5, 1))[0].tolist() == [0, 0]
    assert nearest_slices(_small(2, 1), blank)[0].tolist() == [0, 0]


def test_without_validation_or_training_or_synthetic_slices_there_is_no_answer() -> None:
    some, none = _small(3, 1), _small(3, 1)[:0]
    with pytest.raises(DataError, match="validation split: holds no slice"):
        calibrate(none, some)
    with pytest.raises(DataError, match="training split: holds no slice"):
        calibrate(some, none)
    with pytest.raises(DataError, match="synthetic slices: are none"):
        measure_memorization(none, some, some, _references(3))


def test_only_later_slices_of_one_picture_are_repetitions() -> None:
    first, second = np.random.default_rng(0).random((2, 24, 24)).astype(np.float32)
    found = repeated_slices(np.stack([first, second, first, 0.5 * first + 0.1]))
    assert found.tolist() == [False, False, True, True]  # blind to contrast


def test_small_slices_are_those_of_the_store_in_their_order(pairs: Path) -> None:
    store = PairStore(pairs)
    slices = store.slices()
    small = small_slices(store, slices)
    assert len(small) == len(slices) > READ_SLICES
    assert np.array_equal(small[-1], thumbnails(store.windowed(slices[-1])[None])[0])
