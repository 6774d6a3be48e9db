from __future__ import annotations

import os
import signal
from pathlib import Path
from typing import Any

import pytest
import torch
from lightning.pytorch import Trainer
from torch import Tensor
from torch.utils.data import DataLoader

from nephrite.config import ComputeSettings
from nephrite.errors import NonFiniteLossError
from nephrite.files import BEFORE, CHECKPOINT, KEPT_STEPS, read_json
from nephrite.recording import SilentRun
from nephrite.training.trainer import RecordedModule, check_finite, fit


def compute(minutes: float = 60) -> ComputeSettings:
    return ComputeSettings(
        accelerator="cpu",
        devices=1,
        strategy="auto",
        precision="32-true",
        loader_workers=0,
        threads=1,
        checkpoint_minutes=minutes,
    )


class Walk(RecordedModule):
    """One weight that takes a random step per batch; its whole way shows in the history."""

    def __init__(
        self, break_in_epoch: int | None = None, terminate_at: int | None = None, break_at: int | None = None
    ) -> None:
        super().__init__(seed=5)
        self.break_at = break_at
        self.break_in_epoch, self.terminate_at, self.steps = break_in_epoch, terminate_at, 0
        self.drift = torch.zeros(1)
        self.weight = torch.nn.Parameter(torch.zeros(1))

    def train_dataloader(self) -> DataLoader[Any]:
        return DataLoader(torch.zeros(3, 1))  # type: ignore[arg-type]  # a tensor is a data set, though not by name

    def training_step(self, batch: Tensor, batch_idx: int) -> Tensor:
        if self.current_epoch == self.break_in_epoch:
            raise KeyError("killed")
        self.steps += 1
        if self.steps == self.break_at:
            raise KeyError("killed")
        if self.steps == self.terminate_at:
            os.kill(os.getpid(), signal.SIGTERM)
        self.drift = self.drift + self.weight.detach()
        return (self.weight * torch.randn(1)).sum()

    def epoch_state(self) -> dict[str, Tensor]:
        return {"drift": self.drift}

    def load_epoch_state(self, state: dict[str, Tensor]) -> None:
        self.drift = state.get("drift", self.drift)

    def configure_optimizers(self) -> torch.optim.Optimizer:
        return torch.optim.Adam(self.parameters(), lr=0.1)

    def on_train_epoch_end(self) -> None:
        row = {"step": float(self.step_of(3)), "weight": self.weight.item(), "drift": self.drift.item()}
        self.history.append(row)
        self.drift = torch.zeros(1)


class Recorder(SilentRun):
    def __init__(self) -> None:
        self.rows: list[tuple[int, dict[str, float]]] = []

    def metrics(self, values: Any, *, step: int) -> None:
        self.rows.append((step, dict(values)))


def walk(
    folder: Path, run: SilentRun | None = None, break_in_epoch: int | None = None, terminate_at: int | None = None
) -> Walk:
    module = Walk(break_in_epoch, terminate_at)
    fit(module, compute(), folder=folder, epochs=4, run=run or SilentRun(), text="walk")
    return module


def test_resumed_training_ends_like_an_undisturbed_one(tmp_path: Path) -> None:
    undisturbed = walk(tmp_path / "a")
    with pytest.raises(KeyError, match="killed"):
        walk(tmp_path / "b", break_in_epoch=2)
    resumed = walk(tmp_path / "b")
    assert len(resumed.history) == 4
    assert resumed.history == undisturbed.history


@pytest.mark.parametrize("step", range(1, 12))
def test_terminated_training_resumes_at_the_same_step(tmp_path: Path, step: int) -> None:
    undisturbed = walk(tmp_path / "a")
    before = signal.getsignal(signal.SIGTERM)
    with pytest.raises(SystemExit) as ended:
        walk(tmp_path / "b", terminate_at=step)
    assert ended.value.code == 143
    assert signal.getsignal(signal.SIGTERM) == before
    kept = read_json(tmp_path / "b" / KEPT_STEPS)["steps"]
    resumed = walk(tmp_path / "b")
    assert resumed.history == undisturbed.history
    assert (resumed.steps, kept) == (12 - step, step)


@pytest.mark.parametrize("step", range(2, 13))
def test_killed_training_goes_on_from_the_checkpoint_of_the_step_before(tmp_path: Path, step: int) -> None:
    undisturbed = walk(tmp_path / "a")
    module = Walk(break_at=step)
    with pytest.raises(KeyError, match="killed"):
        fit(module, compute(1e-9), folder=tmp_path / "b", epochs=4, run=SilentRun(), text="walk")
    resumed = walk(tmp_path / "b")
    assert resumed.history == undisturbed.history
    assert resumed.steps == 12 - (step - 1)  # nothing but the step that did not end is done again


def test_checkpoints_within_an_epoch_wait_for_their_time(tmp_path: Path) -> None:
    with pytest.raises(KeyError, match="killed"):
        fit(Walk(break_at=6), compute(60), folder=tmp_path, epochs=4, run=SilentRun(), text="walk")
    assert walk(tmp_path).steps == 12 - 3


def test_kill_while_a_checkpoint_is_written_costs_that_one_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    undisturbed = walk(tmp_path / "a")
    written: list[Path] = []

    def broken(self: Trainer, path: Path, **_: object) -> None:
        written.append(path)
        if len(written) == 5:
            Path(path).write_bytes(b"half")
            raise KeyError("killed")
        whole(self, path)

    whole = Trainer.save_checkpoint
    monkeypatch.setattr(Trainer, "save_checkpoint", broken)
    with pytest.raises(KeyError, match="killed"):
        fit(Walk(), compute(1e-9), folder=tmp_path / "b", epochs=4, run=SilentRun(), text="walk")
    monkeypatch.undo()
    resumed = walk(tmp_path / "b")
    assert resumed.history == undisturbed.history
    assert resumed.steps == 12 - 4
    assert CHECKPOINT in {path.name for path in (tmp_path / "b").iterdir()}


def test_run_hears_one_row_per_epoch(tmp_path: Path) -> None:
    recorder = Recorder()
    module = walk(tmp_path, recorder)
    assert [step for step, _ in recorder.rows] == [3, 6, 9, 12]
    assert [values["weight"] for _, values in recorder.rows] == [row["weight"] for row in module.history]


def test_training_is_silent_and_leaves_only_its_checkpoint(
    tmp_path: Path, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    walk(tmp_path / "folder")
    assert capfd.readouterr() == ("", "")
    assert sorted(path.name for path in tmp_path.rglob("*")) == [BEFORE, "folder", KEPT_STEPS, CHECKPOINT]


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_loss_that_is_not_finite_is_named_with_its_step(value: float) -> None:
    check_finite("Dice", torch.tensor(0.5), 6)
    with pytest.raises(NonFiniteLossError, match=rf"Dice: is {value} at optimizer step 7"):
        check_finite("Dice", torch.tensor(value), 6)
