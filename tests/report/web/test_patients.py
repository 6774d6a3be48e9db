from __future__ import annotations

from collections.abc import Callable

import pytest

from nephrite.report.summary import summarize
from nephrite.report.web.patients import Pair, patient_rows, patients_markdown, shown_pair
from nephrite.verdict.trial import Trial

MakeTrial = Callable[..., Trial]


def test_both_arms_of_the_headline_are_shown_with_every_segmenter_and_cell(make_trial: MakeTrial) -> None:
    record = summarize(make_trial())
    pair = shown_pair(record)
    assert pair is not None
    assert (pair.training_set, pair.against) == ("real+synthetic+geometric", "real+geometric")
    assert set(pair.with_it) == set(pair.without) == {(s, c) for s in ("light", "fpn") for c in range(3)}
    assert record.answer
    rows = patient_rows(pair)
    assert sum(row.difference for row in rows) / len(rows) == pytest.approx(record.answer.mean)


def test_without_any_comparison_there_are_no_patients(make_trial: MakeTrial) -> None:
    record = summarize(make_trial())
    assert shown_pair(record.model_copy(update={"answer": None, "comparisons": ()})) is None


def pair_of(gains: dict[str, tuple[float, float]]) -> Pair:
    """Two cells in which a patient gains so much."""
    units = [("light", 0), ("light", 1)]
    with_it = {unit: {name: 0.5 + gain[cell] for name, gain in gains.items()} for cell, unit in enumerate(units)}
    return Pair("fakes", "real", with_it, {unit: dict.fromkeys(gains, 0.5) for unit in units})


def test_patients_are_sorted_by_their_mean_difference_and_three_are_marked() -> None:
    rows = patient_rows(pair_of({"a": (0.0, 0.0), "b": (0.1, 0.3), "c": (-0.2, 0.0), "d": (0.0, 0.0)}))
    assert [row.patient for row in rows] == ["b", "a", "d", "c"]
    assert [row.mark for row in rows] == ["best", "", "median", "worst"]
    assert rows[0].difference == pytest.approx(0.2)


def test_the_cell_that_is_shown_is_closest_to_the_mean() -> None:
    pair = pair_of({"a": (0.0, 0.1)})
    third = ("light", 2)
    pair = pair._replace(with_it={**pair.with_it, third: {"a": 0.56}}, without={**pair.without, third: {"a": 0.5}})
    (row,) = patient_rows(pair)  # gains of 0, 0.1 and 0.06: on average 0.053
    assert row.unit == third
    assert row.mark == ""


def test_the_table_holds_volumes_where_they_are_known(make_trial: MakeTrial) -> None:
    record = summarize(make_trial())
    pair = shown_pair(record)
    assert pair
    rows = patient_rows(pair)
    text = patients_markdown(record, pair, rows, {row.patient: 20.0 for row in rows}, "Nothing is shown.")
    assert "10 test patients, Dice of tumor, mean over 3 cells" in text
    assert "Nothing is shown." in text
    first = rows[0]
    shown = (
        f"| {first.patient} | {first.difference:+.3f} | {first.with_it:.3f} | {first.without:.3f} | 20.00 | **best** |"
    )
    assert shown in text
    assert "in ml" not in patients_markdown(record, pair, rows, {}, "")


def test_where_another_measure_decides_it_is_said(make_trial: MakeTrial) -> None:
    record = summarize(make_trial())
    pair = shown_pair(record)
    assert pair
    other = record.model_copy(update={"plan": record.plan.model_copy(update={"metric": "cpm"})})
    assert "Another measure decides" in patients_markdown(other, pair, patient_rows(pair), {}, "")
    assert "Another measure decides" not in patients_markdown(record, pair, patient_rows(pair), {}, "")
