"""What all trainings of networks here share: loss, Adam, a rate that falls, the last weights or the best ones.

A subclass says what a batch is: slices (`fitting`), or patches of volumes (`segmentation.volumes.fitting`).
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from jaxtyping import Bool, Float, Integer, Shaped, UInt8
from torch import Tensor, nn
from torch.optim import Adam, Optimizer
from torch.optim.lr_scheduler import ReduceLROnPlateau

from nephrite.config import Augmentation, TrainSegmenterSettings
from nephrite.metrics.curves import best_epoch, kept_epoch
from nephrite.models.losses import dice_and_cross_entropy, dice_loss
from nephrite.segmentation.artifacts import WEIGHTS
from nephrite.segmentation.fit_task import Row
from nephrite.training.data import channel_masks, value_mask
from nephrite.training.mixing import Mixture
from nephrite.training.schedules import polynomial_factor
from nephrite.training.trainer import RecordedModule, check_finite
from nephrite.training.weights import save_weights


@dataclass(frozen=True, kw_only=True)
class LearningTask:
    """What is learned, and what shows how well; a subclass has what it is learned from.

    Attributes:
        mixture: for every step, how many items each group of what is learned from gives.
        channels: output channel to label values.
        region: label values of the region whose Dice is shown, and may choose the weights.
        threshold: sigmoid outputs at or above it are foreground.
        augmentation: of training batches.
        vanished: validation patients who have the region, and nothing of it on the grid.
        workers: processes that read.
    """

    mixture: Mixture
    channels: Mapping[str, tuple[int, ...]]
    region: tuple[int, ...]
    threshold: float
    augmentation: Augmentation
    vanished: frozenset[str] = frozenset()
    workers: int = 0


class NetworkTraining(RecordedModule):
    """One training of one segmenter.

    A subclass has the loaders, `training_step` (which ends with `learned`) and `validation_step` (with `tally`).

    Args:
        network: initialized.
        task: what is learned.
        patients: of validation, in the order by which `tally` counts them.
        settings: the same in all arms.
        seed: of the order of what is learned from, and of augmentation.
        folder: gets the weights after each epoch, or whenever there are better ones.
    """

    def __init__(
        self,
        network: nn.Module,
        task: LearningTask,
        patients: list[str],
        settings: TrainSegmenterSettings,
        *,
        seed: int,
        folder: Path,
    ) -> None:
        super().__init__(seed)
        self.network, self.task, self.patients, self.settings, self.folder = network, task, patients, settings, folder
        self.loss = {"dice": dice_loss, "dice_and_cross_entropy": dice_and_cross_entropy}[settings.loss]
        self.train_losses: list[Tensor] = []
        self.validation_losses: list[Tensor] = []
        self.started = time.monotonic()

    def configure_optimizers(self) -> Optimizer:
        """Adam; the rate of a resumed training follows from its step, or with plateaus from its history."""
        self.optimizer = Adam(self.network.parameters(), lr=self.settings.learning_rate, fused=True)
        self.plateau = ReduceLROnPlateau(
            self.optimizer, patience=self.settings.plateau_patience, factor=self.settings.plateau_factor
        )
        for row in self.history:
            self.watch_plateau(row)
        return self.optimizer

    def watch_plateau(self, row: Row) -> None:
        """Let the rate fall if the validation loss stands still, with the schedule that asks for it."""
        if self.settings.schedule == "plateau":
            self.plateau.step(row["validation_loss"])

    def on_train_batch_start(self, batch: Any, batch_idx: int) -> None:
        """Set the learning rate of the step."""
        super().on_train_batch_start(batch, batch_idx)
        if self.settings.schedule == "polynomial":
            steps = self.settings.epochs * self.settings.steps_per_epoch
            factor = polynomial_factor(self.step_of(batch_idx), steps)
            self.optimizer.param_groups[0]["lr"] = self.settings.learning_rate * factor

    def learned(
        self,
        logits: Float[Tensor, "batch channel ..."],
        label: UInt8[Tensor, "batch ..."],
        known: Bool[Tensor, "batch ..."] | None,
        batch_index: int,
    ) -> Float[Tensor, ""]:
        """The loss of a step.

        Args:
            logits: what was found.
            label: label values.
            known: what counts; None = all.
            batch_index: of the epoch.

        Raises:
            NonFiniteLossError: it is not a number.
        """
        loss = self.loss(logits, channel_masks(label, self.task.channels), known)
        check_finite(f"training loss ({self.settings.loss})", loss, self.step_of(batch_index))
        self.train_losses.append(loss.detach())
        return loss

    def on_validation_epoch_start(self) -> None:
        """Overlap, and size of prediction plus truth, per patient, are summed over batches and ranks.

        A region that vanished on the grid is there, with a pixel that no prediction can meet.
        """
        there = [[0, int(patient in self.task.vanished)] for patient in self.patients]
        self.counts = torch.tensor(there, dtype=torch.int64, device=self.device).reshape(len(self.patients), 2)
        self.validation_losses = []

    def tally(
        self,
        logits: Float[Tensor, "batch channel ..."],
        label: UInt8[Tensor, "batch ..."],
        patient: Integer[Tensor, " batch"],
    ) -> None:
        """Add loss, and the region's voxels, of some of what shows how well it learns."""
        self.validation_losses.append(self.loss(logits, channel_masks(label, self.task.channels)))
        self.counts.index_add_(0, patient, region_counts(self.region_of(logits), value_mask(label, self.task.region)))

    def region_of(self, logits: Float[Tensor, "batch channel ..."]) -> Bool[Tensor, "batch ..."]:
        """The region found: union of the channels that lie in it."""
        inside = [set(values) <= set(self.task.region) for values in self.task.channels.values()]
        return (logits[:, inside].sigmoid() >= self.task.threshold).any(dim=1)

    def on_train_epoch_end(self) -> None:
        """One row of the history; then new or better weights are kept, the rate may fall, the training may stop."""
        row = self.finished_row()
        self.history.append(row)
        kept = kept_epoch(self.history, self.settings.weights)
        if kept == len(self.history) - 1 and self.trainer.is_global_zero:
            save_weights(self.folder / WEIGHTS, self.network.state_dict())
        self.watch_plateau(row)
        self.stop_if_stale()

    def finished_row(self) -> Row:
        """Figures of the epoch that ends now; losses are means over batches.

        Raises:
            NonFiniteLossError: the validation loss is not a number.
        """
        # means over all processes
        step = self.step_of(int(self.trainer.num_training_batches))
        validation_loss = self.over_ranks(torch.stack(self.validation_losses).mean(), "mean")
        check_finite("validation loss (Dice)", validation_loss, step - 1)
        row = {
            "step": float(step),
            "train_loss": float(self.over_ranks(torch.stack(self.train_losses).mean(), "mean")),
            "validation_loss": float(validation_loss),
            "validation_dice": mean_dice(self.over_ranks(self.counts, "sum")),
            "learning_rate": float(self.optimizer.param_groups[0]["lr"]),
            "seconds": time.monotonic() - self.started,
        }
        self.train_losses, self.started = [], time.monotonic()
        return row

    def over_ranks(self, value: Shaped[Tensor, "..."], operation: str) -> Shaped[Tensor, "..."]:
        """Sum or mean over all processes."""
        reduced: Tensor = self.trainer.strategy.reduce(value, reduce_op=operation)
        return reduced

    def epoch_state(self) -> dict[str, Tensor]:
        """The losses of the epoch so far."""
        return {"train_losses": torch.stack(self.train_losses)} if self.train_losses else {}

    def load_epoch_state(self, state: dict[str, Tensor]) -> None:
        """Restore them."""
        self.train_losses = list(state.get("train_losses", torch.empty(0)).to(self.device))

    def on_train_start(self) -> None:
        """Stop again a training that had stopped early and was killed before its end was written."""
        self.started = time.monotonic()
        self.stop_if_stale()

    def stop_if_stale(self) -> None:
        """Stop when `early_stopping` epochs have passed without a better validation Dice."""
        patience = self.settings.early_stopping
        if patience and self.history and len(self.history) - 1 - best_epoch(self.history) >= patience:
            self.trainer.should_stop = True


def region_counts(found: Bool[Tensor, "batch ..."], truth: Bool[Tensor, "batch ..."]) -> Integer[Tensor, "batch 2"]:
    """Of each of the batch: pixels in both, and pixels of one plus pixels of the other."""
    overlap = (found & truth).flatten(1).sum(dim=1)
    return torch.stack([overlap, found.flatten(1).sum(dim=1) + truth.flatten(1).sum(dim=1)], dim=1)


def mean_dice(counts: Integer[Tensor, "patient 2"]) -> float:
    """Mean over patients of the 3-D Dice; a patient without the region, in whom none was found, scores 1."""
    overlap, size = counts.cpu().double().unbind(dim=1)
    return float(torch.where(size > 0, 2 * overlap / size.clamp(min=1), 1.0).mean())
