"""pix2pix: label map in, slice out (Isola et al. 2017)."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from nephrite.config import GeneratorSettings, Positive


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


SETTINGS = Pix2PixSettings
