"""U-Net (Ronneberger et al. 2015)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal, Self

from pydantic import Field

from nephrite.config import Positive
from nephrite.segmentation.in_process.family import InProcess, InProcessSettings

if TYPE_CHECKING:
    from torch import nn

    from nephrite.segmentation.in_process.networks import Segmenter


class UNetSettings(InProcessSettings):
    """U-Net (Ronneberger et al. 2015)."""

    kind: Literal["unet"] = Field(description="U-Net (Ronneberger et al. 2015).")
    base_width: Positive = Field(
        default=8, description="Channels of the first level; 64 in the paper, 8 for two cores."
    )
    depth: int = Field(default=4, ge=1, le=6, description="Poolings; 4 in the paper.")
    padding: Literal["valid", "same"] = Field(
        default="same", description="'valid' with cropped skips as in the paper, or 'same', which sees to the edge."
    )
    normalization: Literal["none", "batch"] = Field(
        default="batch", description="'none' as in the paper, or batch normalization, which learns in fewer steps."
    )
    halving: Literal["up_convolution", "last_convolution"] = Field(
        default="up_convolution",
        description="What halves the channels going up: the paper's, or the capstone's choice.",
    )


class UNetBackend(InProcess[UNetSettings]):
    """U-Net; its features are what leaves the bottom."""

    TRIED = True

    def build(self, channels: int) -> Segmenter:
        """A U-Net on one-channel slices."""
        from nephrite.models.unet import UNet
        from nephrite.segmentation.in_process.networks import Segmenter

        network = UNet(1, channels, **self.settings.model_dump(exclude={"kind"}))
        return Segmenter(network, network.input_size)

    def deepest(self, network: nn.Module) -> nn.Module:
        """The bottom."""
        return network.get_submodule("bottom")

    def cheap(self) -> tuple[Self, float]:
        """A narrow one: cost grows with the square of the width."""
        from nephrite.segmentation.in_process.step_time import PROBE_WIDTH

        settings = self.settings
        width = min(settings.base_width, PROBE_WIDTH)
        narrow = settings.model_copy(update={"base_width": width})
        return type(self)(narrow), (settings.base_width / width) ** 2


SETTINGS, BACKEND = UNetSettings, UNetBackend
