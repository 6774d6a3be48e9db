from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from scipy import stats

from nephrite.errors import StoreError
from nephrite.files import read_json, write_json
from nephrite.verdict.looks import Look, level, merged, placed, read_looks, sharing, spent, write_looks

FIRST = Look("report", "lidc", "recipe", (0, 1, 2), 1.0, ("a", "b"), 1, "2026-01-01T00:00:00+00:00")


def _ask(ledger: list[Look], **changes: object) -> Look:
    return placed(ledger, replace(FIRST, time="2026-02-02T00:00:00+00:00", **changes))  # type: ignore[arg-type]  # some of its fields


def test_the_first_look_is_number_one_and_the_same_question_stays_the_same_look() -> None:
    assert _ask([]).number == 1
    assert _ask([FIRST]) == FIRST


@pytest.mark.parametrize("change", [{"asked": "another"}, {"cells": (0, 1, 2, 3)}, {"cells": (0, 1)}])
def test_another_recipe_or_other_cells_are_a_further_look(change: dict[str, object]) -> None:
    assert _ask([FIRST], **change).number == 2


def test_looks_at_other_patients_do_not_count() -> None:
    assert _ask([FIRST], asked="another", patients=("c", "d")).number == 1


def test_test_sets_that_share_a_patient_share_their_looks() -> None:
    ledger = [FIRST, replace(FIRST, asked="second", patients=("b", "c"), number=2)]
    assert _ask(ledger, asked="third", patients=("c", "d")).number == 3
    assert sharing(ledger, ("c",)) == ledger
    assert sharing(ledger, ("e",)) == []


def test_sets_that_meet_later_are_all_counted() -> None:
    ledger = [FIRST, replace(FIRST, asked="second", patients=("c",))]
    assert _ask(ledger, asked="third", patients=("a", "c")).number == 3


def test_promotions_and_reports_share_one_count() -> None:
    promotion = replace(FIRST, kind="promotion", asked="weights", cells=(), number=2)
    assert _ask([FIRST, promotion], asked="third").number == 3


@pytest.mark.parametrize(("number", "share"), [(1, 2), (2, 6), (3, 12), (10, 110)])
def test_the_kth_look_gets_its_share_of_alpha(number: int, share: int) -> None:
    assert level([], replace(FIRST, number=number), 0.05) == pytest.approx(0.05 / share)


def test_all_looks_together_cost_no_more_than_alpha() -> None:
    assert sum(level([], replace(FIRST, number=k), 0.05) for k in range(1, 10_000)) < 0.05


def test_cells_that_were_planned_are_the_same_look_and_paid_along_the_way() -> None:
    few = replace(FIRST, cells=(0, 1, 2), share=3 / 8)
    more = _ask([few], cells=(0, 1, 2, 3, 4), share=5 / 8)
    every = _ask([few, more], cells=tuple(range(8)), share=1.0)
    ledger = [few, more, every]
    assert [look.number for look in ledger] == [1, 1, 1]
    levels = [level(ledger, look, 0.05) for look in ledger]
    assert levels == sorted(levels)
    assert sum(levels) == pytest.approx(0.025)
    assert levels[0] < 0.001
    assert levels[2] > 0.02


def test_other_cells_than_those_that_were_seen_are_a_further_look() -> None:
    few = replace(FIRST, cells=(0, 1, 2), share=3 / 8)
    assert _ask([few], cells=(3, 4, 5, 6, 7), share=5 / 8).number == 2
    assert _ask([few], cells=(0, 1), share=2 / 8).number == 2


def test_the_boundary_is_that_of_lan_and_demets() -> None:
    # their table of the O'Brien-Fleming type, alpha 0.05 two-sided, at a half and at all of the information
    assert spent(0.5, 0.05) == pytest.approx(2 * (1 - 0.99721), abs=1e-4)
    assert spent(1.0, 0.05) == pytest.approx(0.05)


def test_looks_between_cells_raise_no_false_alarm() -> None:
    generator, planned, trials = np.random.default_rng(0), 8, 40_000
    by_cell = generator.standard_normal((trials, planned))
    found, ledger = np.zeros(trials, bool), list[Look]()
    for cells in (3, 5, 8):
        look = _ask(ledger, cells=tuple(range(cells)), share=cells / planned)
        ledger.append(look)
        statistic = np.abs(by_cell[:, :cells].sum(axis=1)) / np.sqrt(cells)
        found |= 2 * stats.norm.sf(statistic) < level(ledger, look, 0.05)
    assert found.mean() <= 0.025 + 0.0024


def test_ledgers_are_merged_without_counting_a_look_twice() -> None:
    second = replace(FIRST, asked="second", number=2)
    assert merged([FIRST, second], [replace(FIRST, number=3), second]) == [FIRST, second]


def test_a_file_keeps_the_looks(tmp_path: Path) -> None:
    path, second = tmp_path / "looks.json", replace(FIRST, asked="second", number=2)
    assert read_looks(path) is None
    write_looks(path, [FIRST, second])
    assert read_looks(path) == [FIRST, second]


def test_a_ledger_that_was_changed_by_hand_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "looks.json"
    write_looks(path, [FIRST])
    content = read_json(path)
    content["looks"] = []
    write_json(path, content)
    with pytest.raises(StoreError, match=r"looks.json: was changed after it was written.*restore it from version"):
        read_looks(path)
    path.write_text("{")
    with pytest.raises(StoreError, match="is not JSON"):
        read_looks(path)
