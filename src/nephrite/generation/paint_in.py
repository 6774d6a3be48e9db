"""Painting in: the real slice stays but for lesions and their rim."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from nephrite.config import GeneratorSettings, Positive


class PaintInSettings(GeneratorSettings):
    """The real slice stays but for lesions and their rim, which pix2pix's U-Net paints anew."""

    kind: Literal["paint_in"] = Field(description="A real slice, of which only lesions and their rim are painted anew.")
    base_width: Positive = Field(default=16, description="Channels after the first convolution; as in pix2pix.")
    depth: int = Field(default=4, ge=2, le=9, description="Down-samplings; as in pix2pix.")
    upsampling: Literal["transposed", "resize"] = Field(default="resize", description="As in pix2pix.")
    dropout: float = Field(default=0.0, ge=0, lt=1, description="As in pix2pix.")
    rim: Positive = Field(default=2, description="Pixels about a lesion that are painted with it; 2 hide the seam.")


SETTINGS = PaintInSettings
