"""SegResNet in three dimensions (Myronenko 2018, "3D MRI brain tumor segmentation using autoencoder regularization").

MONAI's network, without the paper's autoencoder branch, trained on patches of whole patients on the prepared grid.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar, Literal

import numpy as np
from pydantic import Field, model_validator

from nephrite.config import ComputeSettings, Config, Intake, Positive, SegmenterSettings, refuse
from nephrite.errors import ConfigError
from nephrite.files import sha256
from nephrite.imaging.masks import paint_labels
from nephrite.segmentation.artifacts import REMEDY, WEIGHTS
from nephrite.segmentation.backend import Backend, Prediction, Scan, SliceShape, Trained
from nephrite.segmentation.fit_task import Cohort, FitTask
from nephrite.store.runs import Run, volumes_of
from nephrite.store.thinning import thin

if TYPE_CHECKING:
    from torch import nn

    from nephrite.segmentation.volumes.fitting import VolumeTask

GROUPS = 8  # of MONAI's group normalization


class SegResNetSettings(SegmenterSettings):
    """A 3-D SegResNet of MONAI, trained in this process on patches of volumes."""

    TAKES: ClassVar[frozenset[Intake]] = frozenset(
        {"synthetic", "schedules", "pseudo_labels", "ignored", "augmentation"}
    )

    kind: Literal["segresnet_3d"] = Field(description="MONAI's SegResNet on patches of volumes.")
    width: int = Field(
        default=8,
        ge=GROUPS,
        le=1024,
        multiple_of=GROUPS,
        description="Features of the first level, doubled at each further one; MONAI's 8 trains on two cores, 32 "
        "wants a GPU.",
    )
    blocks: tuple[Positive, ...] = Field(
        default=(1, 2, 2),
        min_length=2,
        max_length=6,
        description="Residual blocks of each level, half as large as the one above; MONAI's are [1, 2, 2, 4].",
    )
    patch: tuple[Positive, Positive, Positive] = Field(
        default=(16, 64, 64),
        description="Slices, rows and columns that are learned from at a time, for two cores; [96, 160, 160] is for a "
        "GPU. A scan with fewer is continued by its outermost slices, which do not count.",
    )
    batch: Positive = Field(
        default=2, description="Patches of a step, in place of 'train_segmenter.batch_size' slices; nnU-Net's 2."
    )

    @model_validator(mode="after")
    def _check_patch(self) -> SegResNetSettings:
        halved = len(self.blocks) - 1
        found = [
            f"'patch' has a side of {side}, which cannot be halved {halved} times; take another, or fewer 'blocks'"
            for side in dict.fromkeys(self.patch)
            if side % 2**halved
        ]
        refuse(found)
        return self

    @property
    def sees_volumes(self) -> bool:
        """Always."""
        return True


@dataclass(frozen=True, kw_only=True)
class TrainedVolumeNetwork(Trained):
    """A network with its weights.

    Attributes:
        network: in evaluation mode; its device is used.
        mirroring: whether predictions are averaged over mirrored volumes.
    """

    network: nn.Module
    mirroring: bool = False


class SegResNetBackend(Backend[SegResNetSettings, TrainedVolumeNetwork]):
    """A network on patches; a scan is predicted by overlapping ones."""

    def build(self, channels: int) -> nn.Module:
        """The network, with its first weights: patches [b, 1, d, h, w] to logits [b, channel, d, h, w]."""
        from monai.networks.nets.segresnet import SegResNet

        blocks = self.settings.blocks
        return SegResNet(3, self.settings.width, 1, channels, blocks_down=blocks, blocks_up=(1,) * (len(blocks) - 1))

    def fit(self, task: FitTask) -> TrainedVolumeNetwork:
        """Train to the end, and take the last weights, or those that were best on validation."""
        import torch

        from nephrite.segmentation.volumes.fitting import VolumeTraining
        from nephrite.training.trainer import fit
        from nephrite.training.weights import load_weights

        # first weights follow from their seed alone
        with torch.random.fork_rng():
            torch.manual_seed(task.weights_seed)
            network = self.build(len(task.channels))
        # train, or go on with what was killed
        module = VolumeTraining(
            network, self.volume_task(task), task.settings, seed=task.order_seed, folder=task.folder
        )
        fit(module, task.compute, folder=task.folder, epochs=task.settings.epochs, run=task.run, text=task.text)
        # the weights that were kept: those of the last epoch, or of the best one
        load_weights(module.network, task.folder / WEIGHTS, remedy=REMEDY)
        return TrainedVolumeNetwork(
            backend=self,
            channels=task.channels,
            threshold=task.threshold,
            history=module.history,
            network=module.network.eval(),
        )

    def volume_task(self, task: FitTask) -> VolumeTask:
        """The task in volumes: groups of them, and how many each step takes a patch of."""
        from nephrite.segmentation.volumes.fitting import VolumeTask
        from nephrite.segmentation.volumes.patches import Volumes
        from nephrite.training.mixing import Extra, mix

        settings, cohorts = task.settings, [task.training, *(each.cohort for each in task.additions)]
        training = Volumes(*((cohort.source, _volumes(cohort)) for cohort in cohorts))
        # how each addition is mixed in; which patches hold foreground is drawn later, alike in all groups
        real, *others = (np.ones(len(_volumes(cohort)), bool) for cohort in cohorts)
        extras = [Extra(holds, each.way, each.share) for each, holds in zip(task.additions, others, strict=True)]
        steps = settings.epochs * settings.steps_per_epoch
        return VolumeTask(
            training=training,
            mixture=mix(real, extras, steps=steps, batch_size=self.settings.batch),
            validation=Volumes((task.validation.source, _volumes(task.validation))),
            patch=self.settings.patch,
            batch=self.settings.batch,
            forced=settings.foreground or 0.0,
            channels=task.channels,
            region=task.region,
            threshold=task.threshold,
            augmentation=task.augmentation,
            vanished=task.vanished,
            workers=task.compute.loader_workers,
        )

    def load(
        self, folder: Path, channels: Mapping[str, tuple[int, ...]], threshold: float, *, as_fitted: bool = False
    ) -> TrainedVolumeNetwork:
        """Read the weights; on the processor."""
        from nephrite.training.weights import load_weights

        network = self.build(len(channels))
        load_weights(network, folder / WEIGHTS, remedy=REMEDY)
        return TrainedVolumeNetwork(backend=self, channels=channels, threshold=threshold, network=network.eval())

    def identity(self, folder: Path) -> str:
        """SHA-256 of the file of the weights."""
        return sha256(folder / WEIGHTS)

    def ready(
        self, trained: TrainedVolumeNetwork, compute: ComputeSettings, *, batch_size: int, mirroring: bool = False
    ) -> TrainedVolumeNetwork:
        """Move the network to the device that predicts."""
        from nephrite.training.devices import pick_device

        return replace(trained, network=trained.network.to(pick_device(compute)), mirroring=mirroring)

    def predict(self, trained: TrainedVolumeNetwork, scan: Scan) -> Prediction:
        """Sigmoid outputs of the whole scan, and the label map of those that reach the threshold."""
        import torch

        from nephrite.segmentation.volumes.inference import volume_logits

        device = next(trained.network.parameters()).device
        image = torch.from_numpy(scan.windowed(range(scan.shape[0])))[None, None].to(device)
        with torch.inference_mode():
            logits = volume_logits(trained.network, image, self.settings.patch, mirroring=trained.mirroring)
            found: np.ndarray = logits[0].sigmoid().cpu().numpy()
        return Prediction(paint_labels(found >= trained.threshold, trained.channels), np.moveaxis(found, 0, 1))

    def step_seconds(self, config: Config) -> float:
        """Measured on made-up patches; on a processor a long step is extrapolated from a small one."""
        from nephrite.segmentation.volumes.step_time import patch_step_seconds

        return patch_step_seconds(config, self)

    def check(self, config: Config, shape: SliceShape) -> None:
        """Refuse several devices: one process draws and reads all patches."""
        if config.compute.devices != 1:
            finding = f"is trained by one process, and 'compute.devices' is {config.compute.devices}"
            raise ConfigError(f"segmenter of kind '{self.settings.kind}'", finding, "set it to 1")


def _volumes(cohort: Cohort) -> list[Run]:
    """Volumes of a cohort's patients; where fewer slices are asked for, of fewer patients, at least one."""
    found = volumes_of(cohort.source.volumes, cohort.patients)
    if cohort.most is None or not found:
        return found
    longest = max(len(run.part) for run in found)
    return thin(found, max(1, cohort.most // longest))


SETTINGS, BACKEND = SegResNetSettings, SegResNetBackend
