from __future__ import annotations

import os
import re
from collections.abc import Callable
from pathlib import Path

import pytest

from nephrite.config import Config
from nephrite.jobs import plan_chains
from nephrite.layout import Layout
from nephrite.pace import Pace
from nephrite.terminal import quiet
from nephrite.trial_bar import TrialBar
from tests.test_pace import ONE, REAL, SETTINGS


@pytest.fixture
def pace(load: Callable[..., Config], tmp_path: Path) -> Pace:
    """Two arms of 100 steps; data are there."""
    return Pace(plan_chains(load(*SETTINGS, *ONE), Layout(tmp_path)), {"acquire", "prepare"}, tmp_path)


def say(bar: TrialBar, *messages: str) -> None:
    for message in messages:
        bar.pipe.send_bytes(message.encode())


def test_without_a_terminal_lines_are_told_now_and_then(pace: Pace, capsys: pytest.CaptureFixture[str]) -> None:
    with TrialBar(pace, 2) as bar:
        say(bar, f"share 0 0 {REAL}", *(f"share 1 {number / 100} {REAL}" for number in range(100)))
        say(bar, "line evaluate: [bold]dice[/bold] 0.5")
    told = capsys.readouterr().err.splitlines()
    assert told[-1] == "evaluate: [bold]dice[/bold] 0.5"
    assert 8 <= len(told) <= 12
    assert re.fullmatch(r"trial: \d+%, step \d+ of 200, time left: not known yet", told[0])


def test_the_end_of_a_chain_moves_the_bar_without_any_message(pace: Pace, capsys: pytest.CaptureFixture[str]) -> None:
    with TrialBar(pace, 2) as bar:
        for chain in pace.chains:
            bar.end(chain)
    assert capsys.readouterr().err.splitlines()[-1] == "trial: 100%, step 200 of 200, about 0 seconds left"


def test_quiet_tells_nothing(pace: Pace, capsys: pytest.CaptureFixture[str]) -> None:
    with quiet(True), TrialBar(pace, 2) as bar:
        say(bar, "line one", f"share 1 0.9 {REAL}")
    assert capsys.readouterr() == ("", "")


def test_on_a_terminal_lines_stand_above_one_bar(
    pace: Pace, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TTY_COMPATIBLE", "1")
    monkeypatch.setenv("COLUMNS", "80")
    with TrialBar(pace, 2) as bar:
        say(bar, f"share 1 0.5 {REAL}", "line a result")
    shown = re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", capsys.readouterr().err)
    lines = [line.strip() for line in re.split(r"[\r\n]+", shown) if line.strip()]
    assert "a result" in lines
    assert re.search(r"^trial .* 2\d% step 50 of 200 0:00:0\d time left: not known yet$", lines[-1])
    assert all(line == "a result" or line.startswith("trial ") for line in lines)
    assert max(map(len, lines)) <= int(os.environ["COLUMNS"])
