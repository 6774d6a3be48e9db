"""A diffusion model that sees the condition (Ho et al. 2020)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Literal, Self, cast

from pydantic import Field, model_validator

from nephrite.config import GeneratorSettings
from nephrite.generation.kind import DenoisingKind

if TYPE_CHECKING:
    import torch
    from jaxtyping import Float
    from torch import Tensor, nn

    from nephrite.generation.conditioning import Scene
    from nephrite.models.diffusion import Denoiser


class DiffusionSettings(GeneratorSettings):
    """A diffusion model that sees the condition, sampled by DDIM (Song et al. 2021); for GPUs."""

    kind: Literal["diffusion"] = Field(
        description="Denoising diffusion with DDIM sampling (Song et al. 2021), for GPUs."
    )
    base_width: int = Field(
        default=32,
        ge=8,
        le=4096,
        multiple_of=8,
        description="Channels at full resolution; twice as many at each level; 32 for one GPU.",
    )
    depth: int = Field(default=3, ge=1, le=5, description="Down-samplings; 3 for 64 to 128 px.")
    noise_steps: int = Field(
        default=1000, ge=2, le=10**6, description="Levels of noise in training; 1,000 in the paper."
    )
    sampling_steps: int = Field(
        default=25, ge=1, le=10**6, description="Denoising steps per slice; DDIM needs a small part of the levels."
    )

    @model_validator(mode="after")
    def _samples_known_levels(self) -> Self:
        if self.sampling_steps > self.noise_steps:
            raise ValueError(f"'sampling_steps' {self.sampling_steps} is more than 'noise_steps' {self.noise_steps}")
        return self


class Diffusion(DenoisingKind[DiffusionSettings]):
    """A diffusion model that sees the condition."""

    def build(self, channels: int, size: int) -> Denoiser:
        """The denoiser with its schedule."""
        from nephrite.models.diffusion import Denoiser
        from nephrite.models.generators import fitting_depth

        chosen = self.settings.model_dump(exclude={"kind"})
        return Denoiser(channels, **chosen | {"depth": fitting_depth(size, self.settings.depth)})

    def loss(self, network: nn.Module, scene: Scene, generator: torch.Generator) -> Float[Tensor, ""]:
        """The loss on real slices."""
        assert scene.background is not None
        return cast("Denoiser", network).loss(scene.background, scene.condition, generator)

    def paint(self, network: nn.Module, scene: Scene, seeds: Sequence[int]) -> Float[Tensor, "b 1 h w"]:
        """Slices denoised from noise that the seed draws."""
        from nephrite.generation.noise import normal_noise

        noise = normal_noise((1, *scene.condition.shape[-2:]), seeds).to(scene.condition.device)
        return cast("Denoiser", network).sample(scene.condition, noise)


SETTINGS = DiffusionSettings
KIND = Diffusion
