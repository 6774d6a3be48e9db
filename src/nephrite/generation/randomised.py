"""No training: intensities drawn per class (SynthSeg, Billot et al. 2023)."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from nephrite.config import GeneratorSettings


class RandomisedSettings(GeneratorSettings):
    """No training: intensity and texture of every class are drawn at random (SynthSeg, Billot et al. 2023)."""

    kind: Literal["randomised"] = Field(description="Nothing is trained: intensities drawn per class (SynthSeg, 2023).")
    spread: float | None = Field(
        default=None,
        ge=0,
        le=1,
        description="Of a class's mean about the training patients'; null = any brightness, as in SynthSeg.",
    )


SETTINGS = RandomisedSettings
