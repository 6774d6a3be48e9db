"""SPADE with a style code (Park et al. 2019)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, ClassVar, Literal, cast

from pydantic import Field

from nephrite.config import GeneratorSettings, Positive
from nephrite.generation.kind import AdversarialKind, Painted

if TYPE_CHECKING:
    from jaxtyping import Float
    from torch import Tensor, nn

    from nephrite.generation.conditioning import Scene
    from nephrite.models.spade import SpadeGenerator


class SpadeSettings(GeneratorSettings):
    """SPADE's generator with a style code (Park et al. 2019): one mask, many slices.

    Trained as pix2pix: without the paper's hinge loss, feature matching, several scales and spectral normalization.
    """

    WEARS_STYLE: ClassVar[bool] = True

    kind: Literal["spade"] = Field(
        description="Spatially adaptive normalization with a style code (Park et al. 2019), trained as pix2pix: "
        "without the paper's hinge loss, feature matching, several scales and spectral normalization."
    )
    base_width: int = Field(
        default=16,
        ge=4,
        le=4096,
        description="Channels at half resolution, twice as many at each level below; 16 for two cores.",
    )
    depth: int = Field(default=3, ge=2, le=9, description="Up-samplings; 3 for 64 to 96 px, 6 for 352.")
    hidden_width: Positive = Field(
        default=16, description="Channels within a normalization; 128 in the paper, 16 for two cores."
    )
    code_length: Positive = Field(
        default=16, description="Numbers in the style code; 256 in the paper, 16 for two cores."
    )
    divergence_weight: float = Field(
        default=0.05, ge=0, le=1e9, description="Of the codes' Kullback-Leibler divergence; 0.05 in the paper."
    )


class Spade(AdversarialKind[SpadeSettings]):
    """Park et al. 2019. In training every slice is its own style; later a slice of another patient, or a drawn code."""

    def build(self, channels: int, size: int) -> SpadeGenerator:
        """Generator and style encoder."""
        from nephrite.models.generators import fitting_depth
        from nephrite.models.spade import SpadeGenerator

        chosen = self.settings.model_dump(exclude={"kind", "divergence_weight"})
        return SpadeGenerator(channels, **chosen | {"depth": fitting_depth(size, self.settings.depth)})

    def imagine(self, network: nn.Module, scene: Scene) -> Painted:
        """Draw a code around the real slice's mean code; then paint the slice."""
        import torch

        from nephrite.models.spade import divergence

        generator = cast("SpadeGenerator", network)
        mean, log_variance = generator.encoder(scene.style)
        code = mean + torch.randn_like(mean) * (log_variance / 2).exp()
        penalty = self.settings.divergence_weight * divergence(mean, log_variance)
        return Painted(generator(scene.condition, code), penalty)

    def paint(self, network: nn.Module, scene: Scene, seeds: Sequence[int]) -> Float[Tensor, "b 1 h w"]:
        """Slices in the given style, or in one that the seed draws."""
        import torch

        from nephrite.generation.noise import normal_noise

        generator = cast("SpadeGenerator", network)
        # style: drawn, or read off another slice
        if scene.style is None:
            code = normal_noise((generator.code_length,), seeds).to(scene.condition.device)
        else:
            code, _ = generator.encoder(scene.style)
        painted: Tensor = generator(scene.condition.contiguous(memory_format=torch.channels_last), code)
        return painted


SETTINGS = SpadeSettings
KIND = Spade
