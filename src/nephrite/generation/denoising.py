"""The training of denoising generators: one network, one loss (Ho et al. 2020, algorithm 1)."""

from __future__ import annotations

import torch

from nephrite.generation.fitting import GenerationModule
from nephrite.generation.kind import DenoisingKind
from nephrite.seeds import derive_seed
from nephrite.training.data import Batch


class DenoisingModule(GenerationModule):
    """A denoiser, and the step that trains it."""

    def training_step(self, batch: Batch, batch_idx: int) -> None:
        """One step; levels and noise follow from the step's number and the rank."""
        assert isinstance(self.kind, DenoisingKind)
        seed = derive_seed(self.step_seed(batch_idx), "noise", self.global_rank)
        (optimizer,) = self.trained()
        self.toggle_optimizer(optimizer)
        loss = self.kind.loss(self.generator, self.scene(batch), torch.Generator().manual_seed(seed))
        self.record(batch_idx, denoising_loss=loss)
        self.descend(optimizer, loss)
        self.update_average()
