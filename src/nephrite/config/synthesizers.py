"""'train_gan': the synthesizers, one method each, and how they are trained."""

from __future__ import annotations

from typing import Literal, Self

from pydantic import Field, model_validator

from nephrite.config.kinds import GeneratorSettings
from nephrite.config.settings import Fraction, Positive, Settings


class DiscriminatorSettings(Settings):
    """PatchGAN (Isola et al. 2017, appendix 6.1)."""

    base_width: Positive = Field(
        default=16, description="Channels after the first convolution; 64 in the paper, 16 for two cores."
    )
    layers: int = Field(
        default=2,
        ge=1,
        le=5,
        description="Down-samplings; 3 gives the paper's 70 x 70 px patches, 2 suits 64 to 128 px.",
    )


class TissueSettings(Settings):
    """The tissue map of 'condition: anatomy'."""

    kind: Literal["quantiles", "hounsfield"] = Field(
        default="quantiles",
        description="Equal shares of the training slices' pixels, for any modality; or borders in Hounsfield units.",
    )
    classes: int = Field(
        default=6, ge=2, le=16, description="Tissue classes by quantiles; by Hounsfield units there are 6."
    )
    smoothing: float = Field(
        default=1.0,
        ge=0,
        le=20,
        description="Sigma in pixels before and after intensities become classes; 1 removes noise.",
    )


class TrainGanSettings(Settings):
    """A synthesizer: condition in, slice out."""

    method: GeneratorSettings
    condition: Literal["labels", "anatomy"] = Field(
        default="labels", description="What is asked for: the label map, or label map and tissue map."
    )
    tissue: TissueSettings = Field(default_factory=TissueSettings)
    discriminator: DiscriminatorSettings = Field(default_factory=DiscriminatorSettings)
    differentiable_augmentation: tuple[Literal["translation", "cutout", "intensity"], ...] = Field(
        default=(),
        description="Augmentation of the discriminator's input (Zhao et al. 2020), for few patients; [] = none.",
    )
    epochs: Positive = Field(
        default=12,
        description="Passes over the training slices; 12 over 1,000 slices are 1,500 steps, minutes on two cores.",
    )
    batch_size: Positive = Field(default=8, description="Slices per step; 1 in the paper, 8 for speed.")
    learning_rate: float = Field(
        default=0.001, gt=0, le=100, description="Adam's, of all networks; 0.0002 in the paper, 0.001 for few steps."
    )
    beta1: float = Field(default=0.5, ge=0, lt=1, description="Adam's first momentum; 0.5 in the paper.")
    l1_weight: float = Field(
        default=100.0,
        ge=0,
        le=1e9,
        description="Weight of L1 beside the adversarial loss, of images in [-1, 1] as in the paper, which has 100.",
    )
    constant_share: Fraction = Field(
        default=0.5,
        description="Share of the epochs before the learning rate falls linearly to 0; half in the paper's code.",
    )
    ema_decay: float = Field(
        default=0.99,
        ge=0,
        lt=1,
        description="Moving average of the generator's weights per step; 0.99 for hundreds of steps, 0.999 for ten "
        "thousands; 0 = none.",
    )
    sample_every: Positive = Field(default=4, description="Epochs between sample sheets; 4 gives three of them in 12.")
    unlabeled: bool = Field(
        default=False,
        description="Whether it also learns from scans without labels: those of 'acquire.unlabeled', and those of "
        "training patients outside the label fraction; needs 'condition: anatomy'.",
    )

    @model_validator(mode="after")
    def _scans_alone_show_tissue_only(self) -> Self:
        if self.unlabeled and (self.condition != "anatomy" or not self.method.LEARNS_WITHOUT_LABELS):
            raise ValueError("'unlabeled' needs 'condition: anatomy' and a method that paints whole slices")
        return self

    @model_validator(mode="after")
    def _volumes_are_painted_from_labels(self) -> Self:
        if self.condition != "labels" and self.method.PAINTS_VOLUMES:
            raise ValueError(f"a method of kind '{self.method.kind}' is shown labels alone: needs 'condition: labels'")
        return self
