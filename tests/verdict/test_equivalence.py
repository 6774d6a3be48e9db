from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import replace

import numpy as np
import pytest

from nephrite.errors import TrialError
from nephrite.verdict.equivalence import Equivalence, data_equivalence, equivalences
from nephrite.verdict.trial import Trial

CURVE = {5: 0.40, 10: 0.50, 20: 0.56, 40: 0.58}
TWO = {5: 0.40, 20: 0.56}
LAW = {count: 0.8 - 1.2 / count**0.6 for count in (5, 10, 20, 40)}
Tables = dict[int, np.ndarray]


def _scores(means: Mapping[int, float], seed: int, noise: float = 0.02, cells: int = 8, patients: int = 20) -> Tables:
    """Tables with the given means; patients differ by the same amounts in each of them, cells by chance."""
    generator, by_patient = np.random.default_rng(seed), np.random.default_rng(0).normal(0, 0.1, patients)
    sizes = (cells, patients), (cells, 1)
    return {
        n: mean + by_patient + noise * (generator.standard_normal(sizes[0]) + 0.4 * generator.standard_normal(sizes[1]))
        for n, mean in means.items()
    }


def _found(score: float, noise: float = 0.02, cells: int = 8, patients: int = 20) -> Equivalence:
    reference, synthetic = (
        _scores(means, seed, noise, cells, patients) for seed, means in ((1, CURVE), (2, {5: score}))
    )
    return data_equivalence(reference, synthetic)


def test_between_two_points_a_score_halfway_in_the_logarithm_is_worth_the_geometric_mean() -> None:
    found = data_equivalence(_scores(TWO, 1, noise=1e-9), _scores({5: 0.48}, 2, noise=1e-9))
    assert found.exponent is None
    assert found.more == pytest.approx(math.sqrt(5 * 20) - 5, abs=0.01)
    assert found.low == pytest.approx(found.more, rel=0.03)
    assert found.high == pytest.approx(found.more, rel=0.03)
    assert found.sentence == (
        "At 5 real patients, synthetic data is worth at most 5.0 more real patients [5.0, 5.0] "
        "(20 test patients, 8 cells)."
    )


@pytest.mark.parametrize("truth", [6.0, 8.0, 14.0, 33.0])
def test_on_a_power_law_the_worth_is_what_it_is(truth: float) -> None:
    found = data_equivalence(_scores(LAW, 1, noise=1e-9), _scores({5: 0.8 - 1.2 / truth**0.6}, 2, noise=1e-9))
    assert found.exponent == pytest.approx(0.6, rel=1e-3)
    assert found.more == pytest.approx(truth - 5, rel=1e-3)
    assert found.low == pytest.approx(truth - 5, rel=0.03)
    assert found.high == pytest.approx(truth - 5, rel=0.03)
    assert "at most" not in found.sentence


@pytest.mark.parametrize("means", [TWO, LAW])
def test_the_interval_holds_the_truth_about_as_often_as_it_says(means: Mapping[int, float]) -> None:
    held, score = [], means[5] + 0.5 * (means[20] - means[5])
    truth = 10 if means is TWO else ((0.8 - score) / 1.2) ** (-1 / 0.6)
    for seed in range(150):
        reference, synthetic = _scores(means, seed, noise=0.1), _scores({5: score}, 1000 + seed, noise=0.1)
        found = data_equivalence(reference, synthetic)
        assert found.low is not None
        assert found.high is not None
        held.append(found.low <= truth - 5 <= found.high)
    assert 0.91 <= np.mean(held) < 0.99


def test_what_is_not_known_of_the_exponent_makes_the_interval_longer(monkeypatch: pytest.MonkeyPatch) -> None:
    reference, synthetic = _scores(LAW, 3, noise=0.1), _scores({5: 0.45}, 4, noise=0.1)
    known = data_equivalence(reference, synthetic)
    monkeypatch.setattr("nephrite.verdict.power_law.slopes_of_exponent", lambda counts, means: np.zeros(len(counts)))
    taken = data_equivalence(reference, synthetic)
    assert known.more == taken.more
    assert known.high is not None
    assert taken.high is not None
    assert known.high - (known.low or 0) > 1.05 * (taken.high - (taken.low or 0))


@pytest.mark.parametrize("power", [0.5, 1.0, 1.5])
@pytest.mark.parametrize("counts", [(7, 21), (5, 10), (10, 40)])
def test_between_two_points_of_a_concave_curve_the_worth_is_at_most_what_is_said(
    power: float, counts: tuple[int, ...]
) -> None:
    def score(patients: float) -> float:
        return 0.8 - float(patients**-power)

    reference = _scores({count: score(count) for count in counts}, 1, noise=0)
    for share in (0.2, 0.5, 0.8):
        truth = counts[0] * (counts[1] / counts[0]) ** share
        found = data_equivalence(reference, _scores({counts[0]: score(truth)}, 2, noise=0))
        assert 1 < found.more / (truth - counts[0]) < 2.3


def test_a_gain_within_the_noise_is_worth_nothing() -> None:
    found = _found(0.402, noise=0.1)
    assert found.low == 0
    assert not found.worth_something
    assert "worth nothing that this trial can tell" in found.sentence


def test_a_loss_is_worth_zero_patients() -> None:
    found = _found(0.2)
    assert (found.more, found.low, found.high) == (0, 0, 0)
    assert not found.worth_something


def test_a_score_above_the_whole_curve_is_worth_more_than_it_reaches() -> None:
    found = _found(0.7)
    assert found.more == found.low == found.high == math.inf
    assert "worth > 35 more real patients [> 35, > 35]" in found.sentence


def test_a_flat_end_leaves_the_upper_bound_open() -> None:
    found = _found(0.575, noise=0.05)
    assert found.low is not None
    assert found.low > 5
    assert found.high == math.inf


def test_means_that_fall_by_chance_are_pooled() -> None:
    falling = _scores({5: 0.4, 10: 0.52, 20: 0.5, 40: 0.6}, 1, noise=0)
    found = data_equivalence(falling, _scores({5: 0.505}, 2, noise=0))
    assert np.diff(found.curve).min() >= 0
    assert found.curve[1] == found.curve[2] == pytest.approx(found.curve[0] + 0.11)
    assert found.more < 5


def test_the_synthetic_arm_can_be_read_at_another_number_of_patients() -> None:
    synthetic = _scores({5: 0.4, 10: 0.56}, 2, noise=1e-9)
    found = data_equivalence(_scores(CURVE, 1, noise=1e-9), synthetic, start=10)
    assert (found.start, found.largest) == (10, 40)
    assert found.more == pytest.approx(10, abs=0.01)


@pytest.mark.parametrize(("cells", "patients"), [(2, 20), (8, 7), (8, 1)])
def test_too_few_cells_or_patients_are_said_and_not_judged(cells: int, patients: int) -> None:
    found = _found(0.53, cells=cells, patients=patients)
    assert not found.worth_something
    assert "cannot be said" in found.sentence


def test_tables_that_do_not_make_a_curve_are_refused() -> None:
    curve = _scores(CURVE, 1)
    with pytest.raises(TrialError, match="needs two points"):
        data_equivalence({5: curve[5]}, {5: curve[5]})
    with pytest.raises(TrialError, match="both arms at 7"):
        data_equivalence(curve, {5: curve[5]}, start=7)
    with pytest.raises(TrialError, match="where the reference ends"):
        data_equivalence(curve, {40: curve[40]})
    with pytest.raises(TrialError, match="different cells and patients"):
        data_equivalence(curve, {5: curve[5][:3]})


def test_a_trial_is_read_from_the_cells_that_all_fractions_share(wide_trial: Trial) -> None:
    kinds = ("real+geometric", "light", 0.25, 3)
    arms = [a for a in wide_trial.arms if (a.arm.training_set, a.arm.segmenter, a.arm.fraction, a.arm.cell) != kinds]
    found = equivalences(replace(wide_trial, arms=tuple(arms)))
    assert (found["light"].cells, found["fpn"].cells) == (3, 4)
    assert found["light"].worth_something


def test_two_fractions_of_the_same_number_of_patients_make_no_curve(wide_trial: Trial) -> None:
    arms = tuple(replace(scores, training_patients=7) for scores in wide_trial.arms)
    assert equivalences(replace(wide_trial, arms=arms)) == {}


def test_cells_of_different_numbers_of_patients_are_refused(wide_trial: Trial) -> None:
    arms = tuple(replace(scores, training_patients=5 + scores.arm.cell) for scores in wide_trial.arms)
    with pytest.raises(TrialError, match=r"was trained on \[5, 6, 7, 8\] patients in different cells"):
        equivalences(replace(wide_trial, arms=arms))


def test_a_trial_without_a_question_has_no_equivalence(wide_trial: Trial) -> None:
    assert equivalences(replace(wide_trial, plan=replace(wide_trial.plan, question=None))) == {}
