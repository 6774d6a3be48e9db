from __future__ import annotations

from collections.abc import Callable

import pytest

from nephrite.report.comparison_record import MeasureRecord
from nephrite.report.summary import summarize
from nephrite.report.wording import group_name, in_percent, interval_text, measure_text, p_text, patients_text
from nephrite.verdict.statistics import Interval
from nephrite.verdict.trial import Trial
from tests.verdict.test_elsewhere import with_external

MakeTrial = Callable[..., Trial]


def test_rows_are_named_by_fraction_where_there_are_several(wide_trial: Trial, make_trial: MakeTrial) -> None:
    wide, narrow = summarize(wide_trial), summarize(make_trial())
    assert wide.answer is not None
    assert narrow.answer is not None
    assert [group_name(wide, wide.arms[0]), group_name(wide, wide.answer)] == ["light, 10%", "all segmenters, 10%"]
    assert [group_name(narrow, narrow.arms[0]), group_name(narrow, narrow.answer)] == ["light", "all segmenters"]


@pytest.mark.parametrize(("share", "text"), [(0.07, "7%"), (0.125, "12.5%"), (1.0, "100%")])
def test_shares_are_shown_in_percent_without_false_digits(share: float, text: str) -> None:
    assert in_percent(share) == text


@pytest.mark.parametrize(
    ("interval", "text"),
    [
        (Interval(0.0125, -0.003, 0.0271), "+0.013 [-0.003, +0.027]"),
        (Interval(-0.2, None, None), "-0.200 no interval"),
    ],
)
def test_an_interval_shows_its_signs_or_that_there_is_none(interval: Interval, text: str) -> None:
    assert interval_text(interval) == text


@pytest.mark.parametrize(("p", "text"), [(0.0005, "0.001"), (0.00049, "< 0.001"), (0.25, "0.250")])
def test_a_small_p_is_shown_as_a_bound(make_trial: MakeTrial, p: float, text: str) -> None:
    row = summarize(make_trial()).comparisons[0]
    assert p_text(row.model_copy(update={"p_adjusted": p})) == text


@pytest.mark.parametrize("size", [{"cells": 2}, {"patients": 7}])
def test_no_p_stands_beside_a_word_that_the_sample_is_too_small_for(
    make_trial: MakeTrial, size: dict[str, int]
) -> None:
    row = summarize(make_trial(**size)).comparisons[0]
    assert row.p < 0.05
    assert p_text(row) == "not judged"


def test_a_measure_names_the_place_where_any_patient_is_of_another_hospital(make_trial: MakeTrial) -> None:
    home, there = summarize(make_trial()).plan, summarize(with_external(make_trial())).plan
    asked = {where: MeasureRecord(metric="recall", region="tumor", where=where) for where in ("home", "external")}
    assert measure_text(home) == "Dice of tumor"
    assert measure_text(home, asked["external"]) == "recall of tumor on the external test set"
    assert measure_text(there) == "Dice of tumor on the external test set"
    assert measure_text(there, asked["home"]) == "recall of tumor at home"
    assert [patients_text(plan) for plan in (home, there)] == ["test patient", "external test patient"]
