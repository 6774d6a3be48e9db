"""Shared by the trainings of all generators: the order of the slices, moving average, learning rate, history.

b  batch    k  channels of the condition    h, w  height and width in pixels
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import torch
from jaxtyping import Float
from lightning.pytorch import Callback
from lightning.pytorch.core.optimizer import LightningOptimizer
from torch import Tensor, nn
from torch.optim import Adam
from torch.optim.lr_scheduler import LambdaLR
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn
from torch.utils.data import DataLoader

from nephrite.config import ComputeSettings, GeneratorSettings, TrainGanSettings
from nephrite.generation.conditioning import Conditioning, Scene
from nephrite.generation.kind import Kind, kind_of
from nephrite.generation.synthesizers import Synthesizer
from nephrite.recording import Run
from nephrite.seeds import derive_seed
from nephrite.training.data import Batch, Pairs, ShuffledBatches, batch_loader
from nephrite.training.devices import node_count
from nephrite.training.trainer import RecordedModule, check_finite, fit

Weights = tuple[Tensor, ...] | list[Tensor]


class GenerationModule(RecordedModule):
    """A generator in training. A subclass has the step, and may have more networks: see `build`.

    Args:
        settings: 'train_gan'.
        pairs: the slices to train on.
        conditioning: what the generator is shown of them.
        size: pixels per side of the slices.
        seed: for initialization, the order of slices and all random draws in a step.
        workers: processes that read slices.
        callbacks: further things to do while training.

    Attributes:
        average: moving average of the generator; None with 'ema_decay' 0.
    """

    def __init__(
        self,
        settings: TrainGanSettings,
        pairs: Pairs,
        *,
        conditioning: Conditioning,
        size: int,
        seed: int,
        workers: int = 0,
        callbacks: Sequence[Callback] = (),
    ) -> None:
        super().__init__(seed)
        self.automatic_optimization = False
        self.settings, self.pairs, self.conditioning, self.size = settings, pairs, conditioning, size
        self.kind: Kind[Any] = kind_of(settings.method)
        self.workers, self.callbacks = workers, list(callbacks)
        # initialize weights without touching the global random state
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(derive_seed(seed, "weights"))
            self.build()
        self.to(memory_format=torch.channels_last)
        self.average = average_weights(self.generator, settings.ema_decay) if settings.ema_decay else None
        # running sums of the epoch
        self._sums: dict[str, Tensor] = {}
        self._started = 0.0

    def build(self) -> None:
        """Make the networks, with weights drawn by torch's own random numbers."""
        self.generator = self.kind.build(self.conditioning.channels, self.size)

    def networks(self) -> list[nn.Module]:
        """The networks that are trained, each with its own optimizer."""
        return [self.generator]

    @property
    def painter(self) -> nn.Module:
        """The generator that is kept: the moving average where there is one."""
        painter: nn.Module = self.generator if self.average is None else self.average.module
        return painter

    @property
    def synthesizer(self) -> Synthesizer:
        """The synthesizer with the present weights."""
        return Synthesizer(self.settings.method, self.conditioning, self.painter)

    def scene(self, batch: Batch) -> Scene:
        """What the generator is shown of real slices."""
        return self.conditioning.of_batch(batch.image, batch.label)

    def train_dataloader(self) -> DataLoader[Batch]:
        """One pass over the slices per epoch, the last batch filled up from the next pass."""
        size, ranks = self.settings.batch_size, self.trainer.world_size
        batches = ShuffledBatches(
            len(self.pairs),
            batch_size=size,
            steps=steps_per_epoch(self.settings, self.pairs),
            seed=derive_seed(self.seed, "order"),
            rank=self.trainer.global_rank,
            ranks=ranks,
            done=self.done,
        )
        return batch_loader(self.pairs, batches, workers=self.workers)

    def configure_callbacks(self) -> list[Callback]:
        """The callbacks that were given."""
        return self.callbacks

    def configure_optimizers(self) -> tuple[list[Adam], list[LambdaLR]]:
        """Adam for each network, all on one schedule (Isola 2017, section 3.3)."""
        rate, betas = self.settings.learning_rate, (self.settings.beta1, 0.999)
        optimizers = [Adam(network.parameters(), rate, betas) for network in self.networks()]
        factor = rate_factor(self.trainer.max_epochs or self.settings.epochs, self.settings.constant_share)
        return optimizers, [LambdaLR(optimizer, factor) for optimizer in optimizers]

    def on_train_start(self) -> None:
        """Start the clock of the first epoch."""
        self._started = time.perf_counter()

    def on_train_epoch_end(self) -> None:
        """Add the epoch's row to the history, then lower the learning rate."""
        # one row of the history: means over the epoch and all processes
        steps = int(self.trainer.num_training_batches)
        row = {"step": float(self.step_of(steps))}
        for name, total in self._sums.items():
            row[name] = float(self.trainer.strategy.reduce(total / steps, reduce_op="mean"))
        row["learning_rate"] = float(self.trained()[0].param_groups[0]["lr"])
        row["images_per_second"] = steps * self.settings.batch_size / (time.perf_counter() - self._started)
        self.history.append(row)
        self._sums, self._started = {}, time.perf_counter()
        # learning rates: one step per epoch
        schedulers = self.lr_schedulers()
        for scheduler in schedulers if isinstance(schedulers, list) else [schedulers]:
            assert isinstance(scheduler, LambdaLR)
            scheduler.step()

    def epoch_state(self) -> dict[str, Tensor]:
        """The sums of the epoch so far."""
        return self._sums

    def load_epoch_state(self, state: dict[str, Tensor]) -> None:
        """Restore them."""
        self._sums = {name: total.to(self.device) for name, total in state.items()}

    def trained(self) -> list[LightningOptimizer]:
        """The optimizers, in the order of `networks`."""
        optimizers = self.optimizers()
        return optimizers if isinstance(optimizers, list) else [optimizers]

    def descend(self, optimizer: LightningOptimizer, loss: Float[Tensor, ""]) -> None:
        """One step of one optimizer, which was toggled on."""
        optimizer.zero_grad()
        self.manual_backward(loss)
        optimizer.step()
        self.untoggle_optimizer(optimizer)

    def record(self, batch_idx: int, **values: Float[Tensor, ""]) -> None:
        """Add to the epoch's sums.

        Raises:
            NonFiniteLossError: a value is no number.
        """
        for name, value in values.items():
            check_finite(name, value, self.step_of(batch_idx))
            self._sums[name] = self._sums.get(name, torch.zeros_like(value)) + value.detach()

    def update_average(self) -> None:
        """After the generator's step."""
        if self.average is not None:
            self.average.update_parameters(self.generator)


def training_of(settings: GeneratorSettings) -> type[GenerationModule] | None:
    """How a generator of these settings is trained; None where there is nothing to train."""
    from nephrite.generation.adversarial import AdversarialModule  # imported here, since both build on this module
    from nephrite.generation.denoising import DenoisingModule

    trainings = {"adversarial": AdversarialModule, "denoising": DenoisingModule, None: None}
    return trainings[kind_of(settings).TRAINING]


def fit_generator(module: GenerationModule, compute: ComputeSettings, *, folder: Path, run: Run) -> None:
    """Train to the last epoch, from the last checkpoint in `folder` if there is one.

    Each network's backward pass leaves the other's parameters untouched, which DDP must be told.
    """
    if (compute.devices != 1 or node_count() > 1) and compute.strategy in ("auto", "ddp"):
        compute = compute.model_copy(update={"strategy": "ddp_find_unused_parameters_true"})
    fit(module, compute, folder=folder, epochs=module.settings.epochs, run=run, text="Training the synthesizer")


def steps_per_epoch(settings: TrainGanSettings, pairs: Pairs) -> int:
    """Steps of one pass over the slices."""
    return math.ceil(len(pairs) / settings.batch_size)


def rate_factor(epochs: int, constant_share: float) -> Callable[[int], float]:
    """Factor of the learning rate by epoch: 1, then linearly down; it would reach 0 one epoch after the last.

    The paper keeps the rate (section 3.3); the decay is that of the authors' later PyTorch code.
    """
    constant = round(epochs * constant_share)
    return lambda epoch: 1 - max(0, epoch - constant + 1) / (epochs - constant + 1)


def average_weights(generator: nn.Module, decay: float) -> AveragedModel:
    """Exponential moving average of weights and of batch normalization's running averages.

    The decay starts low and is never above (1 + n) / (10 + n) after n steps: without that, a training of a few hundred
    steps at 0.999 would keep mostly its first weights.
    """

    def update(averaged: Weights, current: Weights, count: Tensor | int) -> None:
        steps = float(count)
        blend: Callable[[Weights, Weights, Tensor | int], None]
        blend = get_ema_multi_avg_fn(min(decay, (1 + steps) / (10 + steps)))  # type: ignore[no-untyped-call] # torch's
        blend(averaged, current, count)

    average = AveragedModel(generator, multi_avg_fn=update, use_buffers=True)
    return average.requires_grad_(False)
