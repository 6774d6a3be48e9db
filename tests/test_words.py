from __future__ import annotations

import pytest

from nephrite.words import counted, duration, markdown_table


@pytest.mark.parametrize(("number", "text"), [(0, "0 cells"), (1, "1 cell"), (3, "3 cells")])
def test_a_number_has_its_noun(number: int, text: str) -> None:
    assert counted(number, "cell") == text


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(1, "1 seconds"), (119, "119 seconds"), (120, "2.0 minutes"), (7199, "120 minutes"), (7920, "2.2 hours"),
     (40 * 86_400, "40 days")],
)  # fmt: skip
def test_a_duration_has_two_digits_and_the_largest_unit_of_which_there_are_two(seconds: float, text: str) -> None:
    assert duration(seconds) == text


def test_table_has_a_head_a_rule_and_its_rows() -> None:
    assert markdown_table(["a", "b"], [["x", 1], ["y", 2.5]]) == "| a | b |\n| --- | --- |\n| x | 1 |\n| y | 2.5 |"
