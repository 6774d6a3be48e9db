"""SPADE with a style code (Park et al. 2019)."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from nephrite.config import GeneratorSettings, Positive


class SpadeSettings(GeneratorSettings):
    """SPADE with a style code (Park et al. 2019): one mask, many slices."""

    kind: Literal["spade"] = Field(description="Spatially adaptive normalization with a style code (Park et al. 2019).")
    base_width: int = Field(
        default=16,
        ge=4,
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
        default=0.05, ge=0, description="Of the codes' Kullback-Leibler divergence; 0.05 in the paper."
    )


SETTINGS = SpadeSettings
