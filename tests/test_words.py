from __future__ import annotations

import pytest

from nephrite.words import counted


@pytest.mark.parametrize(("number", "text"), [(0, "0 cells"), (1, "1 cell"), (3, "3 cells")])
def test_a_number_has_its_noun(number: int, text: str) -> None:
    assert counted(number, "cell") == text
