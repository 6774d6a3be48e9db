"""Decisions on made-up scores."""

from __future__ import annotations

from dataclasses import asdict, replace

import numpy as np
import pytest

from nephrite.errors import StoreError
from nephrite.evidence import sealed
from nephrite.verdict.promotion import Candidate, Rules, decide, known_candidate
from nephrite.verdict.statistics import paired_interval

RULES = Rules(floor=0.3, confidence=0.95)


def candidate(gain: float = 0.0, patients: int = 10, weights: str = "new") -> Candidate:
    rng = np.random.default_rng(1)
    names = [f"p{number}" for number in range(patients)]
    base = rng.uniform(0.4, 0.6, patients) + gain + rng.normal(0, 0.01, patients) * bool(gain)
    volumes = {name: 10.0 + number for number, name in enumerate(names)}
    return Candidate(
        "real/light/1.0/0", weights, "tumor", dict(zip(names, base.tolist(), strict=True)), volumes, 0.5, None
    )


CHAMPION = candidate(weights="old")


def test_first_run_above_the_floor_becomes_champion() -> None:
    decision = decide(candidate(), None, RULES)
    assert decision.outcome == "champion"
    assert decision.reason == "there was no champion, and mean tumor Dice 0.502 reaches the floor 0.3"


def test_first_run_below_the_floor_stays_challenger() -> None:
    assert decide(candidate(), None, replace(RULES, floor=0.9)).outcome == "challenger"


def test_clear_gain_becomes_champion() -> None:
    decision = decide(candidate(gain=0.1), CHAMPION, RULES)
    assert decision.outcome == "champion"
    assert decision.interval
    assert decision.interval.low
    assert 0.08 < decision.interval.low < decision.interval.mean


def with_gains(*gains: float) -> Candidate:
    """A run whose Dice lies above the champion's by these, patient by patient."""
    dice = {name: value + gain for (name, value), gain in zip(CHAMPION.dice.items(), gains, strict=True)}
    return replace(CHAMPION, weights="new", dice=dice)


def test_gain_that_few_patients_carry_stays_challenger_however_large_its_mean() -> None:
    decision = decide(with_gains(0.3, *[-0.005] * 9), CHAMPION, RULES)
    assert decision.interval
    assert decision.interval.low
    assert decision.interval.low < 0
    assert decision.interval.mean > 0.02
    assert decision.outcome == "challenger"
    assert "is not above zero" in decision.reason


def test_equal_scores_of_other_weights_stay_challenger() -> None:
    decision = decide(with_gains(*[0.0] * 10), CHAMPION, RULES)
    assert decision.interval
    assert (decision.outcome, decision.interval.low) == ("challenger", 0)


def test_first_run_that_reaches_the_floor_exactly_becomes_champion() -> None:
    level = replace(CHAMPION, dice=dict.fromkeys(CHAMPION.dice, 0.5))
    assert decide(level, None, replace(RULES, floor=0.5)).outcome == "champion"


@pytest.mark.parametrize("gain", [0.0005, -0.1])
def test_gain_within_the_interval_or_loss_stays_challenger(gain: float) -> None:
    decision = decide(candidate(gain=gain), CHAMPION, RULES)
    assert (decision.outcome, "is not above zero" in decision.reason) == ("challenger", True)


def test_same_weights_change_nothing() -> None:
    assert decide(candidate(gain=0.1, weights="old"), CHAMPION, RULES).outcome == "unchanged"


def test_other_patients_are_never_promoted() -> None:
    decision = decide(candidate(gain=0.3, patients=11), CHAMPION, RULES)
    assert decision.outcome == "challenger"
    assert "other test patients (10 patients, this run on 11, 10 ids are shared)" in decision.reason


def test_same_ids_with_other_label_maps_are_other_patients() -> None:
    better = candidate(gain=0.3)
    other = replace(better, truth_volumes={name: volume * 1.1 for name, volume in better.truth_volumes.items()})
    assert decide(other, CHAMPION, RULES).outcome == "challenger"


def test_other_region_is_never_promoted() -> None:
    decision = decide(replace(candidate(gain=0.3), region="kidney"), CHAMPION, RULES)
    assert (decision.outcome, decision.interval) == ("challenger", None)


def test_few_patients_are_never_promoted() -> None:
    decision = decide(candidate(gain=0.3, patients=7), candidate(patients=7, weights="old"), RULES)
    assert decision.outcome == "challenger"
    assert decision.reason == "7 test patients are fewer than the 8 that an interval needs"


def test_champion_without_scores_is_left_alone() -> None:
    assert decide(candidate(gain=0.3), "unknown", RULES).reason.startswith("the champion has no record of its scores")


def test_the_interval_is_drawn_as_the_rules_say() -> None:
    rules = Rules(floor=0.3, confidence=0.8)
    better = candidate(gain=0.02)
    differences = np.array([[better.dice[name] - CHAMPION.dice[name] for name in sorted(better.dice)]])
    expected = paired_interval(differences, confidence=0.8)
    assert decide(better, CHAMPION, rules).interval == expected


def test_eight_patients_are_enough() -> None:
    assert decide(candidate(gain=0.2, patients=8), candidate(patients=8, weights="old"), RULES).outcome == "champion"


def test_label_maps_that_differ_by_less_than_rounding_are_the_same() -> None:
    better = candidate(gain=0.2)
    rounded = replace(better, truth_volumes={name: value * (1 + 1e-8) for name, value in better.truth_volumes.items()})
    assert decide(rounded, CHAMPION, RULES).outcome == "champion"
    moved = replace(better, truth_volumes={name: value + 1e-3 for name, value in better.truth_volumes.items()})
    assert decide(moved, CHAMPION, RULES).outcome == "challenger"


def entry(version: int = 2, **changes: object) -> dict[str, object]:
    """A decision as the registry keeps it."""
    return sealed({"version": version, "candidate": asdict(CHAMPION), "inputs": {}, "reason": "why"} | changes)


def test_the_latest_entry_about_a_version_says_its_scores() -> None:
    older = {"version": 2, "candidate": asdict(CHAMPION) | {"weights": "first"}}  # as it was before digests
    assert known_candidate([older, entry(), entry(version=3)], 2) == CHAMPION
    assert known_candidate([older], 2) == replace(CHAMPION, weights="first")
    assert known_candidate([entry(version=3)], 2) is None
    assert known_candidate([], 2) is None


@pytest.mark.parametrize(
    "changes",
    [
        {"reason": "another"},
        {"candidate": asdict(CHAMPION) | {"dice": dict.fromkeys(CHAMPION.dice, 0.1)}},
        {"candidate": asdict(CHAMPION) | {"dice": dict.fromkeys(CHAMPION.dice, 5.0)}},
        {"candidate": asdict(CHAMPION) | {"dice": {}}},
        {"candidate": asdict(CHAMPION) | {"truth_volumes": {}}},
        {"candidate": None},
        {"digest": None},
        {"version": -1},
    ],
)
def test_an_entry_that_was_changed_is_refused(changes: dict[str, object]) -> None:
    with pytest.raises(
        StoreError, match=r"record of model version 2: .*; mend it, or move the alias 'champion' by hand"
    ):
        known_candidate([entry() | changes], 2)


def test_an_entry_that_lost_its_digest_is_refused() -> None:
    lost = {key: value for key, value in entry().items() if key != "digest"}
    with pytest.raises(StoreError, match="lacks its 'digest'"):
        known_candidate([lost], 2)


@pytest.mark.parametrize("content", [None, 3, [], "text", {}])
def test_what_is_no_entry_is_refused(content: object) -> None:
    with pytest.raises(StoreError, match="record of model version 2"):
        known_candidate([content], 2)
