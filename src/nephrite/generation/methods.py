"""Every way to paint a slice behind one interface, by the name that `train_gan.method.kind` gives it.

b  batch    h, w  height and width in pixels
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import NamedTuple, cast

import torch
from jaxtyping import Float
from torch import Tensor, nn

from nephrite.config import GeneratorSettings
from nephrite.generation.conditioning import Scene
from nephrite.generation.diffusion import DiffusionSettings
from nephrite.generation.intensities import Intensity, class_statistics
from nephrite.generation.paint_in import PaintInSettings
from nephrite.generation.pix2pix import Pix2PixSettings
from nephrite.generation.randomised import RandomisedSettings
from nephrite.generation.spade import SpadeSettings
from nephrite.models.diffusion import Denoiser
from nephrite.models.generators import Generator, fitting_depth
from nephrite.models.spade import SpadeGenerator, divergence
from nephrite.synthesis import randomised
from nephrite.synthesis.blend import blend


class Painted(NamedTuple):
    """What a generator made in training.

    Attributes:
        image: in [0, 1].
        penalty: joins the generator's loss; None where there is none.
    """

    image: Float[Tensor, "b 1 h w"]
    penalty: Float[Tensor, ""] | None = None


class Method(ABC):
    """A kind of generator: its network, and how the trained one paints."""

    @abstractmethod
    def build(self, channels: int, size: int) -> nn.Module:
        """The network with weights drawn at random, for so many channels of the condition and pixels per side."""

    @abstractmethod
    def paint(self, network: nn.Module, scene: Scene, seeds: Sequence[int]) -> Float[Tensor, "b 1 h w"]:
        """Slices in [0, 1], each from its part of the scene and its seed alone; the network is in evaluation mode."""


class AdversarialMethod(Method):
    """A generator that learns from a discriminator and from the real slice."""

    @abstractmethod
    def imagine(self, network: nn.Module, scene: Scene) -> Painted:
        """Paint a scene of real slices in training, by torch's own random numbers."""


class Pix2PixMethod(AdversarialMethod):
    """Isola et al. 2017. Dropout is the only noise."""

    def __init__(self, settings: Pix2PixSettings) -> None:
        self.settings = settings

    def build(self, channels: int, size: int) -> Generator:
        """The U-Net generator."""
        return _unet(self.settings, channels, size)

    def imagine(self, network: nn.Module, scene: Scene) -> Painted:
        """The whole slice."""
        return Painted(network(scene.condition))

    def paint(self, network: nn.Module, scene: Scene, seeds: Sequence[int]) -> Float[Tensor, "b 1 h w"]:
        """The whole slice.

        Batch normalization takes its running averages, where the paper takes the statistics of the image itself, at a
        batch of one. Dropout stays on: it is the paper's only noise z (Isola 2017, section 3.2), the averages were
        taken under it, and a label map that is painted twice comes out different.
        """
        with slice_noise(network, seeds):
            painted: Tensor = network(_ordered(scene.condition))
        return painted


class PaintInMethod(AdversarialMethod):
    """The real slice stays but for lesions and their rim, as in DiffTumor (Chen et al. 2024), here by pix2pix's U-Net.

    The generator is shown the condition, the slice with the region blanked, and the region.
    """

    def __init__(self, settings: PaintInSettings) -> None:
        self.settings = settings

    def build(self, channels: int, size: int) -> Generator:
        """The U-Net generator with two more channels."""
        return _unet(self.settings, channels + 2, size)

    def imagine(self, network: nn.Module, scene: Scene) -> Painted:
        """The real slice with the region painted, not blended, so that the generator learns to fit in."""
        background, region = _place(scene)
        return Painted(torch.where(region > 0, network(self._shown(scene)), background))

    def paint(self, network: nn.Module, scene: Scene, seeds: Sequence[int]) -> Float[Tensor, "b 1 h w"]:
        """The background with the region painted and blended."""
        background, region = _place(scene)
        with slice_noise(network, seeds):
            painted: Tensor = network(_ordered(self._shown(scene)))
        return blend(background, painted, region[:, 0] > 0, margin=self.settings.rim)

    def _shown(self, scene: Scene) -> Float[Tensor, "b k h w"]:
        background, region = _place(scene)
        return torch.cat([scene.condition, background * (1 - region), region], dim=1)


class SpadeMethod(AdversarialMethod):
    """Park et al. 2019. In training every slice is its own style; later a slice of another patient, or a drawn code."""

    def __init__(self, settings: SpadeSettings) -> None:
        self.settings = settings

    def build(self, channels: int, size: int) -> SpadeGenerator:
        """Generator and style encoder."""
        chosen = self.settings.model_dump(exclude={"kind", "divergence_weight"})
        return SpadeGenerator(channels, **chosen | {"depth": fitting_depth(size, self.settings.depth)})

    def imagine(self, network: nn.Module, scene: Scene) -> Painted:
        """Code of the real slice, drawn about its mean; then the slice."""
        generator = cast(SpadeGenerator, network)
        mean, log_variance = generator.encoder(scene.style)
        code = mean + torch.randn_like(mean) * (log_variance / 2).exp()
        penalty = self.settings.divergence_weight * divergence(mean, log_variance)
        return Painted(generator(scene.condition, code), penalty)

    def paint(self, network: nn.Module, scene: Scene, seeds: Sequence[int]) -> Float[Tensor, "b 1 h w"]:
        """In the style that was given, or in one that the seed draws."""
        generator = cast(SpadeGenerator, network)
        if scene.style is None:
            code = normal_noise((generator.code_length,), seeds).to(scene.condition.device)
        else:
            code, _ = generator.encoder(scene.style)
        painted: Tensor = generator(_ordered(scene.condition), code)
        return painted


class DiffusionMethod(Method):
    """A diffusion model that sees the condition."""

    def __init__(self, settings: DiffusionSettings) -> None:
        self.settings = settings

    def build(self, channels: int, size: int) -> Denoiser:
        """The denoiser with its schedule."""
        chosen = self.settings.model_dump(exclude={"kind"})
        return Denoiser(channels, **chosen | {"depth": fitting_depth(size, self.settings.depth)})

    def loss(self, network: nn.Module, scene: Scene, generator: torch.Generator) -> Float[Tensor, ""]:
        """Of real slices."""
        assert scene.background is not None
        return cast(Denoiser, network).loss(scene.background, scene.condition, generator)

    def paint(self, network: nn.Module, scene: Scene, seeds: Sequence[int]) -> Float[Tensor, "b 1 h w"]:
        """From noise that the seed draws."""
        noise = normal_noise((1, *scene.condition.shape[-2:]), seeds).to(scene.condition.device)
        return cast(Denoiser, network).sample(scene.condition, noise)


class RandomisedMethod(Method):
    """No network: every class takes an intensity that the seed draws (Billot et al. 2023)."""

    def __init__(self, settings: RandomisedSettings, intensities: Sequence[Intensity]) -> None:
        centred, spread = class_statistics(intensities), settings.spread
        self.centred = None if spread is None else centred
        self.ranges = randomised.RandomRanges() if spread is None else randomised.RandomRanges(spread=spread)

    def build(self, channels: int, size: int) -> nn.Module:
        """Nothing that could learn."""
        return nn.Identity()

    def paint(self, network: nn.Module, scene: Scene, seeds: Sequence[int]) -> Float[Tensor, "b 1 h w"]:
        """By chance."""
        channels = scene.condition.shape[1]
        looks = randomised.draw(seeds, channels=channels, ranges=self.ranges, centred=self.centred)
        return randomised.apply(looks, scene.condition)


def method_of(settings: GeneratorSettings, intensities: Sequence[Intensity] = ()) -> Method:
    """The method that the settings name.

    Args:
        settings: 'train_gan.method'.
        intensities: of the training patients, for 'randomised'.
    """
    if isinstance(settings, Pix2PixSettings):
        return Pix2PixMethod(settings)
    if isinstance(settings, PaintInSettings):
        return PaintInMethod(settings)
    if isinstance(settings, SpadeSettings):
        return SpadeMethod(settings)
    if isinstance(settings, DiffusionSettings):
        return DiffusionMethod(settings)
    return RandomisedMethod(settings, intensities)


def normal_noise(shape: Sequence[int], seeds: Sequence[int]) -> Float[Tensor, "..."]:
    """Standard normal numbers, for each slice by its own seed."""
    return torch.stack([torch.randn(tuple(shape), generator=torch.Generator().manual_seed(seed)) for seed in seeds])


@contextmanager
def slice_noise(network: nn.Module, seeds: Sequence[int]) -> Iterator[None]:
    """Let dropout act in evaluation mode, each slice of the batch with features dropped by its own seed."""
    sources = [torch.Generator().manual_seed(seed) for seed in seeds]

    def drop(module: nn.Dropout, inputs: tuple[Tensor], _: Tensor) -> Tensor:
        (features,) = inputs
        draws = torch.stack([torch.rand(features.shape[1:], generator=source) for source in sources])
        return features * (draws >= module.p).to(features.device) / (1 - module.p)

    layers = [module for module in network.modules() if isinstance(module, nn.Dropout) and module.p > 0]
    hooks = [layer.register_forward_hook(drop) for layer in layers]
    try:
        yield
    finally:
        for hook in hooks:
            hook.remove()


def _unet(settings: Pix2PixSettings | PaintInSettings, channels: int, size: int) -> Generator:
    """No deeper than slices of `size` pixels allow."""
    return Generator(
        channels,
        base_width=settings.base_width,
        depth=fitting_depth(size, settings.depth),
        upsampling=settings.upsampling,
        dropout=settings.dropout,
    )


def _place(scene: Scene) -> tuple[Float[Tensor, "b 1 h w"], Float[Tensor, "b 1 h w"]]:
    assert scene.background is not None
    assert scene.region is not None
    return scene.background, scene.region


def _ordered(shown: Float[Tensor, "b k h w"]) -> Float[Tensor, "b k h w"]:
    return shown.contiguous(memory_format=torch.channels_last)
