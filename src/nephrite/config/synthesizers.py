"""'train_gan': the synthesizers, one method each, and how they are trained."""

from __future__ import annotations

from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from nephrite.config.settings import Fraction, Positive, Settings


class Pix2PixSettings(Settings):
    """pix2pix: label map in, slice out, by a U-Net (Isola et al. 2017, appendix 6.1)."""

    kind: Literal["pix2pix"] = Field(description="Condition in, slice out, by a U-Net (Isola et al. 2017).")
    base_width: Positive = Field(description="Channels after the first convolution; 64 in the paper.")
    depth: int = Field(ge=2, le=9, description="Down-samplings; 8 in the paper, for 256 px.")
    upsampling: Literal["transposed", "resize"] = Field(description="The paper's, or resize-convolution.")
    dropout: float = Field(ge=0, lt=1, description="In the first decoder levels; 0.5 in the paper.")


class PaintInSettings(Settings):
    """The real slice stays but for lesions and their rim, which pix2pix's U-Net paints anew."""

    kind: Literal["paint_in"] = Field(description="A real slice, of which only lesions and their rim are painted anew.")
    base_width: Positive = Field(description="Channels after the first convolution.")
    depth: int = Field(ge=2, le=9, description="Down-samplings.")
    upsampling: Literal["transposed", "resize"] = Field(description="As in pix2pix.")
    dropout: float = Field(ge=0, lt=1, description="As in pix2pix.")
    rim: Positive = Field(description="Pixels about a lesion that are painted with it.")


class SpadeSettings(Settings):
    """SPADE with a style code (Park et al. 2019): one mask, many slices."""

    kind: Literal["spade"] = Field(description="Spatially adaptive normalization with a style code (Park et al. 2019).")
    base_width: int = Field(ge=4, description="Channels at half resolution; twice as many at each level below it.")
    depth: int = Field(ge=2, le=9, description="Up-samplings.")
    hidden_width: Positive = Field(description="Channels within a normalization; 128 in the paper.")
    code_length: Positive = Field(description="Numbers in the style code; 256 in the paper.")
    divergence_weight: float = Field(ge=0, description="Of the codes' Kullback-Leibler divergence; 0.05 in the paper.")


class RandomisedSettings(Settings):
    """No training: intensity and texture of every class are drawn at random (SynthSeg, Billot et al. 2023)."""

    kind: Literal["randomised"] = Field(description="Nothing is trained: intensities drawn per class (SynthSeg, 2023).")
    spread: float | None = Field(
        ge=0, le=1, description="Of a class's mean about the training patients'; null = any brightness, as in SynthSeg."
    )


class DiffusionSettings(Settings):
    """A diffusion model that sees the condition, sampled by DDIM (Song et al. 2021); for GPUs."""

    kind: Literal["diffusion"] = Field(
        description="Denoising diffusion with DDIM sampling (Song et al. 2021), for GPUs."
    )
    base_width: int = Field(
        ge=8, multiple_of=8, description="Channels at full resolution; twice as many at each level."
    )
    depth: int = Field(ge=1, le=5, description="Down-samplings.")
    noise_steps: int = Field(default=1000, ge=2, description="Levels of noise in training.")
    sampling_steps: int = Field(default=25, ge=1, description="Denoising steps per slice.")

    @model_validator(mode="after")
    def _samples_known_levels(self) -> Self:
        if self.sampling_steps > self.noise_steps:
            raise ValueError(f"'sampling_steps' {self.sampling_steps} is more than 'noise_steps' {self.noise_steps}")
        return self


MethodSettings = Annotated[
    Pix2PixSettings | SpadeSettings | PaintInSettings | RandomisedSettings | DiffusionSettings,
    Field(discriminator="kind"),
]


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

    method: MethodSettings
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
        if self.unlabelled and (self.condition != "anatomy" or self.method.kind == "paint_in"):
            raise ValueError("'unlabelled' needs 'condition: anatomy' and a method that paints whole slices")
        return self
