"""Shared by all trainings: Lightning's Trainer from the settings, checkpoints and resuming, progress, a history."""

from __future__ import annotations

import logging
import math
import signal
import sys
import threading
import time
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from lightning.pytorch import Callback, LightningModule, Trainer
from lightning.pytorch.callbacks import Checkpoint
from lightning.pytorch.utilities.exceptions import SIGTERMException
from torch import Tensor

from nephrite.config import ComputeSettings
from nephrite.errors import NonFiniteLossError, ResourceError
from nephrite.progress import new_bar
from nephrite.recording import Run
from nephrite.seeds import derive_seed
from nephrite.training.checkpoints import save_checkpoint, whole_checkpoint
from nephrite.training.devices import check_accelerator, node_count, process_rank, resolve_precision

Row = dict[str, float]


class RecordedModule(LightningModule):
    """A training with a history of one row per epoch that survives a kill.

    A subclass has `train_dataloader` (which may ask `self.trainer` for its rank, and skips the steps that are `done`),
    `training_step`, `configure_optimizers`, and adds a row to `history` in `on_train_epoch_end`; the checkpoint is
    written after it. What it gathers over an epoch is in `epoch_state`, so that a training can stop within one.

    Args:
        seed: for all random draws within a step (dropout, augmentation): see `step_seed`.

    Attributes:
        done: optimizer steps that were taken before this process resumed the training.
    """

    def __init__(self, seed: int) -> None:
        super().__init__()
        self.seed, self.done = seed, 0
        self.history: list[Row] = []

    def step_of(self, batch_index: int) -> int:
        """Number of a batch since the start of the training, whatever was resumed."""
        return self.current_epoch * int(self.trainer.num_training_batches) + batch_index

    def step_seed(self, batch_index: int) -> int:
        """Seed of one step, the same for all ranks."""
        return derive_seed(self.seed, "step", self.step_of(batch_index))

    def on_train_batch_start(self, batch: Any, batch_idx: int) -> None:
        """Seed torch anew, so that a resumed run draws the same dropout as an undisturbed one."""
        seed = self.step_seed(batch_idx) + self.global_rank
        # cheaper at every step than torch.manual_seed, which looks for every kind of device
        sow = torch.default_generator.manual_seed if self.device.type == "cpu" else torch.manual_seed
        sow(seed)

    def epoch_state(self) -> dict[str, Tensor]:
        """What was gathered since the epoch began; empty between epochs."""
        return {}

    def load_epoch_state(self, state: dict[str, Tensor]) -> None:
        """Restore what `epoch_state` gave."""

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Keep the history, and how far this epoch has come."""
        ended = len(self.history) > self.current_epoch
        batches = 0 if ended else self.trainer.fit_loop.epoch_loop.batch_progress.current.completed
        checkpoint["history"] = self.history
        checkpoint["done"] = len(self.history) * int(self.trainer.num_training_batches) + batches
        checkpoint["epoch_state"] = {} if ended else self.epoch_state()

    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Restore them."""
        self.history, self.done = checkpoint["history"], checkpoint["done"]
        self.load_epoch_state(checkpoint["epoch_state"])


class Record(Checkpoint):
    """Writes a checkpoint after each epoch and every few minutes, and tells the run the newest row of each epoch.

    A process may be killed without a warning that is long enough for a checkpoint (a pod of Kubeflow has less than a
    second, docs/cluster.md). So what a kill can cost is bounded beforehand: by `minutes`, one step, and a validation.
    """

    def __init__(self, folder: Path, run: Run, minutes: float) -> None:
        self.folder, self.run, self.seconds = folder, run, 60 * minutes
        self.saved = time.monotonic()

    def on_train_batch_start(self, trainer: Trainer, pl_module: LightningModule, batch: Any, batch_idx: int) -> None:
        """Between two steps all counters of the loop agree, so that a resumed training goes on with this one."""
        due = time.monotonic() - self.saved >= self.seconds
        if trainer.world_size > 1:
            due = trainer.strategy.broadcast(due)  # clocks differ, and all must write together
        if due and trainer.fit_loop.epoch_loop.batch_progress.current.completed:
            self._save(trainer)

    def on_train_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Lightning calls the hooks of a Checkpoint last, when the module has written its row."""
        assert isinstance(pl_module, RecordedModule)
        self._save(trainer)
        row = pl_module.history[-1]
        if trainer.is_global_zero:
            self.run.metrics({key: value for key, value in row.items() if key != "step"}, step=int(row["step"]))

    def _save(self, trainer: Trainer) -> None:
        save_checkpoint(trainer, self.folder)
        self.saved = time.monotonic()


class Termination(Callback):
    """Graceful end on SIGTERM: finish the current step and write a checkpoint, where there is time for it.

    Lightning hears the signal, and lets all processes leave at the same step. There is no way back into a validation:
    the checkpoint of the epoch before counts.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def on_exception(self, trainer: Trainer, pl_module: LightningModule, exception: BaseException) -> None:
        """Write the checkpoint before the process goes."""
        done = trainer.fit_loop.epoch_loop.batch_progress.current.completed
        if isinstance(exception, SIGTERMException) and trainer.training and done < trainer.num_training_batches:
            save_checkpoint(trainer, self.folder)


@contextmanager
def resource_errors() -> Iterator[None]:
    """Turn a lack of memory and a killed process that reads slices into one line."""
    try:
        yield
    except torch.OutOfMemoryError as error:
        finding = f"has no memory left ({str(error).partition('. ')[0]})"
        raise ResourceError("the GPU", finding, "lower 'batch_size', or take a smaller network or grid") from error
    except RuntimeError as error:
        if "DataLoader worker" not in str(error):
            raise
        finding = "was killed, which the system does where memory runs out"
        raise ResourceError("a loader process", finding, "lower 'compute.loader_workers', and run again") from error


@contextmanager
def polite_end() -> Iterator[None]:
    """Leave the signal to Lightning inside the block, and end with the code of a process that was terminated."""
    main = threading.current_thread() is threading.main_thread()
    before = signal.signal(signal.SIGTERM, signal.SIG_DFL) if main else None
    try:
        yield
    except SIGTERMException:
        sys.exit(128 + signal.SIGTERM)
    finally:
        if main:
            signal.signal(signal.SIGTERM, before)


class ProgressLine(Callback):
    """One bar over all epochs, training and validation, with the time left; nothing where there is no terminal."""

    def __init__(self, text: str) -> None:
        self.bar = new_bar(only_on_terminal=True, shown=process_rank() == 0, refresh_per_second=2)
        self.task = self.bar.add_task(text, total=None)

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Show the bar, at the place where a resumed run goes on."""
        batches = int(trainer.num_training_batches + sum(trainer.num_val_batches))
        total = batches * (trainer.max_epochs or 0)
        done = batches * trainer.current_epoch + trainer.fit_loop.epoch_loop.batch_progress.current.completed
        self.bar.update(self.task, total=total, completed=done)
        self.bar.start()

    def on_train_batch_end(self, *_: Any) -> None:
        """One more."""
        self.bar.advance(self.task)

    def on_validation_batch_end(self, *_: Any) -> None:
        """One more."""
        self.bar.advance(self.task)

    def teardown(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:
        """Leave the bar as it is, also after an error."""
        self.bar.stop()


def fit(module: RecordedModule, compute: ComputeSettings, *, folder: Path, epochs: int, run: Run, text: str) -> None:
    """Train to the last epoch, from the last checkpoint in `folder` if there is one.

    Args:
        module: what is trained.
        compute: devices and precision.
        folder: where checkpoints are kept.
        epochs: of the whole training.
        run: records the newest row of the history after each epoch.
        text: stands before the progress bar.
    """
    check_accelerator(compute)
    checkpoint = whole_checkpoint(folder)
    with quiet_lightning(), polite_end(), resource_errors():
        trainer = Trainer(
            accelerator=compute.accelerator,
            devices=compute.devices,
            num_nodes=node_count(),
            strategy=compute.strategy,
            precision=resolve_precision(compute),
            max_epochs=epochs,
            callbacks=[Record(folder, run, compute.checkpoint_minutes), ProgressLine(text), Termination(folder)],
            logger=False,
            enable_progress_bar=False,  # ProgressLine shows the whole training, Lightning's bar one epoch
            enable_model_summary=False,
            num_sanity_val_steps=0,
            use_distributed_sampler=False,  # our samplers know their rank
            default_root_dir=folder,
        )
        trainer.fit(module, ckpt_path=checkpoint, weights_only=True)


def check_finite(name: str, loss: Tensor, step: int) -> None:
    """Stop the run at a loss that is not a number.

    Raises:
        NonFiniteLossError: names loss, value and step.
    """
    value = float(loss.detach())
    if not math.isfinite(value):
        finding = f"is {value} at optimizer step {step + 1}"
        raise NonFiniteLossError(name, finding, "lower the learning rate, or set 'compute.precision' to '32-true'")


@contextmanager
def quiet_lightning() -> Iterator[None]:
    """Silence Lightning's messages about choices made on purpose; errors and other warnings stay."""
    chatter = [logging.getLogger(name) for name in ("lightning.pytorch", "lightning.fabric")]
    levels = [logger.level for logger in chatter]
    for logger in chatter:
        logger.setLevel(logging.WARNING)  # which devices there are, and advertisements
    try:
        with warnings.catch_warnings():
            # 'compute.loader_workers' is a setting; with memory-mapped slices none is often quickest
            warnings.filterwarnings("ignore", message=".*does not have many workers")
            # ours is: its sampler skips the steps that are done
            warnings.filterwarnings("ignore", message="You're resuming from a checkpoint that ended before the epoch")
            # Lightning 2.6 asks torch's pytree in a way that torch 2.14 deprecates; nothing that a user could change
            warnings.filterwarnings("ignore", message=".*LeafSpec.* is deprecated", category=FutureWarning)
            yield
    finally:
        for logger, level in zip(chatter, levels, strict=True):
            logger.setLevel(level)
