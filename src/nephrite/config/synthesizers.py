"""'train_gan': the synthesizers, one method each, and how they are trained."""

from __future__ import annotations

from typing import Literal, Self

from pydantic import Field, model_validator

from nephrite.config.kinds import GeneratorSettings
from nephrite.config.settings import Fraction, Positive, Settings


class DiscriminatorSettings(Settings):
    """PatchGAN (Isola et al. 2017, appendix 6.1)."""

    base_width: Positive = Field(description="Channels after the first convolution; 64 in the paper.")
    layers: int = Field(ge=1, le=5, description="Down-samplings; 3 gives the paper's 70 x 70 px patches.")


class TissueSettings(Settings):
    """The tissue map of 'condition: anatomy'."""

    kind: Literal["quantiles", "hounsfield"] = Field(
        description="Equal shares of the training slices' pixels, for any modality; or borders in Hounsfield units."
    )
    classes: int = Field(ge=2, le=16, description="Tissue classes by quantiles.")
    smoothing: float = Field(ge=0, le=20, description="Sigma in pixels before and after intensities become classes.")


class TrainGanSettings(Settings):
    """A synthesizer: condition in, slice out."""

    method: GeneratorSettings
    condition: Literal["labels", "anatomy"] = Field(
        default="labels", description="What is asked for: the label map, or label map and tissue map."
    )
    tissue: TissueSettings = TissueSettings(kind="quantiles", classes=6, smoothing=1.0)
    discriminator: DiscriminatorSettings
    differentiable_augmentation: tuple[Literal["translation", "cutout", "intensity"], ...] = Field(
        default=(), description="Of all that the discriminator sees (Zhao et al. 2020), for few patients; [] = none."
    )
    epochs: Positive = Field(description="Passes over the training slices.")
    batch_size: Positive = Field(description="Slices per step; 1 in the paper.")
    learning_rate: float = Field(gt=0, description="Adam's, of all networks; 0.0002 in the paper.")
    beta1: float = Field(ge=0, lt=1, description="Adam's first momentum; 0.5 in the paper.")
    l1_weight: float = Field(ge=0, description="Weight of L1 beside the adversarial loss; 100 in the paper.")
    constant_share: Fraction = Field(description="Share of the epochs before the learning rate falls linearly to 0.")
    ema_decay: float = Field(ge=0, lt=1, description="Moving average of the generator's weights per step; 0 = none.")
    sample_every: Positive = Field(description="Epochs between sample sheets.")
    unlabelled: bool = Field(
        default=False,
        description="Whether it also learns from scans without labels: those of 'acquire.unlabelled', and those of "
        "training patients outside the label fraction; needs 'condition: anatomy'.",
    )

    @model_validator(mode="after")
    def _scans_alone_show_tissue_only(self) -> Self:
        if self.unlabelled and (self.condition != "anatomy" or not self.method.LEARNS_WITHOUT_LABELS):
            raise ValueError("'unlabelled' needs 'condition: anatomy' and a method that paints whole slices")
        return self
