"""Checks of the judge itself: false alarms, promised power, coverage, and a model that predicts nothing.

Every bound is the promise plus what chance may add to it in so many simulated trials (three standard errors).
"""

from __future__ import annotations

from collections import Counter

import numpy as np
import pytest

from nephrite.metrics.scores import score_regions, score_slices
from nephrite.verdict.power import ASSUMED_SPREAD, Spread, simulate_differences, smallest_effect
from nephrite.verdict.statistics import Interval, judge, paired_interval, paired_intervals

SIZES = [(3, 14), (3, 60), (8, 14), (8, 60)]  # cells and test patients
SPREADS = {
    "assumed": ASSUMED_SPREAD,
    "lung nodules": Spread(0.023, 0.067, 0.142),  # a first trial of three cells on 68 test patients
    "patients agree": Spread(0.02, 0, 0.14),
    "cells prevail": Spread(0.02, 0.01, 0.02),
    "noise of single scores": Spread(0, 0, 0.14),
}


def _scores(generator: np.random.Generator, by_patient: np.ndarray, cells: int) -> np.ndarray:
    """Dice of one arm: cells differ by their initialization, lesions are sometimes missed altogether."""
    size = (cells, by_patient.shape[-1])
    scores = by_patient + 0.014 * generator.standard_normal((cells, 1)) + 0.09 * generator.standard_normal(size)
    missed = generator.random(size) < 0.02
    dice: np.ndarray = np.where(missed, 0, scores).clip(0, 1)
    return dice


def _same_data_twice(generator: np.random.Generator, cells: int, patients: int) -> np.ndarray:
    """An A/A trial: the fakes are copies of real slices, so that both arms differ by chance only."""
    lost = generator.random(patients) < 0.1  # patients whose lesion hardly any model finds
    by_patient = np.where(lost, 0.02, generator.uniform(0.3, 0.9, patients))
    one, other = (_scores(generator, by_patient, cells) for _ in range(2))
    difference: np.ndarray = one - other
    return difference


def _intervals(spread: Spread, size: tuple[int, int], effect: float, trials: int, seed: int) -> np.ndarray:
    generator = np.random.default_rng(seed)
    tables = simulate_differences(spread, *size, trials=trials, generator=generator, effect=effect)
    return paired_intervals(tables, resamples=1000, seed=seed)


def _coverage(intervals: np.ndarray, effect: float) -> float:
    _, low, high = intervals
    return float(((low <= effect) & (effect <= high)).mean())


@pytest.mark.parametrize("size", SIZES)
def test_copies_of_real_slices_are_no_evidence_in_95_of_100_trials(size: tuple[int, int]) -> None:
    generator, words = np.random.default_rng(size), Counter[str]()
    for seed in range(200):
        interval = paired_interval(_same_data_twice(generator, *size), resamples=2000, seed=seed)
        words[judge(interval, cells=size[0], patients=size[1]).word] += 1
    assert words["no evidence"] >= 0.95 * 200
    assert words["helps"] <= 0.05 * 200


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("spread", SPREADS)
def test_where_there_is_no_effect_few_trials_say_helps(spread: str, size: tuple[int, int]) -> None:
    _, low, _ = _intervals(SPREADS[spread], size, 0, trials=1000, seed=size[1])
    assert (low > 0).mean() <= 0.025 + 3 * np.sqrt(0.025 * 0.975 / 1000)


@pytest.mark.parametrize("size", [(8, 20), (8, 60)])
def test_a_planted_effect_is_found_as_often_as_promised(size: tuple[int, int]) -> None:
    effect = smallest_effect(ASSUMED_SPREAD, *size, power=0.8)
    assert effect is not None
    _, low, high = _intervals(ASSUMED_SPREAD, size, effect, trials=2000, seed=5)
    assert (low > 0).mean() == pytest.approx(0.8, abs=0.04)
    assert (high < 0).mean() == 0


@pytest.mark.parametrize("size", [(8, 20), (8, 60)])
@pytest.mark.parametrize("spread", ["assumed", "lung nodules", "cells prevail"])
def test_the_interval_of_a_planted_effect_covers_it_in_93_to_97_of_100_trials(
    spread: str, size: tuple[int, int]
) -> None:
    effect = smallest_effect(SPREADS[spread], *size)
    assert effect is not None
    assert 0.93 <= _coverage(_intervals(SPREADS[spread], size, effect, trials=2000, seed=6), effect) <= 0.97


@pytest.mark.parametrize("size", [(3, 14), (3, 60)])
@pytest.mark.parametrize("spread", SPREADS)
def test_three_cells_cover_no_less_than_93_of_100(spread: str, size: tuple[int, int]) -> None:
    assert _coverage(_intervals(SPREADS[spread], size, 0.03, trials=2000, seed=7), 0.03) >= 0.93


def test_heavy_tails_leave_the_coverage_where_it_was() -> None:
    generator = np.random.default_rng(8)
    by_patient, noise = (generator.standard_t(3, size) / np.sqrt(3) for size in ((2000, 1, 20), (2000, 8, 20)))
    by_cell = 0.02 * generator.standard_normal((2000, 8, 1))
    tables = by_cell + 0.05 * by_patient + 0.14 * noise
    assert 0.93 <= _coverage(paired_intervals(tables, resamples=1000), 0) <= 0.975


def test_a_planted_harm_is_called_harm() -> None:
    effect = smallest_effect(ASSUMED_SPREAD, 8, 20, power=0.95)
    assert effect is not None
    intervals = _intervals(ASSUMED_SPREAD, (8, 20), -effect, trials=200, seed=9).T
    words = Counter(judge(Interval(*interval), cells=8, patients=20).word for interval in intervals.tolist())
    assert words["hurts"] >= 0.88 * 200
    assert words["helps"] == 0


def test_many_tables_at_once_are_judged_like_one_by_one() -> None:
    tables = simulate_differences(ASSUMED_SPREAD, 3, 14, trials=5, generator=np.random.default_rng(0))
    together = paired_intervals(tables, resamples=500, seed=3).T
    alone = [paired_interval(table, resamples=500, seed=3) for table in tables]
    assert together == pytest.approx(np.array([(one.mean, one.low, one.high) for one in alone]))


def test_a_model_that_predicts_nothing_scores_0_everywhere_but_in_the_capstones_score() -> None:
    truth = np.zeros((6, 2, 32, 32), dtype=bool)
    truth[1:5, 0, 8:20, 8:20] = True
    truth[1:5, 1, 10:14, 10:14] = True
    nothing = np.zeros_like(truth)
    names = ("kidney", "tumor")
    by_region = [{name: array[:, channel] for channel, name in enumerate(names)} for array in (nothing, truth)]
    regions = score_regions(*by_region, spacing=(3.0, 1.0, 1.0), tolerances=dict.fromkeys(names, 2.0))
    slices = score_slices(nothing, truth, channels=names)
    assert [(score.dice, score.surface_dice, score.hd95) for score in regions.values()] == [(0, 0, None)] * 2
    assert slices.foreground_iou == {"kidney": 0, "tumor": 0}
    assert slices.capstone_iou == slices.predict_nothing > 60
