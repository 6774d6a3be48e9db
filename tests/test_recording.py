from __future__ import annotations

from pathlib import Path

from nephrite.recording import Run, SilentRun, captions


def test_the_silent_run_is_a_run_without_an_id(tmp_path: Path) -> None:
    run: Run = SilentRun()
    run.settings({"a": 1})
    run.metrics({"loss": 0.5}, step=1)
    run.artifact(tmp_path)
    run.tags({"a": "b"})
    run.dataset(tmp_path, name="pairs", digest="0")
    assert run.id is None
    assert not list(tmp_path.iterdir())


def test_captions_are_a_note_with_a_line_for_each_picture() -> None:
    assert captions({"a.png": "one", "b/": "two"}) == {"mlflow.note.content": "* `a.png`: one\n* `b/`: two"}
