"""pix2pix: label map in, slice out (Isola et al. 2017)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Literal

from pydantic import Field

from nephrite.config import GeneratorSettings, Positive
from nephrite.generation.kind import AdversarialKind, Painted

if TYPE_CHECKING:
    from jaxtyping import Float
    from torch import Tensor, nn

    from nephrite.generation.conditioning import Scene
    from nephrite.models.generators import Generator


class Pix2PixSettings(GeneratorSettings):
    """pix2pix: label map in, slice out, by a U-Net (Isola et al. 2017, appendix 6.1)."""

    kind: Literal["pix2pix"] = Field(description="Condition in, slice out, by a U-Net (Isola et al. 2017).")
    base_width: Positive = Field(
        default=16, description="Channels after the first convolution; 64 in the paper, 16 for two cores."
    )
    depth: int = Field(
        default=4, ge=2, le=9, description="Down-samplings; 8 in the paper, for 256 px; 4 fit into any size from 16 px."
    )
    upsampling: Literal["transposed", "resize"] = Field(
        default="resize",
        description="The paper's, or resize-convolution, which leaves no checkerboard (Odena et al. 2016).",
    )
    dropout: float = Field(
        default=0.0, ge=0, lt=1, description="In the first decoder levels; 0.5 in the paper, none in a small network."
    )
    normalization: Literal["slice", "batch"] = Field(
        default="slice",
        description="By each slice's own statistics, in training and in painting, as the paper's at a batch of one; or "
        "by the batch's, and in painting by their running averages.",
    )


class Pix2Pix(AdversarialKind[Pix2PixSettings]):
    """Isola et al. 2017. Dropout is the only noise."""

    def build(self, channels: int, size: int) -> Generator:
        """The U-Net generator."""
        from nephrite.models.generators import Generator, fitting_depth

        chosen = self.settings.model_dump(exclude={"kind"})
        return Generator(channels, **chosen | {"depth": fitting_depth(size, self.settings.depth)})

    def imagine(self, network: nn.Module, scene: Scene) -> Painted:
        """The whole slice."""
        return Painted(network(scene.condition))

    def paint(self, network: nn.Module, scene: Scene, seeds: Sequence[int]) -> Float[Tensor, "b 1 h w"]:
        """The whole slice.

        Normalized as in training: by the statistics of the slice itself, as the paper has it with a batch of one
        (section 3.3); only with 'normalization: batch' by running averages. Dropout stays on: it is the paper's only
        noise z (section 3.2), and a label map that is painted twice comes out different.
        """
        import torch

        from nephrite.generation.noise import slice_noise

        with slice_noise(network, seeds):
            painted: Tensor = network(scene.condition.contiguous(memory_format=torch.channels_last))
        return painted


SETTINGS = Pix2PixSettings
KIND = Pix2Pix
