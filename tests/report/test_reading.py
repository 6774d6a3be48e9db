from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from nephrite.report.reading import more_cells, reading
from nephrite.report.summary import summarize
from nephrite.verdict.trial import Trial

MakeTrial = Callable[..., Trial]


def test_what_was_declared_and_what_is_sampled_is_said(make_trial: MakeTrial) -> None:
    text = reading(summarize(make_trial()))
    assert "Declared before any run: Dice of tumor, reference *real+geometric*." in text
    assert "cells and patients are both a sample" in text
    assert "patients are the sample, since there is one cell" in reading(summarize(make_trial(cells=1)))


def test_development_is_called_optimistic(make_trial: MakeTrial) -> None:
    trial = make_trial()
    text = reading(summarize(replace(trial, plan=replace(trial.plan, judged_on="validation"))))
    assert "these scores are optimistic" in text


def test_more_cells_are_twice_as_many(make_trial: MakeTrial) -> None:
    assert "cells: [0, 1, 2, 3, 4, 5, 6, 7]" in more_cells(summarize(make_trial(cells=4)))
