from __future__ import annotations

import hashlib

import numpy as np
import pytest
from scipy.ndimage import gaussian_filter

from nephrite.store.brought.twins import Likeness, find_foreign_twins, likeness_of
from nephrite.store.twins import slice_looks


def body(seed: int, slices: int = 20) -> np.ndarray:
    """A round body with smooth organs of its own, in Hounsfield units."""
    rng = np.random.default_rng(seed)
    _, row, column = np.indices((slices, 64, 64))
    organs = gaussian_filter(rng.standard_normal((slices, 64, 64)), (2, 4, 4))
    inside = np.hypot(row - 31.5, (column - 31.5) * 0.8) < 26
    return np.asarray(np.rint(np.where(inside, -50 + 100 * organs / organs.std(), -1000)), np.int16)


def known(image: np.ndarray, *digests: str) -> Likeness:
    voxels = hashlib.sha256(np.ascontiguousarray(image).data).hexdigest()
    return likeness_of(image, slice_looks(image), [voxels, *digests])


REAL = {f"r{seed}": known(body(seed), f"file-{seed}") for seed in range(4)}
PERSONS = {name: name for name in REAL}


def twins_of(fake: Likeness) -> list[str]:
    return [twin.patient for twin in find_foreign_twins({"fake": fake}, REAL, PERSONS).get("fake", [])]


def test_a_fake_of_its_own_is_nobodys_twin() -> None:
    assert twins_of(known(body(99))) == []


def test_equal_files_voxels_and_single_slices_are_twins() -> None:
    assert twins_of(Likeness(frozenset({"file-1"}), known(body(99)).looks)) == ["r1"]
    mixed = body(99)
    mixed[3] = body(2)[7]
    assert twins_of(known(mixed)) == ["r2"]


def test_a_slice_of_one_value_makes_no_twin() -> None:
    empty = np.full((1, 64, 64), -1000, np.int16)
    real = {name: likeness_of(np.concatenate([body(n), empty]), REAL[name].looks, []) for n, name in enumerate(REAL)}
    assert find_foreign_twins({"fake": known(np.concatenate([body(99), empty]))}, real, PERSONS) == {}


def test_a_scan_with_another_window_and_a_painted_lesion_is_a_twin() -> None:
    painted = np.clip(body(3), -300, 300) // 2
    painted[8:12, 30:36, 30:36] = 150
    found = find_foreign_twins({"fake": known(painted[2:])}, REAL, PERSONS)["fake"]
    assert [twin.patient for twin in found] == ["r3"]
    assert found[0].positions == tuple(range(2, 20))
    assert 0.93 < found[0].likeness <= 1


def test_single_slices_need_to_be_closer_than_different_patients_come() -> None:
    alone = np.asarray(gaussian_filter(body(1)[9:10], 0.4), np.int16)
    assert twins_of(known(alone)) == ["r1"]
    assert twins_of(known(body(98)[9:10])) == []


def test_patients_who_look_alike_raise_the_bar_and_twins_among_real_scans_do_not() -> None:
    rng = np.random.default_rng(0)

    def near(looks: np.ndarray, cosine: float) -> np.ndarray:
        noise = rng.standard_normal(looks.shape).astype(np.float32)
        noise -= (noise * looks).sum(1, keepdims=True) * looks
        noise /= np.linalg.norm(noise, axis=1, keepdims=True)
        return np.asarray(cosine * looks + np.sqrt(1 - cosine**2) * noise, np.float32)

    first = REAL["r0"].looks
    fake = Likeness(frozenset(), near(first, 0.94))
    for cosine, expected in ((0.2, True), (0.96, False), (0.99, True)):
        real = {"r0": REAL["r0"], "other": Likeness(frozenset(), near(first, cosine))}
        found = find_foreign_twins({"fake": fake}, real, {"r0": "r0", "other": "other"})
        assert ("fake" in found) is expected, cosine
    # scans of one person may look alike
    real = {"r0": REAL["r0"], "other": Likeness(frozenset(), near(first, 0.96))}
    assert "fake" in find_foreign_twins({"fake": fake}, real, {"r0": "p", "other": "p"})


@pytest.mark.parametrize("slices", [1, 5, 16])
def test_every_slice_gets_the_slice_that_it_looks_most_like(slices: int) -> None:
    image = body(2)[4 : 4 + slices]
    (twin,) = find_foreign_twins({"fake": known(image)}, REAL, PERSONS)["fake"]
    assert twin.positions == tuple(range(4, 4 + slices))
