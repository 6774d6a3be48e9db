"""Feature pyramid network of segmentation_models_pytorch."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from nephrite.config import SegmenterSettings


class FPNSettings(SegmenterSettings):
    """Feature pyramid network of segmentation_models_pytorch."""

    kind: Literal["fpn"] = Field(description="Feature pyramid network of segmentation_models_pytorch.")
    encoder: str = Field(
        default="tu-tf_efficientnet_lite0",
        description="Encoder name of segmentation_models_pytorch; the smallest whose weights are installed.",
    )
    weights: Literal["imagenet", "none"] = Field(default="imagenet", description="Pretrained encoder weights.")


SETTINGS = FPNSettings
