from __future__ import annotations

from collections.abc import Callable

import pytest

from nephrite.report.dvc_metrics import dvc_metrics
from nephrite.report.summary import summarize
from nephrite.verdict.trial import Trial


def test_numbers_of_all_arms_and_of_the_difference(make_trial: Callable[..., Trial]) -> None:
    record = summarize(make_trial(segmenters=("light",)))
    found = dvc_metrics(record)
    assert record.answer
    assert found["difference"]["mean"] == record.answer.mean
    assert found["difference"]["low"] <= found["difference"]["mean"] <= found["difference"]["high"]
    assert len(found["dice"]) == len(record.arms)
    arm = record.arms[0]
    assert found["dice"][f"{arm.training_set} light"]["tumor"] == pytest.approx(arm.regions["tumor"].dice)


def test_arms_of_several_label_fractions_keep_apart(wide_trial: Trial) -> None:
    record = summarize(wide_trial)
    assert len(dvc_metrics(record)["dice"]) == len(record.arms)


def test_without_a_question_there_are_scores_alone(make_trial: Callable[..., Trial]) -> None:
    record = summarize(make_trial()).model_copy(update={"answer": None})
    assert dvc_metrics(record).keys() == {"dice"}
