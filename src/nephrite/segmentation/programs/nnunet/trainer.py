"""nnU-Net's trainer, with our number of steps, draws of cases and progress."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

LONGEST_EPOCH, MOST_EPOCHS = 250, 50  # iterations: nnU-Net's own; at least so many epochs, after which the rate falls


def epochs_of(steps: int) -> tuple[int, int]:
    """Iterations of an epoch, and how many epochs hold so many steps; the last one may be shorter."""
    iterations = max(1, min(LONGEST_EPOCH, steps // MOST_EPOCHS))
    return iterations, -(-steps // iterations)


def arm_trainer(
    plans: dict[str, Any], dataset: dict[str, Any], settings: dict[str, Any], *, steps: int, augmentation: str
) -> Any:
    """nnU-Net's trainer, with our number of steps, draws of cases and progress."""
    import torch
    from nnunetv2.training.nnUNetTrainer.nnUNetTrainer import nnUNetTrainer

    class ArmTrainer(nnUNetTrainer):  # type: ignore[misc] # nnU-Net ships no types
        """One arm: as many steps as asked for, in epochs that let the rate fall smoothly."""

        def start(self) -> None:
            self.num_iterations_per_epoch, self.num_epochs = epochs_of(steps)
            self.steps_taken = 0
            self.initialize()

        def train(self, chances: Mapping[str, float], progress: Path) -> None:
            self.start()
            self.dataloader_train, self.dataloader_val = self.get_dataloaders()
            loader = self.dataloader_train.data_loader
            loader.sampling_probabilities = [chances[name] for name in loader.indices]
            self.set_deep_supervision_enabled(self.enable_deep_supervision)
            with progress.open("w", encoding="utf-8") as rows:
                for epoch in range(self.num_epochs):
                    self.network.train()
                    self.lr_scheduler.step(epoch)
                    count = min(self.num_iterations_per_epoch, steps - self.steps_taken)
                    losses = [float(self.train_step(next(self.dataloader_train))["loss"]) for _ in range(count)]
                    self.steps_taken += count
                    rows.write(json.dumps({"step": self.steps_taken, "train_loss": sum(losses) / count}) + "\n")
                    rows.flush()

        def get_training_transforms(self, *args: Any, **kwargs: Any) -> Any:
            if augmentation != "none":
                return nnUNetTrainer.get_training_transforms(*args, **kwargs)
            wanted = ("is_cascaded", "foreground_labels", "regions", "ignore_label")
            return nnUNetTrainer.get_validation_transforms(args[2], **{name: kwargs[name] for name in wanted})

        def configure_rotation_dummyDA_mirroring_and_inital_patch_size(self) -> Any:  # noqa: N802 - as nnU-Net has it
            rotation, dummy, size, axes = super().configure_rotation_dummyDA_mirroring_and_inital_patch_size()
            if augmentation != "none":
                return rotation, dummy, size, axes
            self.inference_allowed_mirroring_axes = None
            return (0, 0), False, self.configuration_manager.patch_size, None

    return ArmTrainer(plans, settings["configuration"], 0, dataset, torch.device(settings["device"]))
