"""No training: intensities drawn per class (SynthSeg, Billot et al. 2023)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Literal

from pydantic import Field

from nephrite.config import GeneratorSettings
from nephrite.generation.kind import Kind

if TYPE_CHECKING:
    from jaxtyping import Float
    from torch import Tensor, nn

    from nephrite.generation.conditioning import Scene


class RandomizedSettings(GeneratorSettings):
    """No training: intensity and texture of every class are drawn at random (SynthSeg, Billot et al. 2023)."""

    kind: Literal["randomized"] = Field(description="Nothing is trained: intensities drawn per class (SynthSeg, 2023).")
    spread: float | None = Field(
        default=None,
        ge=0,
        le=1,
        description="Of a class's mean about the training patients'; null = any brightness, as in SynthSeg.",
    )


class Randomized(Kind[RandomizedSettings]):
    """No network: every class takes an intensity that the seed draws (Billot et al. 2023)."""

    def build(self, channels: int, size: int) -> nn.Module:
        """An empty module: nothing is trained."""
        from torch import nn

        return nn.Identity()

    def paint(self, network: nn.Module, scene: Scene, seeds: Sequence[int]) -> Float[Tensor, "b 1 h w"]:
        """Slices with intensities drawn at random."""
        from nephrite.generation.intensities import class_statistics
        from nephrite.synthesis import randomized

        channels, spread = scene.condition.shape[1], self.settings.spread
        ranges = randomized.RandomRanges() if spread is None else randomized.RandomRanges(spread=spread)
        centered = None if spread is None else class_statistics(self.intensities)
        looks = randomized.draw(seeds, channels=channels, ranges=ranges, centered=centered)
        return randomized.apply(looks, scene.condition)


SETTINGS = RandomizedSettings
KIND = Randomized
