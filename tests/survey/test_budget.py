from __future__ import annotations

from collections.abc import Callable

import pytest

from nephrite.survey.budget import budgeted
from nephrite.survey.proposal import propose
from nephrite.survey.survey import Survey


@pytest.mark.parametrize(
    ("per_cell", "cells", "steps"),
    [
        (1.0, 8, None),  # seconds of a cell, of 1,080 for trainings
        (200.0, 5, None),
        (720.0, 3, 50),
        (7200.0, 3, 34),  # never below what teaches anything
    ],
)
def test_replicates_and_steps_fit_the_minutes(
    found: Callable[..., Survey], monkeypatch: pytest.MonkeyPatch, per_cell: float, cells: int, steps: int | None
) -> None:
    monkeypatch.setattr("nephrite.survey.budget.trainings_seconds", lambda *_, **__: per_cell)
    monkeypatch.setattr("nephrite.survey.budget.os.sched_getaffinity", lambda _: {0})
    said = {line.key: line.value for line in budgeted(propose(found()), 30, processes=2)}
    assert said["trial.cells"] == [*range(cells)]
    assert said.get("train_segmenter.steps_per_epoch") == steps


@pytest.mark.parametrize(
    ("per_cell", "why"),
    [
        (60.0, "replicates: about 13 minutes on this machine"),
        (720.0, "replicates: about 30 minutes on this machine"),  # with steps that fit
        (7200.0, "replicates: about 3.4 hours on this machine; fewer steps teach nothing, so 30 minutes are too few"),
    ],
)
def test_the_time_that_is_said_is_that_of_the_steps_that_are_proposed(
    found: Callable[..., Survey], monkeypatch: pytest.MonkeyPatch, per_cell: float, why: str
) -> None:
    monkeypatch.setattr("nephrite.survey.budget.trainings_seconds", lambda *_, **__: per_cell)
    monkeypatch.setattr("nephrite.survey.budget.os.sched_getaffinity", lambda _: {0})
    lines = budgeted(propose(found()), 30, processes=2)
    assert [line.why for line in lines if line.key == "trial.cells"] == [why]
