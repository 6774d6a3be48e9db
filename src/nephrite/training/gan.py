"""pix2pix: Isola, Zhu, Zhou, Efros, "Image-to-Image Translation with Conditional Adversarial Networks", CVPR 2017.

b  batch                      k  channels of the condition: classes of the label map, background included
h  height                     w  width
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import torch
from jaxtyping import Float
from lightning.pytorch import Callback
from lightning.pytorch.core.optimizer import LightningOptimizer
from torch import Tensor
from torch.optim import Adam
from torch.optim.lr_scheduler import LambdaLR
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn
from torch.utils.data import DataLoader

from nephrite.config import ComputeSettings, TrainGanSettings
from nephrite.models.discriminators import build_discriminator
from nephrite.models.generators import Generator, build_generator
from nephrite.models.losses import discriminator_loss, generator_loss
from nephrite.recording import Run
from nephrite.training.data import Batch, Pairs, ShuffledBatches, batch_loader, derive_seed
from nephrite.training.devices import node_count
from nephrite.training.synthesizers import one_hot
from nephrite.training.trainer import RecordedModule, check_finite, fit

Weights = tuple[Tensor, ...] | list[Tensor]


class Pix2Pix(RecordedModule):
    """Generator and discriminator, and the step that trains both.

    Args:
        settings: 'train_gan'.
        pairs: the slices to train on.
        classes: label values in the order of the condition's channels.
        size: pixels per side of the slices.
        seed: of initialization, order of the slices and dropout.
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
        classes: Sequence[int],
        size: int,
        seed: int,
        workers: int = 0,
        callbacks: Sequence[Callback] = (),
    ) -> None:
        super().__init__(seed)
        self.automatic_optimization = False
        self.settings, self.pairs, self.classes = settings, pairs, tuple(classes)
        self.workers, self.callbacks = workers, list(callbacks)
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(derive_seed(seed, "weights"))
            self.generator = build_generator(settings.generator, classes=1 + len(classes), size=size)
            self.discriminator = build_discriminator(settings.discriminator, classes=1 + len(classes))
        self.to(memory_format=torch.channels_last)
        self.average = average_weights(self.generator, settings.ema_decay) if settings.ema_decay else None
        self._sums: dict[str, Tensor] = {}
        self._started = 0.0

    @property
    def painter(self) -> Generator:
        """The generator that is kept: the moving average where there is one."""
        painter = self.generator if self.average is None else self.average.module
        assert isinstance(painter, Generator)
        return painter

    def train_dataloader(self) -> DataLoader[Batch]:
        """One pass over the slices per epoch, the last batch filled up from the next pass."""
        size, ranks = self.settings.batch_size, self.trainer.world_size
        batches = ShuffledBatches(
            len(self.pairs),
            batch_size=size,
            steps=math.ceil(len(self.pairs) / size),
            seed=derive_seed(self.seed, "order"),
            rank=self.trainer.global_rank,
            ranks=ranks,
            done=self.done,
        )
        return batch_loader(self.pairs, batches, workers=self.workers)

    def configure_callbacks(self) -> list[Callback]:
        """Those that were given."""
        return self.callbacks

    def configure_optimizers(self) -> tuple[list[Adam], list[LambdaLR]]:
        """Adam for each network, both on one schedule (Isola 2017, section 3.3)."""
        rate, betas = self.settings.learning_rate, (self.settings.beta1, 0.999)
        optimizers = [Adam(part.parameters(), rate, betas) for part in (self.generator, self.discriminator)]
        factor = rate_factor(self.trainer.max_epochs or self.settings.epochs, self.settings.constant_share)
        return optimizers, [LambdaLR(optimizer, factor) for optimizer in optimizers]

    def training_step(self, batch: Batch, batch_idx: int) -> None:
        """One step: discriminator, then generator (Isola 2017, section 3.3)."""
        condition, real = one_hot(batch.label, self.classes), batch.image
        for_generator, for_discriminator = self._optimizers()
        fake = self.generator(condition)

        # Discriminator: tell the real slice from the painted one.
        self.toggle_optimizer(for_discriminator)
        real_logits = self.discriminator(condition, real)
        fake_logits = self.discriminator(condition, fake.detach())
        judging = discriminator_loss(real_logits, fake_logits)
        self._record(batch_idx, discriminator_loss=judging)
        self._descend(for_discriminator, judging)

        # Generator: be taken for real, and be near the real slice.
        self.toggle_optimizer(for_generator)
        logits = self.discriminator(condition, fake)
        painting = generator_loss(logits, fake, real, l1_weight=self.settings.l1_weight)
        self._record(batch_idx, adversarial_loss=painting.adversarial, l1_loss=painting.l1)
        self._record(batch_idx, generator_loss=painting.total)
        self._descend(for_generator, painting.total)

        self._record(batch_idx, discriminator_accuracy=accuracy(real_logits, fake_logits))
        if self.average is not None:
            self.average.update_parameters(self.generator)

    def on_train_start(self) -> None:
        """Start the clock of the first epoch."""
        self._started = time.perf_counter()

    def on_train_epoch_end(self) -> None:
        """Add the epoch's row to the history, then lower the learning rate."""
        steps = int(self.trainer.num_training_batches)
        row = {"step": float(self.step_of(steps))}
        for name, total in self._sums.items():
            row[name] = float(self.trainer.strategy.reduce(total / steps, reduce_op="mean"))
        row["learning_rate"] = float(self._optimizers()[0].param_groups[0]["lr"])
        row["images_per_second"] = steps * self.settings.batch_size / (time.perf_counter() - self._started)
        self.history.append(row)
        self._sums, self._started = {}, time.perf_counter()
        schedulers = self.lr_schedulers()
        assert isinstance(schedulers, list)
        for scheduler in schedulers:
            assert isinstance(scheduler, LambdaLR)
            scheduler.step()

    def epoch_state(self) -> dict[str, Tensor]:
        """The sums of the epoch so far."""
        return self._sums

    def load_epoch_state(self, state: dict[str, Tensor]) -> None:
        """Take them up."""
        self._sums = {name: total.to(self.device) for name, total in state.items()}

    def _optimizers(self) -> list[LightningOptimizer]:
        optimizers = self.optimizers()
        assert isinstance(optimizers, list)
        return optimizers

    def _descend(self, optimizer: LightningOptimizer, loss: Float[Tensor, ""]) -> None:
        optimizer.zero_grad()
        self.manual_backward(loss)
        optimizer.step()
        self.untoggle_optimizer(optimizer)

    def _record(self, batch_idx: int, **values: Float[Tensor, ""]) -> None:
        for name, value in values.items():
            check_finite(name, value, self.step_of(batch_idx))
            self._sums[name] = self._sums.get(name, torch.zeros_like(value)) + value.detach()


def fit_pix2pix(module: Pix2Pix, compute: ComputeSettings, *, folder: Path, run: Run) -> None:
    """Train to the last epoch, from the last checkpoint in `folder` if there is one.

    Each network's backward pass leaves the other's parameters untouched, which DDP must be told.
    """
    if (compute.devices != 1 or node_count() > 1) and compute.strategy in ("auto", "ddp"):
        compute = compute.model_copy(update={"strategy": "ddp_find_unused_parameters_true"})
    fit(module, compute, folder=folder, epochs=module.settings.epochs, run=run, text="Training the synthesizer")


def rate_factor(epochs: int, constant_share: float) -> Callable[[int], float]:
    """Factor of the learning rate by epoch: 1, then linearly down; it would reach 0 one epoch after the last.

    The paper keeps the rate (section 3.3); the decay is that of the authors' later PyTorch code.
    """
    constant = round(epochs * constant_share)
    return lambda epoch: 1 - max(0, epoch - constant + 1) / (epochs - constant + 1)


def average_weights(generator: Generator, decay: float) -> AveragedModel:
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


def accuracy(
    real_logits: Float[Tensor, "b 1 h_patches w_patches"], fake_logits: Float[Tensor, "b 1 h_patches w_patches"]
) -> Float[Tensor, ""]:
    """Share of patches that the discriminator judged rightly: 0.5 is a coin toss, 1 means that it has won."""
    return ((real_logits > 0).float().mean() + (fake_logits < 0).float().mean()) / 2
