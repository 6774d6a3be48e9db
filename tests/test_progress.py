from __future__ import annotations

import pytest

from nephrite.progress import new_bar, progress_bar


def test_items_pass_in_order_and_the_count_is_shown(capsys: pytest.CaptureFixture[str]) -> None:
    assert list(progress_bar(iter("abc"), "letters", 3)) == ["a", "b", "c"]
    shown = capsys.readouterr()
    assert "letters" in shown.err
    assert "3/3" in shown.err
    assert not shown.out


@pytest.mark.parametrize(
    ("terminal", "options", "hidden"),
    [
        ("0", {"only_on_terminal": True}, True),
        ("0", {"only_on_terminal": False}, False),
        ("1", {"only_on_terminal": True}, False),
        ("1", {"only_on_terminal": True, "shown": False}, True),
    ],
)
def test_bar_is_shown_where_it_was_asked_for(
    terminal: str, options: dict[str, bool], hidden: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TTY_COMPATIBLE", terminal)
    bar = new_bar(only_on_terminal=options["only_on_terminal"], shown=options.get("shown", True))
    assert bar.disable is hidden
