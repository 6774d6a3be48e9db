from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path

import pytest

from nephrite.errors import StoreError, TrackingError
from nephrite.recording import ArmRow, SilentRun
from nephrite.spool import CALLS, HEAD, Head, LastingRun, find_spools, send, spool_of

HEAD_OF_RUN = Head("abc", "parent", "evaluate")


class Fragile(SilentRun):
    """Remembers its calls; fails from one call on, and once."""

    def __init__(self, fails_at: int | None = None) -> None:
        self.calls: list[tuple[object, ...]] = []
        self.fails_at = fails_at

    def heard(self, *call: object) -> None:
        if len(self.calls) == self.fails_at:
            self.fails_at = None
            raise TrackingError("http://mlflow", "does not answer", "start it")
        self.calls.append(call)

    def settings(self, values: Mapping[str, object]) -> None:
        self.heard("settings", dict(values))

    def metrics(self, values: Mapping[str, float], *, step: int) -> None:
        self.heard("metrics", dict(values), step)

    def artifact(self, path: Path, *, folder: str = "") -> None:
        files = {file.name: file.read_text() for file in ([path] if path.is_file() else sorted(path.iterdir()))}
        self.heard("artifact", path.name, folder, files)

    def tags(self, values: Mapping[str, str]) -> None:
        self.heard("tags", dict(values))

    def dataset(self, path: Path, *, name: str, digest: str) -> None:
        self.heard("dataset", path, name, digest)

    def judged(self, title: str, note: str, arms: Sequence[ArmRow]) -> None:
        self.heard("judged", title, note, list(arms))

    def end(self, status: str, *, reason: str = "") -> None:
        self.heard("end", status, reason)


def record(run: LastingRun, folder: Path) -> None:
    """Everything that a stage may record; its files are gone afterwards."""
    (folder / "card.json").write_text("card")
    (folder / "samples").mkdir()
    (folder / "samples" / "a.png").write_text("png")
    run.settings({"steps": 3})
    run.dataset(Path("data/prepared"), name="pairs", digest="d")
    run.metrics({"dice": 0.5}, step=3)
    run.tags({"source": "phantom"})
    run.artifact(folder / "card.json")
    run.artifact(folder / "samples", folder="samples")
    run.judged("t: helps", "**helps**", [ArmRow(arm="real/light/1.0/0", digest="d", metrics={"dice": 0.5})])
    run.end("FINISHED")
    (folder / "card.json").unlink()
    (folder / "samples" / "a.png").unlink()
    (folder / "samples").rmdir()


@pytest.fixture
def undisturbed(tmp_path: Path) -> list[tuple[object, ...]]:
    """The calls of a record that MLflow takes."""
    run = Fragile()
    record(LastingRun(run, HEAD_OF_RUN, tmp_path / "out.record"), tmp_path)
    assert list(tmp_path.iterdir()) == []
    assert len(run.calls) == 8
    return run.calls


@pytest.mark.parametrize("fails_at", range(8))
def test_what_fails_is_kept_and_sent_in_its_order(
    tmp_path: Path, undisturbed: list[tuple[object, ...]], fails_at: int, caplog: pytest.LogCaptureFixture
) -> None:
    run, spool = Fragile(fails_at), spool_of(tmp_path / "out")
    record(LastingRun(run, HEAD_OF_RUN, spool), tmp_path)
    assert run.calls == undisturbed[:fails_at]
    assert [text.count("nephrite upload") for text in caplog.messages] == [1]
    # later, by another process
    assert find_spools(tmp_path) == find_spools(tmp_path, deep=False) == [spool]
    heads: list[Head] = []

    def open_again(head: Head) -> Fragile:
        heads.append(head)
        return run

    assert send(spool, open_again) == 8 - fails_at
    assert (run.calls, heads) == (undisturbed, [HEAD_OF_RUN])
    assert list(tmp_path.iterdir()) == []


def test_sending_that_is_cut_goes_on_where_it_was(tmp_path: Path, undisturbed: list[tuple[object, ...]]) -> None:
    run, spool = Fragile(2), spool_of(tmp_path / "out")
    record(LastingRun(run, HEAD_OF_RUN, spool), tmp_path)
    run.fails_at = 4
    with pytest.raises(TrackingError):
        send(spool, lambda head: run)
    assert send(spool, lambda head: run) == 4
    assert run.calls == undisturbed


def test_line_that_a_kill_has_cut_is_left_out(tmp_path: Path, undisturbed: list[tuple[object, ...]]) -> None:
    run, spool = Fragile(2), spool_of(tmp_path / "out")
    record(LastingRun(run, HEAD_OF_RUN, spool), tmp_path)
    text = (spool / CALLS).read_text()
    (spool / CALLS).write_text(text[:-5])
    send(spool, lambda head: run)
    assert run.calls == undisturbed[:-1]


@pytest.mark.parametrize(
    ("file", "content"),
    [
        (HEAD, "{"),
        (HEAD, '{"run_id": 3}'),
        (CALLS, "[]\n"),
        (CALLS, "x\n"),
        (CALLS, json.dumps({"name": "__init__", "arguments": {}}) + "\n"),
    ],
)
def test_damaged_spool_is_one_error(tmp_path: Path, file: str, content: str) -> None:
    spool = spool_of(tmp_path / "out")
    record(LastingRun(Fragile(0), HEAD_OF_RUN, spool), tmp_path)
    (spool / file).write_text(content)
    with pytest.raises(StoreError, match="remove the folder"):
        send(spool, lambda head: Fragile())


def test_error_passes_where_nobody_would_find_the_spool(tmp_path: Path) -> None:
    with pytest.raises(TrackingError, match="does not answer"):
        LastingRun(Fragile(0), HEAD_OF_RUN, None).tags({"a": "b"})
