"""How a network on volumes is fitted: which patches a step takes, and how they are augmented."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.utils.data import DataLoader

from nephrite.augment import geometric
from nephrite.augment.spatial import SpatialRanges
from nephrite.augment.standard import IntensityRanges
from nephrite.config import IGNORED, TrainSegmenterSettings
from nephrite.seeds import derive_seed
from nephrite.segmentation.in_process.learning import LearningTask, NetworkTraining
from nephrite.segmentation.volumes.augmenting import apply_geometric, apply_standard, draw_standard
from nephrite.segmentation.volumes.inference import volume_logits
from nephrite.segmentation.volumes.patches import PatchBatches, Patches, PatchSize, VolumeBatch, Volumes
from nephrite.training.data import OrderedBatches, batch_loader
from nephrite.training.mixing import MixedBatches

OVERLAP = 0.25  # of patches by which validation patients are predicted after each epoch: half as many as in the end


@dataclass(frozen=True, kw_only=True)
class VolumeTask(LearningTask):
    """What is learned from volumes.

    Attributes:
        training: volumes to learn from: real ones, then what is added to them.
        validation: whole patients.
        patch: slices, rows and columns of what is learned from.
        batch: patches of a step.
        forced: probability that a patch has a voxel of a class in its middle.
    """

    training: Volumes
    validation: Volumes
    patch: PatchSize
    batch: int
    forced: float


class VolumeTraining(NetworkTraining):
    """One training of one segmenter.

    Args:
        network: initialized; of patches.
        task: what is learned.
        settings: the same in all arms.
        seed: of the order of volumes, of patches, and of augmentation.
        folder: gets the weights.
    """

    task: VolumeTask

    def __init__(
        self, network: nn.Module, task: VolumeTask, settings: TrainSegmenterSettings, *, seed: int, folder: Path
    ) -> None:
        super().__init__(network, task, task.validation.patients, settings, seed=seed, folder=folder)
        self.moves = SpatialRanges(**settings.spatial.model_dump())
        self.intensities = IntensityRanges(**settings.intensity.model_dump())

    def train_dataloader(self) -> DataLoader[VolumeBatch]:
        """The same number of batches per epoch for any training set."""
        volumes = MixedBatches(self.task.mixture, steps=self.settings.steps_per_epoch, seed=self.seed, done=self.done)
        drawn = PatchBatches(volumes, seed=derive_seed(self.seed, "patches"))
        patches = Patches(self.task.training, self.task.patch, forced=self.task.forced)
        return batch_loader(patches, drawn, workers=self.task.workers)

    def val_dataloader(self) -> DataLoader[VolumeBatch]:
        """Validation patients, one after the other."""
        whole = OrderedBatches(len(self.task.validation), batch_size=1)
        return batch_loader(self.task.validation, whole, workers=self.task.workers)

    def training_step(self, batch: VolumeBatch, batch_idx: int) -> Float[Tensor, ""]:
        """Augment, predict, compare where labels are known."""
        image, label = self.augmented(batch, batch_idx)
        return self.learned(self.network(image), label, label != IGNORED, batch_idx)

    def augmented(self, batch: VolumeBatch, batch_index: int) -> tuple[Tensor, Tensor]:
        """The patches of a step, changed as the training set asks for."""
        generator, size = torch.Generator().manual_seed(self.step_seed(batch_index)), self.task.batch
        if self.task.augmentation == "geometric":
            ranges = self.settings.geometric.model_dump()
            return apply_geometric(geometric.draw(size, **ranges, generator=generator), batch.image, batch.label)
        if self.task.augmentation == "standard":
            drawn = draw_standard(size, moves=self.moves, ranges=self.intensities, generator=generator)
            return apply_standard(drawn, batch.image, batch.label)
        return batch.image, batch.label

    def validation_step(self, batch: VolumeBatch, batch_idx: int) -> None:
        """Loss, and the region's voxels, of a patient."""
        logits = volume_logits(self.network, batch.image, self.task.patch, overlap=OVERLAP)
        self.tally(logits, batch.label, batch.volume)
