from __future__ import annotations

import errno
import tempfile
from pathlib import Path
from threading import Thread

import pytest

from nephrite.errors import OutputError
from nephrite.files import whole_folder
from nephrite.locks import wait_turn


def test_second_writer_of_a_folder_is_refused(tmp_path: Path) -> None:
    with whole_folder(tmp_path / "out", "pairs") as folder:
        (folder / "file").touch()
        with (
            pytest.raises(OutputError, match="out: is being written by another process"),
            whole_folder(tmp_path / "out", "pairs"),
        ):
            pytest.fail("the block must not start")
    assert (tmp_path / "out" / "file").exists()


def test_file_system_without_locks_is_written_all_the_same(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: int) -> None:
        raise OSError(errno.ENOLCK, "no locks here")

    monkeypatch.setattr("nephrite.locks.fcntl.flock", refuse)
    with whole_folder(tmp_path / "out", "pairs") as folder:
        (folder / "file").touch()
    assert (tmp_path / "out" / "file").exists()


def test_others_wait_for_their_turn(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    order = list[str]()

    def second() -> None:
        with wait_turn("something"):
            order.append("second")

    other = Thread(target=second)
    with wait_turn("something"), wait_turn("something else"):
        other.start()
        other.join(0.3)
        order.append("first")
    other.join(10)
    assert order == ["first", "second"]
