"""How a segmenter is fitted: Dice loss, Adam, a learning rate that falls, the last weights or the best ones."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path

import torch
from jaxtyping import Bool, Float, Integer, Shaped
from torch import Tensor
from torch.optim import Adam, Optimizer
from torch.optim.lr_scheduler import ReduceLROnPlateau
from torch.utils.data import DataLoader

from nephrite.augment import copy_paste, geometric, standard
from nephrite.augment.copy_paste import PasteRanges
from nephrite.augment.lesions import LesionBank
from nephrite.augment.parameters import take
from nephrite.augment.spatial import SpatialRanges
from nephrite.augment.standard import IntensityRanges
from nephrite.config import IGNORED, Augmentation, TrainSegmenterSettings
from nephrite.metrics.curves import best_epoch, kept_epoch
from nephrite.models.losses import dice_and_cross_entropy, dice_loss
from nephrite.seeds import derive_seed
from nephrite.segmentation.artifacts import WEIGHTS
from nephrite.segmentation.fit_task import Row
from nephrite.segmentation.in_process.inference import slice_logits
from nephrite.segmentation.in_process.networks import Segmenter
from nephrite.store.slices import is_synthetic, source_of
from nephrite.training.batch_statistics import forward_apart
from nephrite.training.data import Batch, OrderedBatches, Pairs, batch_loader, channel_masks, value_mask
from nephrite.training.mixing import MixedBatches, Mixture
from nephrite.training.schedules import polynomial_factor
from nephrite.training.trainer import RecordedModule, check_finite
from nephrite.training.weights import save_weights
from nephrite.training.windows import WindowBatches, Windows


@dataclass(frozen=True)
class SegmentationTask:
    """What is learned, and what shows how well.

    Attributes:
        training: slices to learn from: real ones, then what is added to them.
        mixture: for every step, how many slices each group of them gives.
        validation: real slices; whole patients.
        channels: output channel to label values.
        region: label values of the region whose Dice is shown, and may choose the weights.
        threshold: sigmoid outputs at or above it are foreground.
        augmentation: of training batches.
        window: pixels per side of the windows that are learned from; None = whole slices.
        forced: probability that a window must hold foreground, if its slice holds some.
        unsure: whether some labels are `IGNORED`.
        lesions: what is pasted into training batches; None where the arm does not paste.
        pasted_onto: the patients whose slices alone get lesions; None = all.
        vanished: validation patients who have the region, and nothing of it on the grid.
        workers: processes that read slices.
    """

    training: Pairs
    mixture: Mixture
    validation: Pairs
    channels: Mapping[str, tuple[int, ...]]
    region: tuple[int, ...]
    threshold: float
    augmentation: Augmentation
    window: int | None = None
    forced: float = 0.0
    unsure: bool = False
    lesions: LesionBank | None = None
    pasted_onto: frozenset[str] | None = None
    vanished: frozenset[str] = frozenset()
    workers: int = 0


class SegmentationModule(RecordedModule):
    """One training of one segmenter.

    Args:
        network: initialized.
        task: what is learned.
        settings: the same in all arms.
        seed: of the order of slices and of augmentation.
        folder: gets the weights after each epoch, or whenever there are better ones.
    """

    def __init__(
        self, network: Segmenter, task: SegmentationTask, settings: TrainSegmenterSettings, *, seed: int, folder: Path
    ) -> None:
        super().__init__(seed)
        self.network = network.to(memory_format=torch.channels_last)
        self.task, self.settings, self.folder = task, settings, folder
        self.loss = {"dice": dice_loss, "dice_and_cross_entropy": dice_and_cross_entropy}[settings.loss]
        self.painted = torch.tensor([is_synthetic(patient) for patient in task.training.patients])
        self.paste_ranges = PasteRanges(**settings.copy_paste.model_dump())
        self.spatial_ranges = SpatialRanges(**settings.spatial.model_dump())
        if task.pasted_onto is not None:
            self.paste_ranges = replace(self.paste_ranges, probability=settings.lesion_free.pasted)
        self.intensity_ranges = IntensityRanges(**settings.intensity.model_dump())
        self.train_losses: list[Tensor] = []
        self.validation_losses: list[Tensor] = []
        self.started = time.monotonic()

    def train_dataloader(self) -> DataLoader[Batch]:
        """The same number of batches per epoch for any training set."""
        batches = MixedBatches(
            self.task.mixture,
            steps=self.settings.steps_per_epoch,
            seed=self.seed,
            rank=self.global_rank,
            ranks=self.trainer.world_size,
            done=self.done,
        )
        if self.task.window is None:
            return batch_loader(self.task.training, batches, workers=self.task.workers)
        windows = WindowBatches(batches, forced=self.task.forced, seed=derive_seed(self.seed, "windows"))
        return batch_loader(Windows(self.task.training, self.task.window), windows, workers=self.task.workers)

    def val_dataloader(self) -> DataLoader[Batch]:
        """All validation slices, in their order."""
        batches = OrderedBatches(
            len(self.task.validation),
            batch_size=self.settings.batch_size,
            rank=self.global_rank,
            ranks=self.trainer.world_size,
        )
        return batch_loader(self.task.validation, batches, workers=self.task.workers)

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

    def on_train_batch_start(self, batch: Batch, batch_idx: int) -> None:
        """Set the learning rate of the step."""
        super().on_train_batch_start(batch, batch_idx)
        if self.settings.schedule == "polynomial":
            steps = self.settings.epochs * self.settings.steps_per_epoch
            factor = polynomial_factor(self.step_of(batch_idx), steps)
            self.optimizer.param_groups[0]["lr"] = self.settings.learning_rate * factor

    def training_step(self, batch: Batch, batch_idx: int) -> Float[Tensor, ""]:
        """Augment, predict, compare."""
        image, label = self.augmented(batch, batch_idx)
        known = label != IGNORED if self.task.unsure else None
        logits = forward_apart(self.network, image, self.painted[batch.patient.cpu()].to(image.device))
        loss = self.loss(logits, channel_masks(label, self.task.channels), known)
        check_finite(f"training loss ({self.settings.loss})", loss, self.step_of(batch_idx))
        self.train_losses.append(loss.detach())
        return loss

    def augmented(self, batch: Batch, batch_index: int) -> tuple[Tensor, Tensor]:
        """Paste, then augment; draws are for the whole batch, so that the number of devices changes nothing."""
        # all processes draw for the whole batch and take their share
        image, label = batch.image, batch.label
        generator = torch.Generator().manual_seed(self.step_seed(batch_index))
        share = slice(self.global_rank, None, self.trainer.world_size)
        size = self.settings.batch_size
        # copy-paste first: the pasted lesion moves with its slice
        if self.task.lesions:
            draws = take(copy_paste.draw(size, ranges=self.paste_ranges, generator=generator), share)
            patients = [self.task.training.patients[place] for place in batch.patient.tolist()]
            if self.task.pasted_onto is not None:
                takes = torch.tensor([patient in self.task.pasted_onto for patient in patients])
                draws = replace(draws, wanted=draws.wanted & takes)
            placed = copy_paste.place(draws, self.task.lesions, image, label, list(map(source_of, patients)))
            image, label = copy_paste.apply(placed, self.task.lesions, image, label)
        if self.task.augmentation == "geometric":
            ranges = self.settings.geometric.model_dump()
            return geometric.apply(take(geometric.draw(size, **ranges, generator=generator), share), image, label)
        if self.task.augmentation == "standard":
            moves, intensity = self.spatial_ranges, self.intensity_ranges
            drawn = standard.draw(size, moves=moves, ranges=intensity, generator=generator)
            return standard.apply(take(drawn, share), image, label)
        return image, label

    def on_validation_epoch_start(self) -> None:
        """Overlap, and size of prediction plus truth, per patient, are summed over batches and ranks.

        A region that vanished on the grid is there, with a pixel that no prediction can meet.
        """
        patients = self.task.validation.patients
        there = [[0, int(patient in self.task.vanished)] for patient in patients]
        self.counts = torch.tensor(there, dtype=torch.int64, device=self.device).reshape(len(patients), 2)
        self.validation_losses = []

    def validation_step(self, batch: Batch, batch_idx: int) -> None:
        """Loss, and the region's voxels per patient."""
        logits = slice_logits(self.network, batch.image, window=self.task.window)
        self.validation_losses.append(self.loss(logits, channel_masks(batch.label, self.task.channels)))
        found = self.region_of(logits)
        truth = value_mask(batch.label, self.task.region)
        self.counts.index_add_(0, batch.patient, region_counts(found, truth))

    def region_of(self, logits: Float[Tensor, "batch channel height width"]) -> Bool[Tensor, "batch height width"]:
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


def region_counts(
    found: Bool[Tensor, "batch height width"], truth: Bool[Tensor, "batch height width"]
) -> Integer[Tensor, "batch 2"]:
    """Per slice: pixels in both, and pixels of one plus pixels of the other."""
    overlap = (found & truth).sum(dim=(1, 2))
    return torch.stack([overlap, found.sum(dim=(1, 2)) + truth.sum(dim=(1, 2))], dim=1)


def mean_dice(counts: Integer[Tensor, "patient 2"]) -> float:
    """Mean over patients of the 3-D Dice; a patient without the region, in whom none was found, scores 1."""
    overlap, size = counts.cpu().double().unbind(dim=1)
    return float(torch.where(size > 0, 2 * overlap / size.clamp(min=1), 1.0).mean())
