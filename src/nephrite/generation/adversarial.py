"""Generator against discriminator: Isola, Zhu, Zhou, Efros, "Image-to-Image Translation with Conditional Adversarial
Networks", CVPR 2017; for every kind that learns from a discriminator.

b  batch    k  channels of the condition    h, w  height and width in pixels
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional

from nephrite.augment.parameters import take
from nephrite.generation.conditioning import Scene
from nephrite.generation.fitting import GenerationModule
from nephrite.generation.kind import AdversarialKind
from nephrite.models import diffaugment
from nephrite.models.discriminators import build_discriminator
from nephrite.models.losses import discriminator_loss, generator_loss, weighted_mean
from nephrite.seeds import derive_seed
from nephrite.training.data import Batch


class Judgment(NamedTuple):
    """Logits of the discriminator's patches, and the patches' weights; None where all count alike."""

    logits: Float[Tensor, "b 1 h_patches w_patches"]
    patches: Float[Tensor, "b 1 h_patches w_patches"] | None


class AdversarialModule(GenerationModule):
    """Generator and discriminator, and the step that trains both."""

    def build(self) -> None:
        """Make generator and discriminator; the latter sees the region, too, where only a region is painted."""
        super().build()
        channels = self.conditioning.channels + (self.conditioning.rim is not None)
        self.discriminator = build_discriminator(self.settings.discriminator, channels=channels)

    def networks(self) -> list[nn.Module]:
        """Generator, then discriminator."""
        return [self.generator, self.discriminator]

    def training_step(self, batch: Batch, batch_idx: int) -> None:
        """One step: discriminator, then generator (Isola 2017, section 3.3)."""
        assert isinstance(self.kind, AdversarialKind)
        scene, real, changes = self.scene(batch), batch.image, self._changes(batch_idx, len(batch.image))
        for_generator, for_discriminator = self.trained()
        fake, penalty = self.kind.imagine(self.generator, scene)

        # Discriminator: tell the real slice from the painted one.
        self.toggle_optimizer(for_discriminator)
        on_real, on_fake = self._judge(real, scene, changes), self._judge(fake.detach(), scene, changes)
        judging = discriminator_loss(on_real.logits, on_fake.logits, on_real.patches)
        self.record(batch_idx, discriminator_loss=judging)
        self.descend(for_discriminator, judging)

        # Generator: be taken for real, and be near the real slice.
        self.toggle_optimizer(for_generator)
        logits, patches = self._judge(fake, scene, changes)
        l1_weight = self.settings.l1_weight
        painting = generator_loss(logits, fake, real, l1_weight=l1_weight, patches=patches, pixels=scene.region)
        self.record(batch_idx, adversarial_loss=painting.adversarial, l1_loss=painting.l1)
        total = painting.total if penalty is None else painting.total + penalty
        if penalty is not None:
            self.record(batch_idx, style_penalty=penalty)
        self.record(batch_idx, generator_loss=total)
        self.descend(for_generator, total)

        self.record(batch_idx, discriminator_accuracy=accuracy(on_real.logits, on_fake.logits, on_real.patches))
        self.update_average()

    def _changes(self, batch_idx: int, slices: int) -> diffaugment.Changes | None:
        """Draw for the whole batch, then take this rank's share, so that the number of devices changes nothing."""
        names = self.settings.differentiable_augmentation
        if not names:
            return None
        source = torch.Generator().manual_seed(derive_seed(self.step_seed(batch_idx), "augmentation"))
        ranks = self.trainer.world_size
        whole = diffaugment.draw(slices * ranks, names, generator=source)
        return take(whole, slice(self.trainer.global_rank, None, ranks))

    def _judge(self, image: Float[Tensor, "b 1 h w"], scene: Scene, changes: diffaugment.Changes | None) -> Judgment:
        """Logits of slices; patches outside of the painted region are the same in both, and get weight 0."""
        shown = scene.condition if scene.region is None else torch.cat([scene.condition, scene.region], dim=1)
        if changes is not None:
            image, shown = diffaugment.apply(changes, image, shown)
        logits: Tensor = self.discriminator(shown, image)
        patches = None if scene.region is None else functional.adaptive_max_pool2d(shown[:, -1:], logits.shape[-2:])
        return Judgment(logits, patches)


def accuracy(
    real_logits: Float[Tensor, "b 1 h_patches w_patches"],
    fake_logits: Float[Tensor, "b 1 h_patches w_patches"],
    patches: Float[Tensor, "b 1 h_patches w_patches"] | None = None,
) -> Float[Tensor, ""]:
    """Share of patches that the discriminator judged rightly: 0.5 is a coin toss, 1 means that it has won.

    Args:
        real_logits: of real slices.
        fake_logits: of painted slices.
        patches: weight of each patch; None = all alike.
    """
    real, fake = (real_logits > 0).float(), (fake_logits < 0).float()
    return (weighted_mean(real, patches) + weighted_mean(fake, patches)) / 2
