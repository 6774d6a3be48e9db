from __future__ import annotations

from collections.abc import Callable

import pytest

from nephrite.report.given import meanings, more_replicates
from nephrite.report.summary import summarize
from nephrite.verdict.trial import Trial


@pytest.mark.parametrize(
    ("overlap", "told"),
    [
        ({1.0: 1.0}, "have the same training patients (`--overlap 1`)"),
        ({1.0: 0.25}, "share 25% of their training patients"),
        ({1.0: 0.0}, "share no training patient"),
    ],
)
def test_what_replicates_share_is_told_as_the_caller_says(
    make_trial: Callable[..., Trial], overlap: dict[float, float], told: str
) -> None:
    record = summarize(make_trial())
    text = "\n".join(meanings(record.model_copy(update={"plan": record.plan.model_copy(update={"overlap": overlap})})))
    assert told in text
    assert "reference *real+geometric*" in text
    assert "nested in folds" in text


def test_how_many_replicates_there_are_is_told(make_trial: Callable[..., Trial]) -> None:
    assert "These arms have 4 replicates; a verdict needs at least 3." in more_replicates(
        summarize(make_trial(cells=4))
    )
