from __future__ import annotations

from collections.abc import Callable

import pytest

from nephrite.report.summary import summarize
from nephrite.report.web.alternatives import CURVE, FOREST, LEARNING, RIVALS, SCORES, figure_markdown
from nephrite.report.wording import interval_text
from nephrite.verdict.trial import Trial


def test_the_differences_are_told_headline_first_and_once(make_trial: Callable[..., Trial]) -> None:
    trial = summarize(make_trial(segmenters=("light",)))
    assert trial.answer
    text = figure_markdown(trial, FOREST, "figures/a.png")
    told = f"light, real+synthetic+geometric minus real+geometric: {interval_text(trial.answer.judged)}, helps"
    assert text.startswith(f"![Differences of Dice of tumor with intervals. {told}; ")
    assert text.count(told) == 1
    assert text.endswith(f'](figures/a.png "{FOREST}")')


@pytest.mark.parametrize("name", [RIVALS, CURVE, SCORES, LEARNING])
def test_each_figure_has_numbers_in_words(wide_trial: Trial, name: str) -> None:
    text = figure_markdown(summarize(wide_trial), name, "a.png")
    words = text.partition("](")[0]
    assert "light" in words
    assert any(character.isdigit() for character in words)
    assert '"' not in words


def test_a_figure_of_many_rows_names_some_and_counts_the_others(wide_trial: Trial) -> None:
    text = figure_markdown(summarize(wide_trial), SCORES, "a.png")
    assert text.count("mean 0.") == 12
    assert "and 12 more in the tables" in text


def test_another_figure_says_its_name(make_trial: Callable[..., Trial]) -> None:
    assert figure_markdown(summarize(make_trial()), "A map", "a.png") == '![A map.](a.png "A map")'
