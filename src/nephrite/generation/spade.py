"""SPADE with a style code (Park et al. 2019)."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from nephrite.config import GeneratorSettings, Positive


class SpadeSettings(GeneratorSettings):
    """SPADE with a style code (Park et al. 2019): one mask, many slices."""

    kind: Literal["spade"] = Field(description="Spatially adaptive normalization with a style code (Park et al. 2019).")
    base_width: int = Field(ge=4, description="Channels at half resolution; twice as many at each level below it.")
    depth: int = Field(ge=2, le=9, description="Up-samplings.")
    hidden_width: Positive = Field(description="Channels within a normalization; 128 in the paper.")
    code_length: Positive = Field(description="Numbers in the style code; 256 in the paper.")
    divergence_weight: float = Field(ge=0, description="Of the codes' Kullback-Leibler divergence; 0.05 in the paper.")


SETTINGS = SpadeSettings
