"""Checks of the judge itself by simulation: false alarms, promised power, coverage; and a model that predicts nothing.

Every bound is the promise plus what chance may add to it in so many simulated trials (three standard errors). The
suite simulates few; `make simulate` many, so that the bounds are the promises themselves.
"""

from __future__ import annotations

import os
from collections import Counter

import numpy as np
import pytest

from nephrite.metrics.scores import score_regions, score_slices
from nephrite.verdict.crossed import Estimates, estimate
from nephrite.verdict.families import Table, adjust
from nephrite.verdict.looks import Look, level
from nephrite.verdict.power import ASSUMED_SPREAD, Spread, simulate_differences, smallest_effect
from nephrite.verdict.statistics import Interval, judge, paired_interval

TRIALS = int(os.environ.get("NEPHRITE_SIMULATED_TRIALS", "1500"))
SIZES = [(cells, patients) for cells in (3, 8) for patients in (8, 20, 60)]  # cells and test patients
REAL = {  # as trials of this software had them
    "assumed": ASSUMED_SPREAD,
    "lung nodules": Spread(0.023, 0.067, 0.142),  # three cells, 68 test patients
    "kidneys": Spread(0, 0.04, 0.16),  # three cells, 8 test patients
}
EXTREME = {
    "patients agree": Spread(0.02, 0, 0.14),
    "cells prevail": Spread(0.02, 0.01, 0.02),
    "patients prevail": Spread(0.005, 0.08, 0.05),
    "both prevail": Spread(0.02, 0.06, 0.02),
    "steady trainings": Spread(0.01, 0.05, 0.08),
    "noise of single scores": Spread(0, 0, 0.14),
}


def _chance(rate: float, trials: int = TRIALS) -> float:
    """Three standard errors of a rate."""
    return 3 * float(np.sqrt(rate * (1 - rate) / trials))


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


def _judged(spread: Spread, size: tuple[int, int], effect: float, seed: int, trials: int = TRIALS) -> Estimates:
    generator = np.random.default_rng(seed)
    return estimate(simulate_differences(spread, *size, trials=trials, generator=generator, effect=effect))


def _coverage(found: Estimates, effect: float, confidence: float = 0.95) -> float:
    _, low, high = found.intervals(confidence)
    return float(((low <= effect) & (effect <= high)).mean())


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("spread", REAL)
def test_the_interval_holds_the_truth_in_94_to_97_of_100_trials(spread: str, size: tuple[int, int]) -> None:
    held = _coverage(_judged(REAL[spread], size, 0.03, seed=size[1]), 0.03)
    assert 0.94 - _chance(0.94) <= held <= 0.97 + _chance(0.97)


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("spread", REAL)
def test_without_an_effect_p_is_below_a_level_no_oftener_than_it_says(spread: str, size: tuple[int, int]) -> None:
    p = _judged(REAL[spread], size, 0.0, seed=size[0]).p()
    for alpha in (0.05, 0.025, 0.0083):  # alone, at the first look, at the second
        assert (p < alpha).mean() <= alpha + 0.01 + _chance(alpha + 0.01)


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("spread", EXTREME)
def test_in_other_spreads_false_alarms_stay_below_7_of_100(spread: str, size: tuple[int, int]) -> None:
    p = _judged(EXTREME[spread], size, 0.0, seed=size[0]).p()
    assert (p < 0.05).mean() <= 0.07 + _chance(0.07)
    assert (p < 0.05).mean() >= 0.029 - _chance(0.029)


@pytest.mark.parametrize("size", [(3, 14), (3, 60), (8, 14), (8, 60)])
def test_copies_of_real_slices_are_no_evidence_in_95_of_100_trials(size: tuple[int, int]) -> None:
    generator, words = np.random.default_rng(size), Counter[str]()
    trials = max(200, TRIALS // 5)
    for _ in range(trials):
        interval = paired_interval(_same_data_twice(generator, *size))
        words[judge(interval, cells=size[0], patients=size[1]).word] += 1
    assert words["no evidence"] >= (0.94 - _chance(0.94, trials)) * trials
    assert words["helps"] <= (0.03 + _chance(0.03, trials)) * trials


@pytest.mark.parametrize("size", [(8, 20), (8, 60)])
def test_a_planted_effect_is_found_as_often_as_promised(size: tuple[int, int]) -> None:
    effect = smallest_effect(ASSUMED_SPREAD, *size, power=0.8)
    assert effect is not None
    _, low, high = _judged(ASSUMED_SPREAD, size, effect, seed=5, trials=4000).intervals(0.95)
    assert (low > 0).mean() == pytest.approx(0.8, abs=0.03)
    assert (high < 0).mean() == 0


@pytest.mark.parametrize("shared", [0.0, 0.5])
@pytest.mark.parametrize("size", [(3, 20), (8, 20), (8, 60)])
@pytest.mark.parametrize("spread", ["assumed", "lung nodules"])
def test_a_family_without_any_effect_has_a_false_word_in_5_of_100_trials(
    spread: str, size: tuple[int, int], shared: float
) -> None:
    generator, trials, members = np.random.default_rng(3), max(300, TRIALS // 5), 6

    def drawn(count: int) -> np.ndarray:
        return simulate_differences(REAL[spread], *size, trials=count, generator=generator)

    wrong = 0
    for seed in range(trials):
        tables = np.sqrt(1 - shared) * drawn(members) + np.sqrt(shared) * drawn(1)
        family = [Table(t, tuple(range(size[0])), p) for t, p in zip(tables, estimate(tables).p(), strict=True)]
        wrong += min(adjust(family, confidence=0.95, draws=1000, seed=seed).p) < 0.05
    assert wrong <= (0.06 + _chance(0.06, trials)) * trials


@pytest.mark.parametrize("cells", [8, 16])
@pytest.mark.parametrize("fraction", [0.15, 0.3])
@pytest.mark.parametrize("spread", ["assumed", "lung nodules"])
def test_cells_that_share_patients_still_hold_the_truth_of_the_population(
    spread: str, fraction: float, cells: int
) -> None:
    found = _of_shared_patients(REAL[spread], fraction, cells)
    naive, held = (_coverage(estimate(found, overlap=share), 0.0) for share in (0.0, fraction))
    assert naive < 0.92
    assert 0.94 - _chance(0.94) <= held <= 0.97 + _chance(0.97)


def _of_shared_patients(spread: Spread, fraction: float, cells: int, pool: int = 60) -> np.ndarray:
    """Trials whose cells draw their training patients from one pool; each patient adds its own part to a cell."""
    generator, taken = np.random.default_rng(cells), round(fraction * pool)
    worth = spread.between_cells * np.sqrt(taken) * generator.standard_normal((TRIALS, pool))
    ranks = np.argsort(generator.random((TRIALS, cells, pool)), axis=2)[:, :, :taken]
    by_cell = np.take_along_axis(worth[:, None], ranks, axis=2).mean(axis=2)
    alike = Spread(0, spread.between_patients, spread.residual)
    tables = simulate_differences(alike, cells, 60, trials=TRIALS, generator=generator)
    tables += by_cell[:, :, None]
    return tables


@pytest.mark.parametrize("counted", [True, False])
def test_looks_and_promotions_of_equals_find_nothing_more_than_one_look_would(counted: bool) -> None:
    generator, trials, looks = np.random.default_rng(11), max(400, TRIALS // 4), 20
    wrong = np.zeros(trials, dtype=bool)
    champion = generator.standard_normal((trials, 1, 60))
    for number in range(1, looks + 1):  # a candidate each, compared with the same champion on the same test patients
        found = estimate(generator.standard_normal((trials, 1, 60)) - champion)
        look = Look("promotion", "model", str(number), (), 1.0, ("p",), number, "now")
        _, low, _ = found.intervals(1 - (level([], look, 0.05) if counted else 0.05))
        wrong |= low > 0
    assert (wrong.mean() <= 0.035 + _chance(0.035, trials)) == counted
    assert counted or wrong.mean() > 0.15


def test_heavy_tails_leave_the_coverage_where_it_was() -> None:
    generator = np.random.default_rng(8)
    by_patient, noise = (generator.standard_t(3, size) / np.sqrt(3) for size in ((4000, 1, 20), (4000, 8, 20)))
    by_cell = 0.02 * generator.standard_normal((4000, 8, 1))
    tables = by_cell + 0.05 * by_patient + 0.14 * noise
    assert 0.94 - _chance(0.94, 4000) <= _coverage(estimate(tables), 0) <= 0.97 + _chance(0.97, 4000)


def test_a_planted_harm_is_called_harm() -> None:
    effect = smallest_effect(ASSUMED_SPREAD, 8, 20, power=0.95)
    assert effect is not None
    intervals = _judged(ASSUMED_SPREAD, (8, 20), -effect, seed=9, trials=400).intervals(0.95).T
    words = Counter(judge(Interval(*interval), cells=8, patients=20).word for interval in intervals.tolist())
    assert words["hurts"] >= 0.9 * 400
    assert words["helps"] == 0


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
