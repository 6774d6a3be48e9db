from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from nephrite.config import Config, LesionRule
from nephrite.store.slices import PairStore, Patient, write_patient
from nephrite.verdict.blind import (
    CHANCE,
    MEAN_MASK,
    NOTHING,
    best_threshold,
    blind_baselines,
    chance_of_finding,
)
from tests.conftest import SPLITS, finish, write_pair

Load = Callable[..., Config]
SIZE = 32


@pytest.fixture
def centered(tmp_path: Path) -> PairStore:
    """Patients with the same disc in the middle, but one test patient without any."""
    row, column = np.indices((SIZE, SIZE)) - SIZE / 2
    for number, patient in enumerate(SPLITS):
        write_pair(tmp_path / "pairs", Patient(patient, (4.0, 2.0, 2.0), "IPL", (-200.0, 200.0)), number)
        label = np.load(tmp_path / "pairs" / "patients" / patient / "label.npy", mmap_mode="r+")
        label[:] = 0 if patient == "c2" else 2 * (np.hypot(row, column) < 4)
    finish(tmp_path / "pairs", "real", dict(SPLITS))
    return PairStore(tmp_path / "pairs")


def test_the_middle_is_found_without_looking(load: Load, centered: PairStore) -> None:
    nothing, mean = blind_baselines(load("trial.primary=tumor"), centered, "test")
    assert (nothing.name, nothing.scores, nothing.threshold) == (NOTHING, (0.0, 1.0), None)
    assert (mean.name, mean.scores) == (MEAN_MASK, (1.0, 0.0))


def test_scans_of_one_patient_are_averaged(load: Load, centered: PairStore) -> None:
    store = finish(centered.root, "real", dict(SPLITS), {"c1": "p", "c2": "p"})
    nothing, mean, *chance = blind_baselines(load("trial.primary=tumor"), store, "test")
    assert (nothing.scores, mean.scores) == ((0.5,), (0.5,))
    assert all(len(baseline.scores) == 1 for baseline in chance)


def test_windows_take_the_middle_away(load: Load, centered: PairStore) -> None:
    config = load("trial.primary=tumor", "evaluate.windows={size: 16, count: 8, free: 0.5}")
    nothing, mean = blind_baselines(config, centered, "test")
    assert nothing.scores == (0.0, 1.0)
    assert mean.scores[0] < 0.4


def test_training_patients_alone_make_the_mask_and_choose_its_threshold(load: Load, centered: PairStore) -> None:
    changed = np.load(centered.root / "patients" / "c1" / "label.npy", mmap_mode="r+")
    changed[:] = 0
    changed[:, :4, :4] = 2
    finish(centered.root, "real", dict(SPLITS))
    _, mean = blind_baselines(load("trial.primary=tumor"), PairStore(centered.root), "test")
    assert mean.scores == (0.0, 0.0)


def test_a_region_that_vanished_counts_as_missed(load: Load, centered: PairStore) -> None:
    patient = Patient("c2", (4.0, 2.0, 2.0), "IPL", (-200.0, 200.0), volumes={"tumor": (90.0, 0.0)})
    write_patient(centered.root, patient)
    finish(centered.root, "real", dict(SPLITS))
    nothing, _ = blind_baselines(load("trial.primary=tumor"), PairStore(centered.root), "test")
    assert nothing.scores == (0.0, 0.0)


def test_the_threshold_is_the_best_for_the_mean_over_patients() -> None:
    small, large = np.zeros((1, 8, 8), bool), np.zeros((1, 8, 8), bool)
    small[0, 3:5, 3:5], large[0, 1:7, 1:7] = True, True
    mean = (2 * small[0] + large[0]) / 3  # 1 inside both, a third in the ring
    assert 1 / 3 < best_threshold(mean, [small, small, large]) <= 1
    assert best_threshold(mean, [large, large, small]) <= 1 / 3


def test_where_nothing_is_marked_in_training_the_mask_is_empty() -> None:
    empty = np.zeros((1, 4, 4), bool)
    assert not (np.zeros((4, 4)) >= best_threshold(np.zeros((4, 4)), [empty])).any()


def test_chance_finds_a_lesion_by_its_share_of_the_image() -> None:
    views = np.zeros((2, 10, 10), bool)
    views[0, :5, :4] = True  # a fifth of its slice, a tenth of the volume
    spacing, empty = (5.0, 1.0, 2.0), np.zeros_like(views)  # 20 voxels are 0.2 ml
    for rule, share in ((LesionRule(dimensions=2), 0.2), (LesionRule(smallest=0.19), 0.1)):
        expected = np.mean([1 - (1 - share) ** rate for rate in (1 / 8, 1 / 4, 1 / 2, 1, 2, 4, 8)])
        assert chance_of_finding([(views, spacing), (empty, spacing)], rule) == pytest.approx(expected)
    assert chance_of_finding([(empty, spacing)], LesionRule()) is None
    assert chance_of_finding([(views, spacing)], LesionRule(smallest=0.21)) is None


def test_chance_stands_beside_the_masks_where_lesions_are_counted(load: Load, centered: PairStore) -> None:
    config = load("trial.primary=tumor", "evaluate.lesions={tumor: {dimensions: 2}}")
    *_, chance = blind_baselines(config, centered, "test")
    assert (chance.name, chance.measure.metric) == (CHANCE, "cpm")
    assert len(set(chance.scores)) == 1
    assert 0 < chance.scores[0] < 0.5


def test_a_headline_about_another_hospital_has_its_patients_as_judges(load: Load, elsewhere: Path) -> None:
    store = PairStore(elsewhere)
    label = np.load(elsewhere / "patients" / "e2" / "label.npy")
    np.save(elsewhere / "patients" / "e2" / "label.npy", np.where(label == 2, 0, label))
    finish(elsewhere, "real", dict(store.splits))
    rows = blind_baselines(load("evaluate.lesions={tumor: {dimensions: 2}}"), PairStore(elsewhere), "external")
    assert [row.measure.where for row in rows] == ["external"] * 3
    assert rows[0].scores == (0.0, 1.0, 0.0)
