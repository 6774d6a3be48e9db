from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from scipy import stats

from nephrite.errors import StoreError
from nephrite.evidence import sealed
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


BOTH = replace(FIRST, asked="both", patients=("a", "b"), external=("x", "y"))


def test_a_look_at_two_sets_has_the_larger_number_of_both() -> None:
    home = [FIRST, replace(FIRST, asked="second", number=2)]
    there = [replace(FIRST, asked="there", patients=("x",))]
    both = placed([*home, *there], BOTH)
    assert both.number == 3
    assert placed([*there], BOTH).number == 2
    assert level([*home, *there, both], both, 0.05) == pytest.approx(0.05 / 12)


def test_a_second_trial_on_the_same_external_set_is_its_second_look() -> None:
    other_home = replace(BOTH, asked="another", patients=("k",))
    assert placed([BOTH], other_home).number == 2
    assert placed([BOTH], replace(FIRST, asked="third", patients=("y",))).number == 2
    assert placed([BOTH], replace(BOTH, time="later")) == BOTH


def test_looks_at_one_of_two_sets_do_not_count_for_the_other() -> None:
    ledger = [BOTH, replace(FIRST, asked="third", patients=("y",), number=2)]
    assert [look.asked for look in sharing(ledger, ("a",))] == ["both"]
    assert placed(ledger, replace(FIRST, asked="fourth")).number == 2
    assert placed(ledger, replace(FIRST, asked="fourth", patients=("x",))).number == 3


def test_cells_that_were_planned_are_the_same_look_at_both_sets() -> None:
    few = replace(BOTH, cells=(0, 1, 2), share=3 / 8)
    every = placed([few], replace(BOTH, cells=tuple(range(8))))
    assert (few.number, every.number) == (1, 1)
    levels = [level([few, every], look, 0.05) for look in (few, every)]
    assert sum(levels) == pytest.approx(0.025)


def test_a_ledger_of_an_older_version_is_read(tmp_path: Path) -> None:
    path = tmp_path / "looks.json"
    write_looks(path, [FIRST, BOTH])
    assert read_looks(path) == [FIRST, BOTH]
    content = read_json(path)
    content["looks"] = [{key: value for key, value in content["looks"][0].items() if key != "external"}]
    write_json(path, sealed(content))
    assert read_looks(path) == [FIRST]


def test_no_set_pays_more_than_alpha_in_whatever_order_sets_are_looked_at() -> None:
    generator, ledger = np.random.default_rng(2), list[Look]()
    sets: dict[str, tuple[str, ...]] = {"home": ("a",), "there": ("x",), "third": ("k",)}
    paid = dict.fromkeys(sets, 0.0)
    for number in range(200):
        chosen = [name for name in sets if generator.random() < 0.6] or ["home"]
        marks = [sets[name] for name in chosen][:2]
        asked = replace(FIRST, asked=str(number), patients=marks[0], external=marks[1] if marks[1:] else ())
        look = placed(ledger, asked)
        ledger.append(look)
        for name in chosen[:2]:
            paid[name] += level(ledger, look, 0.05)
    assert max(paid.values()) < 0.05
    assert min(paid.values()) > 0.005
