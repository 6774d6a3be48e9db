"""Painting in: the real slice is kept except for lesions and their rim."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, ClassVar, Literal

from pydantic import Field

from nephrite.config import GeneratorSettings, Positive
from nephrite.generation.kind import AdversarialKind, Painted

if TYPE_CHECKING:
    from jaxtyping import Float
    from torch import Tensor, nn

    from nephrite.generation.conditioning import Scene
    from nephrite.models.generators import Generator


class PaintInSettings(GeneratorSettings):
    """The real slice stays but for lesions and their rim, which pix2pix's U-Net paints anew."""

    LEARNS_WITHOUT_LABELS: ClassVar[bool] = False  # a scan alone does not say where its lesions are

    kind: Literal["paint_in"] = Field(description="A real slice, of which only lesions and their rim are painted anew.")
    base_width: Positive = Field(default=16, description="Channels after the first convolution; as in pix2pix.")
    depth: int = Field(default=4, ge=2, le=9, description="Down-samplings; as in pix2pix.")
    upsampling: Literal["transposed", "resize"] = Field(default="resize", description="As in pix2pix.")
    dropout: float = Field(default=0.0, ge=0, lt=1, description="As in pix2pix.")
    normalization: Literal["slice", "batch"] = Field(default="slice", description="As in pix2pix.")
    rim: Positive = Field(default=2, description="Pixels about a lesion that are painted with it; 2 hide the seam.")

    @property
    def region_rim(self) -> int:
        """Only lesions and so many pixels about them are painted."""
        return self.rim


class PaintIn(AdversarialKind[PaintInSettings]):
    """The real slice stays but for lesions and their rim, as in DiffTumor (Chen et al. 2024), here by pix2pix's U-Net.

    The generator is shown the condition, the slice with the region blanked, and the region.
    """

    def build(self, channels: int, size: int) -> Generator:
        """The U-Net generator with two more channels."""
        from nephrite.models.generators import Generator, fitting_depth

        chosen = self.settings.model_dump(exclude={"kind", "rim"})
        return Generator(channels + 2, **chosen | {"depth": fitting_depth(size, self.settings.depth)})

    def imagine(self, network: nn.Module, scene: Scene) -> Painted:
        """The real slice with the region painted, not blended, so that the generator learns to fit in."""
        import torch

        background, region = _place(scene)
        return Painted(torch.where(region > 0, network(self._shown(scene)), background))

    def paint(self, network: nn.Module, scene: Scene, seeds: Sequence[int]) -> Float[Tensor, "b 1 h w"]:
        """The background with the region painted and blended."""
        import torch

        from nephrite.generation.noise import slice_noise
        from nephrite.synthesis.blend import blend

        background, region = _place(scene)
        with slice_noise(network, seeds):
            painted: Tensor = network(self._shown(scene).contiguous(memory_format=torch.channels_last))
        return blend(background, painted, region[:, 0] > 0, margin=self.settings.rim)

    def _shown(self, scene: Scene) -> Float[Tensor, "b k h w"]:
        import torch

        background, region = _place(scene)
        return torch.cat([scene.condition, background * (1 - region), region], dim=1)


def _place(scene: Scene) -> tuple[Float[Tensor, "b 1 h w"], Float[Tensor, "b 1 h w"]]:
    assert scene.background is not None
    assert scene.region is not None
    return scene.background, scene.region


SETTINGS = PaintInSettings
KIND = PaintIn
