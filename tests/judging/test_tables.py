from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from nephrite.errors import TrialError
from nephrite.judging.given import Score, gather
from nephrite.judging.tables import SEGMENTER, WHOLE, GivenTables
from nephrite.verdict.measures import Measure
from nephrite.verdict.trial import TrialPlan
from tests.judging.conftest import MakeGiven, scores_of

PLAN = TrialPlan("tumor", "real", ("fakes", "real"), overlap={WHOLE: 1.0})
PAIR = ("fakes", "real", (SEGMENTER,), WHOLE)


def recalls(open_ones: tuple[str, ...]) -> list[Score]:
    return [replace(s, metric="recall", value=None if s.patient in open_ones else s.value) for s in scores_of()]


def test_a_table_holds_what_was_given(make_given: MakeGiven) -> None:
    tables = GivenTables(PLAN, make_given())
    assert tables.kinds() == [(WHOLE, SEGMENTER, "real"), (WHOLE, SEGMENTER, "fakes")]
    given = {(s.replicate, s.patient): s.value for s in scores_of() if s.arm == "fakes"}
    table = tables.table("fakes", SEGMENTER, WHOLE, (2, 0))
    assert table[0].tolist() == [given["2", patient] for patient in tables.columns()]
    assert table[1].tolist() == [given["0", patient] for patient in tables.columns()]
    assert tables.runs("fakes", "other", WHOLE) == {}


def test_three_replicates_are_a_sample_and_two_are_averaged(make_given: MakeGiven) -> None:
    assert GivenTables(PLAN, make_given()).differences(*PAIR).shape == (3, 10)
    few = GivenTables(PLAN, make_given(replicates=2))
    difference = few.table(*PAIR[:1], SEGMENTER, WHOLE, (0, 1)) - few.table("real", SEGMENTER, WHOLE, (0, 1))
    assert few.differences(*PAIR) == pytest.approx(difference.mean(axis=0)[None])


def test_only_shared_replicates_are_compared() -> None:
    ragged = gather([s for s in scores_of() if not (s.arm == "fakes" and s.replicate == "1")], "x")
    tables = GivenTables(PLAN, ragged)
    assert tables.runs("fakes", SEGMENTER, WHOLE) == {0: "0", 2: "2"}
    assert tables.shared_cells(*PAIR) == (0, 2)


def test_recall_is_of_those_who_have_the_region() -> None:
    measure = Measure("recall", "tumor")
    plan = replace(PLAN, metric="recall")
    tables = GivenTables(plan, gather([*scores_of(), *recalls(("p01", "p05"))], "x"))
    assert tables.columns() == tuple(f"p{number:02d}" for number in range(10) if number not in (1, 5))
    assert len(tables.columns(Measure("dice", "tumor"))) == 10
    assert np.isfinite(tables.table("real", SEGMENTER, WHOLE, (0, 1, 2), measure)).all()
    with pytest.raises(TrialError, match=r"2 of 10 patients have any tumor, and 3 are needed"):
        GivenTables(plan, gather([*scores_of(), *recalls(tuple(f"p{n:02d}" for n in range(8)))], "x"))


@pytest.mark.parametrize(
    ("plan", "told"),
    [
        (replace(PLAN, question=("fake", "real")), "has no arm 'fake'; its arms are real, fakes"),
        (replace(PLAN, copies={"again": "real"}), "has no arm 'again'"),
        (replace(PLAN, region="cyst"), r"has no Dice of 'cyst'; it has that of \['tumor'\]"),
        (replace(PLAN, metric="surface_dice"), "has no surface Dice of 'tumor'; it has that of no region"),
        (replace(PLAN, metric="cpm"), "'cpm' decides nothing here; name one of dice, surface_dice, recall"),
    ],
)
def test_what_the_scores_do_not_hold_is_named(make_given: MakeGiven, plan: TrialPlan, told: str) -> None:
    with pytest.raises(TrialError, match=told):
        GivenTables(plan, make_given())


def test_no_arm_has_a_validation_score(make_given: MakeGiven) -> None:
    with pytest.raises(TrialError, match="has no validation score"):
        GivenTables(PLAN, make_given()).validation_score("fakes", WHOLE)
