from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import pytest

from nephrite.errors import TrialError
from nephrite.verdict.comparisons import Pair, compare, judge_trial
from nephrite.verdict.measures import Measure
from nephrite.verdict.tables import Tables
from nephrite.verdict.trial import TrialPlan

SCORES = np.random.default_rng(3).uniform(0.4, 0.9, (3, 4, 9))


class Plain(Tables):
    """Three arms of four cells and nine patients; the last one lacks the first two cells."""

    plan = TrialPlan("tumor", "real", ("fakes", "real"), resamples=200)
    segmenters, training_sets, fractions = ("net",), ("real", "fakes", "late"), (1.0,)

    def runs(self, training_set: str, segmenter: str, fraction: float) -> Mapping[int, object]:
        return dict.fromkeys(range(2 * (training_set == "late"), 4))

    def columns(self, measure: Measure | None = None) -> tuple[str, ...]:
        return tuple("abcdefghi")

    def table(
        self, training_set: str, segmenter: str, fraction: float, cells: Sequence[int], measure: Measure | None = None
    ) -> np.ndarray:
        return SCORES[self.training_sets.index(training_set), list(cells)]

    def validation_score(self, training_set: str, fraction: float) -> float:
        return 0.0


class Sparing(Plain):
    SAMPLE_FROM = 3


def test_whatever_has_tables_is_judged() -> None:
    judged = judge_trial(Plain())
    assert judged.headline
    assert judged.headline.interval.mean == pytest.approx((SCORES[1] - SCORES[0]).mean())
    assert [row.pair.training_set for row in judged.with_reference] == ["fakes", "late"]
    assert judged.with_reference[1].cells == (2, 3)


def test_few_cells_are_averaged_where_they_are_no_sample() -> None:
    pair = Pair("late", "real", ("net",), 1.0)
    plain, sparing = compare(Plain(), pair), compare(Sparing(), pair)
    assert (plain.over_cells, sparing.over_cells) == (True, False)
    assert plain.interval.mean == pytest.approx(sparing.interval.mean)
    assert plain.sampled_cells == (2, 3)
    assert sparing.sampled_cells == (2,)
    assert sparing.verdict.word == "not enough runs"
    assert Sparing().differences(*pair)[0] == pytest.approx((SCORES[2] - SCORES[0])[2:].mean(axis=0))


def test_a_family_may_hold_both_kinds() -> None:
    rows = judge_trial(Sparing()).with_reference
    assert [row.over_cells for row in rows] == [True, False]
    assert all(row.p_adjusted >= row.p for row in rows)


def test_arms_without_a_common_cell_are_named() -> None:
    class Apart(Plain):
        def runs(self, training_set: str, segmenter: str, fraction: float) -> Mapping[int, object]:
            return {self.training_sets.index(training_set): None}

    with pytest.raises(TrialError, match=r"fakes against real \(net, label fraction 1.0\): share no cell"):
        Apart().shared_cells("fakes", "real", ("net",), 1.0)
