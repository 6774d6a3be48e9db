from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace

import numpy as np
import pytest

from nephrite.config import Arm
from nephrite.evaluation.scores import ArmScores, PatientScore, RegionScore, SliceScores
from nephrite.evaluation.trial import Trial, TrialPlan, synthetic_question

REFERENCE = "real+geometric"
RIVAL = "real+geometric+copy_paste"
GAINS = {"real": -0.1, REFERENCE: 0.0, "real+synthetic+geometric": 0.05}


@pytest.fixture
def make_arm() -> Callable[..., ArmScores]:
    """One arm whose tumor Dice is given for each patient."""

    def make(
        training_set: str, segmenter: str, cell: int, dice: Mapping[str, float], fraction: float = 1.0
    ) -> ArmScores:
        slices = SliceScores(10, 80.0, 60.0, {"kidney": 0.8, "tumor": None}, {"kidney": 5, "tumor": 0})
        patients = tuple(
            PatientScore(
                patient,
                {
                    "kidney_and_tumor": RegionScore(0.9, 0.85, 4.0, 180.0, 175.0),
                    "tumor": RegionScore(value, value, None if value == 0 else 8.0, 20.0, 18.0),
                },
                slices,
            )
            for patient, value in dice.items()
        )
        arm = Arm(training_set=training_set, segmenter=segmenter, fraction=fraction, cell=cell)
        return ArmScores(arm, patients, float(np.mean([*dice.values()])), 300, 12.5, round(40 * fraction))

    return make


@pytest.fixture
def make_arms(make_arm: Callable[..., ArmScores]) -> Callable[..., list[ArmScores]]:
    """All arms of a trial in which `gain` is what synthetic data really adds."""

    def make(
        cells: int = 3, patients: int = 10, segmenters: tuple[str, ...] = ("light", "fpn"), gain: float = 0.05
    ) -> list[ArmScores]:
        generator = np.random.default_rng(7)
        base = generator.uniform(0.3, 0.8, patients)
        gains = GAINS | {"real+synthetic+geometric": gain}
        return [
            make_arm(name, segmenter, cell, _dice(base + effect + generator.normal(0, 0.01, patients)))
            for segmenter in segmenters
            for name, effect in gains.items()
            for cell in range(cells)
        ]

    return make


@pytest.fixture
def make_trial(make_arms: Callable[..., list[ArmScores]]) -> Callable[..., Trial]:
    """A whole trial; arguments as for `make_arms`."""

    def make(**arguments: object) -> Trial:
        question = synthetic_question({"real+synthetic+geometric": REFERENCE}, REFERENCE)
        plan = TrialPlan("tumor", REFERENCE, question, resamples=2000, digest="0" * 64)
        return Trial(plan, tuple(make_arms(**arguments)))

    return make


@pytest.fixture
def null_trial(make_trial: Callable[..., Trial], make_arm: Callable[..., ArmScores]) -> Trial:
    """The usual trial with a null arm that lies 0.01 above the reference everywhere, on validation 0.2 above all."""
    trial = make_trial(cells=3)
    repeated = []
    for scores in trial.arms:
        if scores.arm.training_set == REFERENCE:
            dice = {score.patient: score.regions["tumor"].dice + 0.01 for score in scores.patients}
            null = make_arm(f"{REFERENCE}+null", scores.arm.segmenter, scores.arm.cell, dice)
            repeated.append(replace(null, validation_score=scores.validation_score + 0.2))
    return Trial(trial.plan, (*trial.arms, *repeated))


@pytest.fixture
def wide_trial(make_arm: Callable[..., ArmScores]) -> Trial:
    """Two segmenters, three label fractions, two synthetic sets and a rival; synthetic data helps with few labels."""
    generator, cells = np.random.default_rng(5), 4
    base = generator.uniform(0.3, 0.6, 12)
    gains = {REFERENCE: 0.0, RIVAL: 0.02, "real+weak+geometric": -0.05, "real+synthetic+geometric": 0.05}

    def dice(gain: float, fraction: float) -> dict[str, float]:
        """More labels add to every arm, and leave less to gain."""
        reached = 0.2 * np.log10(10 * fraction) + gain * (1.1 - fraction)
        return _dice(base + reached + generator.normal(0, 0.01, 12))

    arms = [
        make_arm(name, segmenter, cell, dice(gain, fraction), fraction)
        for segmenter in ("light", "fpn")
        for fraction in (1.0, 0.1, 0.25)
        for name, gain in gains.items()
        for cell in range(cells)
    ]
    sets = ("real+weak+geometric", "real+synthetic+geometric")
    question = ("real+synthetic+geometric", REFERENCE)
    plan = TrialPlan("tumor", REFERENCE, question, 0.1, sets, (RIVAL,), resamples=500, digest="0" * 64)
    return Trial(plan, tuple(arms))


def _dice(values: np.ndarray) -> dict[str, float]:
    return {f"case_{number:05d}": float(value) for number, value in enumerate(values)}
