"""A diffusion model that sees the condition (Ho et al. 2020)."""

from __future__ import annotations

from typing import Literal, Self

from pydantic import Field, model_validator

from nephrite.config import GeneratorSettings


class DiffusionSettings(GeneratorSettings):
    """A diffusion model that sees the condition, sampled by DDIM (Song et al. 2021); for GPUs."""

    kind: Literal["diffusion"] = Field(
        description="Denoising diffusion with DDIM sampling (Song et al. 2021), for GPUs."
    )
    base_width: int = Field(
        default=32,
        ge=8,
        multiple_of=8,
        description="Channels at full resolution; twice as many at each level; 32 for one GPU.",
    )
    depth: int = Field(default=3, ge=1, le=5, description="Down-samplings; 3 for 64 to 128 px.")
    noise_steps: int = Field(default=1000, ge=2, description="Levels of noise in training; 1,000 in the paper.")
    sampling_steps: int = Field(
        default=25, ge=1, description="Denoising steps per slice; DDIM needs a small part of the levels."
    )

    @model_validator(mode="after")
    def _samples_known_levels(self) -> Self:
        if self.sampling_steps > self.noise_steps:
            raise ValueError(f"'sampling_steps' {self.sampling_steps} is more than 'noise_steps' {self.noise_steps}")
        return self


SETTINGS = DiffusionSettings
