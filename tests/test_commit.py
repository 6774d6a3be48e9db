from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from nephrite.commit import CodeState, code_state


@pytest.fixture(autouse=True)
def outside_git(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A working folder of no repository, and no commit in the environment."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("GIT_CEILING_DIRECTORIES", str(tmp_path.parent))
    monkeypatch.delenv("NEPHRITE_COMMIT", raising=False)


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    """A repository of one commit with one file."""
    (tmp_path / "file").write_text("one")
    identity = ("-c", "user.name=t", "-c", "user.email=t@t")
    for command in (("init", "-q"), ("add", "file"), (*identity, "commit", "-qm", "first")):
        subprocess.run(["git", *command], check=True)
    return tmp_path


def test_commit_and_changes_are_read_from_git(repository: Path) -> None:
    assert (len(code_state().commit or ""), code_state().dirty) == (40, False)
    (repository / "file").write_text("two")
    assert code_state().dirty


def test_file_that_git_does_not_track_is_a_difference_only_if_asked(repository: Path) -> None:
    assert not code_state(untracked=True).dirty
    (repository / "new").touch()
    assert not code_state().dirty
    assert code_state(untracked=True).dirty


def test_folder_outside_git_has_no_commit() -> None:
    assert code_state() == CodeState(None, dirty=False)


def test_machine_without_git_has_no_commit(repository: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(repository))
    assert code_state().commit is None


def test_image_carries_its_commit_whatever_folder_it_works_in(
    repository: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("NEPHRITE_COMMIT", "4f2a-dirty")
    assert code_state() == CodeState("4f2a", dirty=True)
    monkeypatch.setenv("NEPHRITE_COMMIT", "4f2a")
    assert code_state() == CodeState("4f2a", dirty=False)


@pytest.mark.parametrize(
    ("state", "told"),
    [
        (CodeState("4f2a", dirty=False), "4f2a"),
        (CodeState("4f2a", dirty=True), "4f2a-dirty"),
        (CodeState(None, dirty=False), "unknown"),
    ],
)
def test_state_as_text_says_whether_files_differ(state: CodeState, told: str) -> None:
    assert str(state) == told
