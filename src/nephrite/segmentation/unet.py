"""U-Net (Ronneberger et al. 2015)."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from nephrite.config import Positive, SegmenterSettings


class UNetSettings(SegmenterSettings):
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


SETTINGS = UNetSettings
