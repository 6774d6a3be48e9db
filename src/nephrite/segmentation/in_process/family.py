"""Segmenters that are networks on slices, trained in this process by `fitting.SegmentationModule`.

A member of the family is a kind whose BACKEND is a subclass of `InProcess`; it builds a network, and may say where
features come from, what costs less, and how it is made without pretrained weights.
"""

from __future__ import annotations

import logging
from abc import abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar, Self, TypeVar, get_args

import numpy as np
from jaxtyping import Float32

from nephrite.config import ComputeSettings, Config, Intake, SegmenterSettings
from nephrite.files import sha256
from nephrite.imaging.masks import paint_labels
from nephrite.segmentation.artifacts import REMEDY, WEIGHTS
from nephrite.segmentation.backend import Backend, Examination, Exported, Prediction, Scan, SliceShape, Trained
from nephrite.segmentation.fit_task import FitTask

if TYPE_CHECKING:
    from torch import nn

    from nephrite.segmentation.in_process.fitting import SegmentationTask
    from nephrite.segmentation.in_process.networks import Segmenter
    from nephrite.training.mixing import Mixture

S = TypeVar("S", bound="InProcessSettings")
logger = logging.getLogger(__name__)
UNEVEN = 0.02  # difference between arms in the share of slices with foreground that is told
HALF = 0.5
BATCH = 32  # slices at a time, unless `ready` says otherwise


class InProcessSettings(SegmenterSettings):
    """A network on slices that is trained in this process."""

    FEATURES = True
    TAKES = frozenset(get_args(Intake)) - {"channels"}


@dataclass(frozen=True, kw_only=True)
class TrainedNetwork(Trained):
    """A network with its weights.

    Attributes:
        network: in evaluation mode; its device is used.
        batch_size: slices at a time.
        mirroring: whether predictions are averaged over mirrored slices.
    """

    network: Segmenter
    batch_size: int = BATCH
    mirroring: bool = False


class InProcess(Backend[S, TrainedNetwork]):
    """A network that `build` makes.

    Attributes:
        TRIED: whether this package's tests already cover that it is a segmenter, so that `check` tries the size alone.
    """

    TRIED: ClassVar[bool] = False

    @abstractmethod
    def build(self, channels: int) -> Segmenter:
        """The network in its frame, with its first weights.

        Raises:
            WeightsError: pretrained weights are not available.
            ConfigError: the settings name something that does not exist.
        """

    def deepest(self, network: nn.Module) -> nn.Module:
        """The part of the network, without its frame, whose output is a slice's features; of a list, its last."""
        raise NotImplementedError("of a kind whose settings say FEATURES")

    def bare(self) -> Self:
        """The same without pretrained weights, which need not be fetched if trained weights are loaded next."""
        return self

    def cheap(self) -> tuple[Self, float]:
        """A network that costs little, and by how much this one costs more."""
        return self, 1.0

    def fit(self, task: FitTask) -> TrainedNetwork:
        """Train to the end, and take the last weights, or those that were best on validation."""
        import torch

        from nephrite.segmentation.in_process.fitting import SegmentationModule
        from nephrite.training.trainer import fit
        from nephrite.training.weights import load_weights

        # first weights follow from their seed alone
        with torch.random.fork_rng():
            torch.manual_seed(task.weights_seed)
            network = self.build(len(task.channels))
        # train, or go on with what was killed
        module = SegmentationModule(
            network, segmentation_task(task), task.settings, seed=task.order_seed, folder=task.folder
        )
        fit(module, task.compute, folder=task.folder, epochs=task.settings.epochs, run=task.run, text=task.text)
        # the weights that were kept: those of the last epoch, or of the best one
        load_weights(module.network, task.folder / WEIGHTS, remedy=REMEDY)
        module.trainer.strategy.barrier()  # wait until all processes have read it: the first one moves the folder away
        return TrainedNetwork(
            backend=self,
            channels=task.channels,
            threshold=task.threshold,
            history=module.history,
            window=task.settings.window,
            network=module.network.eval(),
        )

    def load(
        self, folder: Path, channels: Mapping[str, tuple[int, ...]], threshold: float, *, as_fitted: bool = False
    ) -> TrainedNetwork:
        """Read the weights; on the processor."""
        import torch

        from nephrite.training.weights import load_weights

        network = self.bare().build(len(channels))
        load_weights(network, folder / WEIGHTS, remedy=REMEDY)
        if as_fitted:
            network.to(memory_format=torch.channels_last)
        return TrainedNetwork(backend=self, channels=channels, threshold=threshold, network=network.eval())

    def identity(self, folder: Path) -> str:
        """SHA-256 of the file of the weights."""
        return sha256(folder / WEIGHTS)

    def ready(
        self, trained: TrainedNetwork, compute: ComputeSettings, *, batch_size: int, mirroring: bool = False
    ) -> TrainedNetwork:
        """Move the network to the device that predicts."""
        from nephrite.training.devices import pick_device

        network = trained.network.to(pick_device(compute))
        return replace(trained, network=network, batch_size=batch_size, mirroring=mirroring)

    def predict(self, trained: TrainedNetwork, scan: Scan) -> Prediction:
        """Sigmoid outputs, some slices at a time, and the label map of those that reach the threshold."""
        from nephrite.segmentation.in_process.inference import sigmoid_outputs

        (count, height, width), size = scan.shape, trained.batch_size
        found = np.empty((count, len(trained.channels), height, width), np.float32)  # whole at once: scans are large
        for start in range(0, count, size):
            part = range(start, min(start + size, count))
            found[part.start : part.stop] = sigmoid_outputs(
                trained.network, scan.windowed(part), window=trained.window, mirroring=trained.mirroring
            )
        return Prediction(paint_labels(np.moveaxis(found >= trained.threshold, 1, 0), trained.channels), found)

    def examine(self, trained: TrainedNetwork, planes: Float32[np.ndarray, "slice height width"]) -> Examination:
        """Sigmoid outputs, and features of one forward pass over whole slices."""
        from nephrite.segmentation.in_process.inference import outputs_and_features

        source = self.deepest(trained.network.network)
        return Examination(*outputs_and_features(trained.network, planes, source, window=trained.window))

    def exported(self, trained: TrainedNetwork, size: int) -> Exported:
        """The network in its frame, for slices or for the windows that it learned from."""
        return Exported(trained.network, min(size, trained.window or size))

    def step_seconds(self, config: Config) -> float:
        """Measured on made-up slices; a long step is extrapolated from a small one."""
        from nephrite.segmentation.in_process.step_time import network_step_seconds

        return network_step_seconds(config, self)

    def check(self, config: Config, shape: SliceShape) -> None:
        """Build it without pretrained weights, and check that it works as a segmenter."""
        from nephrite.segmentation.in_process.network_check import check_network

        check_network(self, config, shape)


def segmentation_task(task: FitTask) -> SegmentationTask:
    """The task in slices: groups of them, and how many each step takes of each group."""
    from nephrite.segmentation.in_process.fitting import SegmentationTask
    from nephrite.training.data import Pairs
    from nephrite.training.mixing import Extra, mix

    # slices of all cohorts, in one order
    cohorts = [task.training, *(addition.cohort for addition in task.additions)]
    parts = [(cohort.source, cohort.slices()) for cohort in cohorts]
    # how each addition is mixed in
    settings, steps = task.settings, task.settings.epochs * task.settings.steps_per_epoch
    # which slices hold foreground; those that get lesions pasted in do, mostly
    onto = task.pasted_onto if task.pasted_onto and settings.lesion_free.pasted > HALF else frozenset[str]()
    real, *others = (cohort.holds() | (not {*cohort.patients} - onto) for cohort in cohorts)
    extras = [Extra(holds, each.way, each.share) for each, holds in zip(task.additions, others, strict=True)]
    size, forced = settings.batch_size, settings.foreground
    mixture = mix(real, extras, steps=steps, batch_size=size, oversampled=forced)
    _tell_uneven(task, mixture)
    return SegmentationTask(
        training=Pairs(*parts),
        mixture=mixture,
        validation=Pairs((task.validation.source, task.validation.slices())),
        channels=task.channels,
        region=task.region,
        threshold=task.threshold,
        window=settings.window,
        forced=(forced or 0.0) / mixture.target if mixture.target else 0.0,
        augmentation=task.augmentation,
        unsure=task.unsure,
        lesions=task.lesions,
        pasted_onto=task.pasted_onto,
        vanished=task.vanished,
        workers=task.compute.loader_workers,
    )


def _tell_uneven(task: FitTask, mixture: Mixture) -> None:
    """Warn of an arm that sees foreground more or less often than the reference: a difference of its own."""
    if task.settings.foreground is not None and abs(mixture.foreground - mixture.target) > UNEVEN:
        text = "%s: %.0f %% of its slices hold foreground, and %.0f %% of those of an arm of real slices alone; lower "
        logger.warning(
            text + "the share of added slices, or raise 'train_segmenter.foreground'",
            *(task.text, 100 * mixture.foreground, 100 * mixture.target),
        )
