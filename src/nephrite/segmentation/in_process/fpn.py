"""Feature pyramid network of segmentation_models_pytorch (Lin 2017; for segmentation Kirillov 2019)."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from nephrite.segmentation.in_process.smp import EncoderBackend, EncoderSettings


class FPNSettings(EncoderSettings):
    """Feature pyramid network of segmentation_models_pytorch."""

    kind: Literal["fpn"] = Field(description="Feature pyramid network of segmentation_models_pytorch.")


class FPNBackend(EncoderBackend[FPNSettings]):
    """The kind `smp` with one architecture."""

    TRIED = True
    architecture = "FPN"
    unusable = "cannot be the encoder of an FPN of segmentation_models_pytorch"


SETTINGS, BACKEND = FPNSettings, FPNBackend
