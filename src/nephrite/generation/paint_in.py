"""Painting in: the real slice stays but for lesions and their rim."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from nephrite.config import GeneratorSettings, Positive


class PaintInSettings(GeneratorSettings):
    """The real slice stays but for lesions and their rim, which pix2pix's U-Net paints anew."""

    kind: Literal["paint_in"] = Field(description="A real slice, of which only lesions and their rim are painted anew.")
    base_width: Positive = Field(description="Channels after the first convolution.")
    depth: int = Field(ge=2, le=9, description="Down-samplings.")
    upsampling: Literal["transposed", "resize"] = Field(description="As in pix2pix.")
    dropout: float = Field(ge=0, lt=1, description="As in pix2pix.")
    rim: Positive = Field(description="Pixels about a lesion that are painted with it.")


SETTINGS = PaintInSettings
