from __future__ import annotations

import logging
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from scipy.fft import dctn
from scipy.ndimage import gaussian_filter, zoom
from scipy.stats import rankdata

from nephrite.errors import SourceError
from nephrite.store import twins
from nephrite.store.twins import (
    ALIKE,
    SHOWN,
    Looks,
    NearTwins,
    check_twins,
    find_near_twins,
    slice_looks,
    warn_of_near_twins,
)

RAW = Path("raw")


def likeness(first: Looks, second: Looks) -> float:
    """How alike two scans are, whatever is warned of."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(twins, "ALIKE", -2)
        (pair,) = find_near_twins({"a": first, "b": second})
    return pair.likeness


def body(seed: int, slices: int = 12) -> np.ndarray:
    """A round body of fat with smooth organs of its own, and air around it, in Hounsfield units with noise."""
    rng = np.random.default_rng(seed)
    _, row, column = np.indices((slices, 64, 64))
    organs = gaussian_filter(rng.standard_normal((slices, 64, 64)), (2, 4, 4))
    inside = np.hypot(row - 31.5, (column - 31.5) * 0.8) < 26
    hounsfield = np.where(inside, -50 + 100 * organs / organs.std(), -1000)
    return np.asarray(np.rint(hounsfield + rng.normal(0, 5, inside.shape)), np.int16)


def changed(image: np.ndarray, how: str) -> np.ndarray:
    """The same body, exported in another way."""
    ways: dict[str, Callable[[], np.ndarray]] = {
        "one slice less": lambda: image[1:],
        "every second slice": lambda: image[::2],
        "other slice distance": lambda: zoom(image.astype(float), (1.4, 1, 1), order=1),
        "coarser pixels": lambda: zoom(
            zoom(image.astype(float), (1, 0.7, 0.7), order=1), (1, 64 / 45, 64 / 45), order=1
        ),
        "windowed": lambda: np.clip((image + 160.0) / 400, 0, 1) * 255,
        "other unit": lambda: image * 0.5 + 512,
    }
    return np.asarray(np.rint(ways[how]()), np.int16)


HOW = ["one slice less", "every second slice", "other slice distance", "coarser pixels", "windowed", "other unit"]


@pytest.mark.parametrize("how", HOW)
def test_scan_that_was_exported_again_is_found(how: str) -> None:
    looks = {"a": slice_looks(body(0)), "b": slice_looks(changed(body(0), how)), "c": slice_looks(body(1))}
    assert [(pair.first, pair.second) for pair in find_near_twins(looks)] == [("a", "b")]


def test_bodies_of_the_same_outline_are_not_alike() -> None:
    looks = [slice_looks(body(seed)) for seed in range(8)]
    assert max(likeness(looks[0], other) for other in looks[1:]) < ALIKE - 0.1


def test_one_slice_is_found_among_many() -> None:
    assert likeness(slice_looks(body(0)[7:8]), slice_looks(body(0))) > ALIKE


def test_likeness_is_one_for_the_same_and_does_not_depend_on_the_order() -> None:
    first, second = slice_looks(body(0)), slice_looks(body(1, 20))
    assert likeness(first, first) == pytest.approx(1)
    assert likeness(first, second) == pytest.approx(likeness(second, first), abs=1e-6)  # products of other shapes


def test_empty_slices_are_like_nothing() -> None:
    blank = slice_looks(np.full((5, 64, 64), -1000, np.int16))
    assert not blank.any()
    assert find_near_twins({"a": blank, "b": blank}) == []


def test_most_alike_come_first() -> None:
    looks = {"a": slice_looks(body(0)), "b": slice_looks(changed(body(0), "windowed")), "c": slice_looks(body(0)[1:])}
    found = find_near_twins(looks)
    assert (found[0].first, found[0].second) == ("a", "c")
    assert [pair.likeness for pair in found] == sorted((pair.likeness for pair in found), reverse=True)


def test_warning_names_both_patients_and_their_splits(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING):
        warn_of_near_twins(RAW, [NearTwins("a", "b", 0.987)], {"a": "train", "b": "test"})
    assert "raw/a: looks nearly the same as 'b' (likeness 0.99; in train and test); if" in caplog.text


def test_many_pairs_are_counted_and_not_told_one_by_one(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING):
        warn_of_near_twins(RAW, [NearTwins("a", "b", 1.0)] * (SHOWN + 3), {"a": "train", "b": "train"})
    assert len(caplog.records) == SHOWN + 1
    assert "3 more pairs" in caplog.text


def test_a_digest_that_two_patients_have_is_refused() -> None:
    owners: dict[str, str] = {}
    check_twins(RAW, "a", ["1", "2"], owners)
    check_twins(RAW, "b", ["3"], owners)
    with pytest.raises(SourceError, match="raw/c: holds the same scan as 'a'; keep one of them"):
        check_twins(RAW, "c", ["4", "2"], owners)


def test_looks_are_the_frequencies_of_ranks_as_scipy_has_them() -> None:
    image = body(3, slices=2)
    low, high = np.percentile(image, (1, 99))
    gray = np.clip((image[0].astype(np.float32) - low) / (high - low), 0, 1).astype(np.float32)
    small = np.asarray(Image.fromarray(gray).resize((32, 32), Image.Resampling.BOX))
    expected = dctn(rankdata(np.rint(small * 32)).reshape(32, 32), norm="ortho")[:12, :12]
    expected[:3, :3] = 0
    np.testing.assert_allclose(slice_looks(image)[0], expected.ravel() / np.linalg.norm(expected), atol=1e-5)
