"""What Argo makes of the retries that are compiled: by its own rules, not by the names of the fields.

The rules are those of argo-workflows 4, workflow/controller/operator.go (processNodeRetries): the limit counts retries;
the policy says what is tried again; `maxDuration` is a deadline, counted from the start of the first attempt: after it
nothing is tried again, which a wait may not pass, and at which a running retry is stopped. Factor and limit are parsed
as integers, durations as seconds with a unit.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import pytest

from nephrite_kubeflow.package import Package

HOUR, DAY = 3600.0, 86400.0
FAILED_RETRIED = {"OnFailure", "Always"}


@dataclass(frozen=True)
class Strategy:
    """Argo's retryStrategy; seconds."""

    limit: int
    duration: float
    factor: int
    most: float
    policy: str = "OnFailure"  # Argo's own default


def strategy(task: dict[str, Any], policy: str = "OnFailure") -> Strategy:
    """What Kubeflow hands to Argo for a task: the numbers as text."""
    told = task["retryPolicy"]
    texts = {
        name: str(int(value) if isinstance(value, float) and value.is_integer() else value)
        for name, value in told.items()
    }
    seconds = []
    for name in ("backoffDuration", "backoffMaxDuration"):
        match = re.fullmatch(r"(\d+)s", texts[name])
        assert match, texts[name]
        seconds.append(float(match[1]))
    return Strategy(int(texts["maxRetryCount"]), seconds[0], int(texts["backoffFactor"]), seconds[1], policy)


def outcome(rule: Strategy, attempts: Sequence[float | None]) -> str:
    """How a step ends whose attempts fail after these seconds; None: this one would succeed after an hour."""
    now, ended = 0.0, ""
    for number, lasts in enumerate(attempts):
        now += HOUR if lasts is None else lasts
        wait = rule.duration * rule.factor**number
        endings = {  # what ends the step here, in Argo's order
            "stopped at the deadline": number > 0 and now > rule.most,
            "succeeded": lasts is None,
            "max duration limit exceeded": now > rule.most,
            "backoff would exceed max duration limit": now + wait > rule.most,
            "not set to be retried": rule.policy not in FAILED_RETRIED,
            "no more retries left": number + 1 > rule.limit,
        }
        ended = next((ending for ending, met in endings.items() if met), "")
        if ended:
            break
        now += wait
    return ended


def tasks(package: Package) -> dict[str, dict[str, Any]]:
    """Every task with retries, by name."""
    levels = [package.spec["root"], *package.spec["components"].values()]
    found = [each for level in levels for each in level.get("dag", {}).get("tasks", {}).items()]
    return {name: task for name, task in found if "retryPolicy" in task}


def test_training_that_is_evicted_after_days_is_tried_again(compiled: Package) -> None:
    for name in ("train-gan", "screen", "train-segmenter", "train-segmenter-2"):
        rule = strategy(tasks(compiled)[name])
        assert outcome(rule, [2 * HOUR, None]) == "succeeded"
        assert outcome(rule, [3 * DAY, 3 * DAY, 3 * DAY, 3 * DAY, 3 * DAY, None]) == "succeeded", name
        assert outcome(rule, [HOUR] * 6) == "no more retries left"


def test_every_step_may_wait_for_days_and_is_tried_again_after_that(compiled: Package, compiled_gpu: Package) -> None:
    for package in (compiled, compiled_gpu):
        found = tasks(package)
        assert len(found) == 13
        for name, task in found.items():
            assert outcome(strategy(task), [2 * DAY, 2 * DAY, None]) == "succeeded", name


def test_window_of_an_hour_would_lose_a_training_that_ran_longer() -> None:
    before = Strategy(limit=5, duration=60, factor=2, most=3600)
    assert outcome(before, [2 * HOUR, None]) == "max duration limit exceeded"
    assert outcome(before, [0.5 * HOUR, None]) == "stopped at the deadline"


@pytest.mark.parametrize(("policy", "end"), [("OnError", "not set to be retried"), ("Always", "succeeded")])
def test_policy_of_argos_defaults_decides_whether_a_failed_step_is_tried_again(
    compiled: Package, policy: str, end: str
) -> None:
    assert outcome(strategy(tasks(compiled)["train-gan"], policy), [HOUR, None]) == end
