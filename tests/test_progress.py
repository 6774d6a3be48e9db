from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from multiprocessing import Pipe
from multiprocessing.connection import Connection

import pytest
from rich.progress import TextColumn

from nephrite.progress import LONGEST, Share, Worker, become_worker, begin_job, new_bar, progress_bar, read_message
from nephrite.terminal import quiet


def test_items_pass_in_order_and_the_count_is_shown(capsys: pytest.CaptureFixture[str]) -> None:
    assert list(progress_bar(iter("abc"), "letters", 3)) == ["a", "b", "c"]
    shown = capsys.readouterr()
    assert "letters" in shown.err
    assert "3/3" in shown.err
    assert not shown.out


def test_nothing_is_shown_where_quiet_is_wanted(capsys: pytest.CaptureFixture[str]) -> None:
    with quiet(True):
        assert list(progress_bar(iter("abc"), "letters", 3)) == ["a", "b", "c"]
    assert capsys.readouterr() == ("", "")


def test_a_bar_may_have_columns_of_its_own() -> None:
    assert len(new_bar(only_on_terminal=True, columns=[TextColumn("one")]).columns) == 1


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


@contextmanager
def worker() -> Iterator[Connection]:
    """Let this process be a worker; gives what it says."""
    reader, writer = Pipe(duplex=False)
    before = sys.stdout, sys.stderr
    become_worker(writer)
    try:
        yield reader
    finally:
        (sys.stdout, sys.stderr), Worker.here = before, None
        reader.close()
        writer.close()


def messages(reader: Connection) -> list[Share | str]:
    found = []
    while reader.poll():
        message = reader.recv_bytes()
        assert len(message) < 4000
        found.append(read_message(message))
    return found


def test_a_worker_says_how_far_its_job_is() -> None:
    job = "evaluate real/light/1.0/0"
    with worker() as heard:
        begin_job(job)
        assert list(progress_bar(iter("abcd"), "letters", 4)) == ["a", "b", "c", "d"]
        assert messages(heard) == [Share(job, 0, 0.0), Share(job, 1, 0.25), Share(job, 1, 1.0)]


def test_a_worker_does_not_say_what_is_quiet() -> None:
    with worker() as heard, quiet(True):
        assert list(progress_bar(iter("ab"), "steps on noise", 2)) == ["a", "b"]
        assert messages(heard) == []


def test_a_worker_says_where_a_resumed_training_goes_on() -> None:
    with worker() as heard:
        begin_job("train")
        for _ in range(2):
            bar = new_bar(only_on_terminal=True)
            bar.update(bar.add_task("training", total=None), total=8, completed=2)
        assert messages(heard) == [Share("train", 0, 0.0), Share("train", 1, 0.25), Share("train", 2, 0.25)]


def test_what_a_worker_prints_is_said_line_by_line() -> None:
    with worker() as heard:
        sys.stdout.write("one\ntwo ")
        sys.stderr.write("beside\n")
        sys.stdout.write("words\n\n")
        assert messages(heard) == ["one", "beside", "two words", ""]


def test_a_long_line_is_said_in_parts_that_a_pipe_takes_at_once() -> None:
    with worker() as heard:
        sys.stdout.write("\N{GRINNING FACE}" * (LONGEST + 1) + "\n")
        assert [len(str(line)) for line in messages(heard)] == [LONGEST, 1]


def test_nobody_who_listens_is_no_error() -> None:
    with worker() as heard:
        heard.close()
        sys.stdout.write("one\n")


def test_elsewhere_a_job_is_not_told_of(capsys: pytest.CaptureFixture[str]) -> None:
    begin_job("train")
    assert capsys.readouterr() == ("", "")
