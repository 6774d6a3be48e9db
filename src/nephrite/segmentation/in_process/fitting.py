"""How a network on slices is fitted: which slices a step takes, and how they are pasted into and augmented."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

import torch
from jaxtyping import Float
from torch import Tensor
from torch.utils.data import DataLoader

from nephrite.augment import copy_paste, geometric, standard
from nephrite.augment.copy_paste import PasteRanges
from nephrite.augment.lesions import LesionBank
from nephrite.augment.parameters import take
from nephrite.augment.spatial import SpatialRanges
from nephrite.augment.standard import IntensityRanges
from nephrite.config import IGNORED, TrainSegmenterSettings
from nephrite.seeds import derive_seed
from nephrite.segmentation.in_process.inference import slice_logits
from nephrite.segmentation.in_process.learning import LearningTask, NetworkTraining
from nephrite.segmentation.in_process.networks import Segmenter
from nephrite.store.synthetic_names import is_synthetic, source_of
from nephrite.training.batch_statistics import forward_apart
from nephrite.training.data import Batch, OrderedBatches, Pairs, batch_loader
from nephrite.training.mixing import MixedBatches
from nephrite.training.windows import WindowBatches, Windows


@dataclass(frozen=True, kw_only=True)
class SegmentationTask(LearningTask):
    """What is learned from slices.

    Attributes:
        training: slices to learn from: real ones, then what is added to them.
        validation: real slices; whole patients.
        window: pixels per side of the windows that are learned from; None = whole slices.
        forced: probability that a window must hold foreground, if its slice holds some.
        unsure: whether some labels are `IGNORED`.
        lesions: what is pasted into training batches; None where the arm does not paste.
        pasted_onto: the patients whose slices alone get lesions; None = all.
    """

    training: Pairs
    validation: Pairs
    window: int | None = None
    forced: float = 0.0
    unsure: bool = False
    lesions: LesionBank | None = None
    pasted_onto: frozenset[str] | None = None


class SegmentationModule(NetworkTraining):
    """One training of one segmenter.

    Args:
        network: initialized.
        task: what is learned.
        settings: the same in all arms.
        seed: of the order of slices and of augmentation.
        folder: gets the weights after each epoch, or whenever there are better ones.
    """

    network: Segmenter
    task: SegmentationTask

    def __init__(
        self, network: Segmenter, task: SegmentationTask, settings: TrainSegmenterSettings, *, seed: int, folder: Path
    ) -> None:
        network = network.to(memory_format=torch.channels_last)
        super().__init__(network, task, task.validation.patients, settings, seed=seed, folder=folder)
        self.painted = torch.tensor([is_synthetic(patient) for patient in task.training.patients])
        self.paste_ranges = PasteRanges(**settings.copy_paste.model_dump())
        self.spatial_ranges = SpatialRanges(**settings.spatial.model_dump())
        if task.pasted_onto is not None:
            self.paste_ranges = replace(self.paste_ranges, probability=settings.lesion_free.pasted)
        self.intensity_ranges = IntensityRanges(**settings.intensity.model_dump())

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

    def training_step(self, batch: Batch, batch_idx: int) -> Float[Tensor, ""]:
        """Augment, predict, compare."""
        image, label = self.augmented(batch, batch_idx)
        known = label != IGNORED if self.task.unsure else None
        logits = forward_apart(self.network, image, self.painted[batch.patient.cpu()].to(image.device))
        return self.learned(logits, label, known, batch_idx)

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

    def validation_step(self, batch: Batch, batch_idx: int) -> None:
        """Loss, and the region's voxels per patient."""
        logits = slice_logits(self.network, batch.image, window=self.task.window)
        self.tally(logits, batch.label, batch.patient)
