from __future__ import annotations

import pytest

from nephrite.progress import progress_bar


def test_items_pass_in_order_and_the_count_is_shown(capsys: pytest.CaptureFixture[str]) -> None:
    assert list(progress_bar(iter("abc"), "letters", 3)) == ["a", "b", "c"]
    shown = capsys.readouterr()
    assert "letters" in shown.err
    assert "3/3" in shown.err
    assert not shown.out
