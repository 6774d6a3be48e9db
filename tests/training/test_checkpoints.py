from __future__ import annotations

from pathlib import Path

import pytest
import torch

from nephrite.errors import OutputError, TrainingError
from nephrite.files import PARTIAL
from nephrite.ownership import MARK
from nephrite.training.checkpoints import BEFORE, CHECKPOINT, FINGERPRINT, resumable_folder, whole_checkpoint


def test_folder_loses_its_marks_when_it_is_whole(tmp_path: Path) -> None:
    with resumable_folder(tmp_path / "model", {"seed": 1}) as folder:
        (folder / CHECKPOINT).write_text("x")
        (folder / "weights").write_text("x")
    assert sorted(path.name for path in (tmp_path / "model").iterdir()) == [MARK, "weights"]
    assert [path.name for path in tmp_path.iterdir()] == ["model"]


def leave_attempt(target: Path, error: Exception) -> None:
    with resumable_folder(target, {"seed": 1}) as folder:
        (folder / CHECKPOINT).write_text("x")
        raise error


@pytest.mark.parametrize(("seed", "kept"), [(1, True), (2, False)])
def test_attempt_is_resumed_only_under_the_same_fingerprint(tmp_path: Path, seed: int, kept: bool) -> None:
    with pytest.raises(KeyError):
        leave_attempt(tmp_path / "model", KeyError())
    with resumable_folder(tmp_path / "model", {"seed": seed}) as folder:
        assert (folder / CHECKPOINT).exists() == kept


def test_failed_training_leaves_nothing(tmp_path: Path) -> None:
    with pytest.raises(TrainingError):
        leave_attempt(tmp_path / "model", TrainingError("a", "b", "c"))
    assert list(tmp_path.iterdir()) == []


def test_further_ranks_neither_own_nor_rename_the_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LOCAL_RANK", "1")
    with resumable_folder(tmp_path / "model", {}) as folder:
        assert folder == tmp_path / f"model{PARTIAL}"
    assert not (tmp_path / "model").exists()


@pytest.mark.parametrize("durable", [False, True])
def test_attempt_that_still_runs_is_left_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, durable: bool) -> None:
    if durable:
        monkeypatch.setenv("NEPHRITE_CHECKPOINTS", str(tmp_path / "durable"))
    with resumable_folder(tmp_path / "model", {"seed": 1}) as folder:
        (folder / CHECKPOINT).write_text("x")
        with pytest.raises(OutputError, match="is being written by another process"):
            leave_attempt(tmp_path / "model", KeyError())
        assert (folder / CHECKPOINT).exists()


def test_attempt_with_a_damaged_fingerprint_is_thrown_away(tmp_path: Path) -> None:
    with pytest.raises(KeyError):
        leave_attempt(tmp_path / "model", KeyError())
    (tmp_path / f"model{PARTIAL}" / FINGERPRINT).write_text('{"dig')
    with resumable_folder(tmp_path / "model", {"seed": 1}) as folder:
        assert not (folder / CHECKPOINT).exists()


def keep(path: Path, value: float) -> bytes:
    torch.save({"weight": torch.full((500,), value)}, path)
    return path.read_bytes()


@pytest.mark.parametrize("share", [0.0, 0.5, 0.999])
def test_damaged_checkpoint_is_discarded_and_an_older_one_kept(
    tmp_path: Path, share: float, caplog: pytest.LogCaptureFixture
) -> None:
    keep(tmp_path / BEFORE, 1)
    content = keep(tmp_path / CHECKPOINT, 2)
    assert whole_checkpoint(tmp_path) == tmp_path / CHECKPOINT
    (tmp_path / CHECKPOINT).write_bytes(content[: int(share * len(content))])
    assert whole_checkpoint(tmp_path) == tmp_path / BEFORE
    assert [path.name for path in tmp_path.iterdir()] == [BEFORE]
    assert f"{CHECKPOINT}: is damaged and is discarded" in caplog.text
    (tmp_path / BEFORE).write_bytes(b"")
    assert whole_checkpoint(tmp_path) is None
    assert list(tmp_path.iterdir()) == []
