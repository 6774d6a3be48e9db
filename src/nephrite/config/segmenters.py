"""'train_segmenter': the segmenters, their augmentation, and how they are trained."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import AfterValidator, Field

from nephrite.config.kinds import SegmenterSettings
from nephrite.config.settings import Fraction, Name, Positive, Range, Settings, rising

Magnification = Annotated[float, Field(gt=0, le=10)]
Scale = Annotated[tuple[Magnification, Magnification], AfterValidator(rising)]


class GeometricSettings(Settings):
    """Augmentation 'geometric', the capstone's: each draw is uniform in the range."""

    rotation: float = Field(default=45.0, ge=0, le=180, description="Degrees, plus or minus; the capstone's.")
    scale: float = Field(default=0.15, ge=0, lt=1, description="Share, plus or minus; the capstone's.")
    shift: float = Field(default=0.1, ge=0, lt=1, description="Share of the side, plus or minus; the capstone's.")


class SpatialSettings(Settings):
    """Geometry of 'standard', with nnU-Net's numbers (Isensee et al. 2021); probabilities per slice."""

    rotation_probability: Fraction = Field(default=0.2, description="Probability of a rotation.")
    rotation: float = Field(default=180.0, ge=0, le=180, description="Degrees, plus or minus.")
    scale_probability: Fraction = Field(
        default=0.2, description="Probability of a scale; 1 together with a wide range for another hospital."
    )
    scale: Scale = Field(
        default=(0.7, 1.4), description="Magnification, below 1 as often as above; wide is [0.55, 1.45]."
    )
    shift: float = Field(
        default=0.0,
        ge=0,
        lt=1,
        description="Share of the side, plus or minus; nnU-Net has none, since its patches lie anywhere, as "
        "'train_segmenter.window' does. 0.1 where whole slices are learned from and lesions lie in their middle.",
    )
    mirroring: bool = Field(default=True, description="Whether each axis is mirrored in half of the slices.")


class IntensitySettings(Settings):
    """Intensity augmentation of 'standard', with nnU-Net's numbers (Isensee et al. 2021); probabilities per slice."""

    noise_probability: Fraction = Field(default=0.1, description="Probability of Gaussian noise.")
    noise_deviation: Range = Field(
        default=(0.0, 0.1), description="Deviation of the noise, as share of the slice's own."
    )
    blur_probability: Fraction = Field(default=0.1, description="Probability of Gaussian blur.")
    blur_sigma: Range = Field(default=(0.5, 1.0), description="Sigma of the blur, in pixels.")
    brightness_probability: Fraction = Field(default=0.15, description="Probability of a factor on all intensities.")
    brightness: Range = Field(default=(0.75, 1.25), description="Range of the factor.")
    contrast_probability: Fraction = Field(
        default=0.15, description="Probability of a factor on the distance from the mean."
    )
    contrast: Range = Field(default=(0.75, 1.25), description="Range of the factor.")
    bias_probability: Fraction = Field(
        default=0.15, description="Probability of a smooth field that multiplies the slice."
    )
    bias_strength: Range = Field(default=(0.0, 0.3), description="Deviation of the field's logarithm.")
    low_resolution_probability: Fraction = Field(
        default=0.125, description="Probability of resampling to a coarser grid and back."
    )
    zoom: Range = Field(default=(0.5, 1.0), description="Side of the coarser grid, as share of the slice's.")
    gamma_probability: Fraction = Field(default=0.3, description="Probability of an exponent on the intensities.")
    gamma: Range = Field(default=(0.7, 1.5), description="Range of the exponent.")
    inverted_gamma_probability: Fraction = Field(
        default=0.1, description="Probability of the same on the inverted slice."
    )


class CopyPasteSettings(Settings):
    """Lesions of other training patients pasted into slices while training; see `augment.copy_paste`."""

    probability: Fraction = Field(default=0.5, description="Probability that a slice gets a lesion, if one fits.")
    rotation: float = Field(default=180.0, ge=0, le=180, description="Degrees, plus or minus.")
    scale: Range = Field(default=(0.85, 1.25), description="Magnification of the lesion.")
    elastic: float = Field(default=0.03, ge=0, le=0.1, description="Deviation of its bending, as share of its crop.")
    gamma: Range = Field(default=(0.7, 1.5), description="Exponent of its intensities.")


class SelfTrainingSettings(Settings):
    """Pseudo-labels on scans without labels, given by a teacher that was trained on the labeled patients alone."""

    share: float = Field(default=0.5, gt=0, lt=1, description="Share of each batch that is pseudo-labeled.")
    confidence: float = Field(default=0.9, gt=0.5, lt=1, description="Sigmoid output from which a label is believed.")


class LesionFreeTraining(Settings):
    """Lesion-free scans in the batches of 'negatives' and 'paste_free'."""

    share: float = Field(
        default=0.5,
        gt=0,
        lt=1,
        description="Share of each batch; half, as much as the painter's set that they are compared with should have.",
    )
    pasted: Fraction = Field(
        default=1.0,
        description="Probability that 'paste_free' pastes a lesion onto such a slice, if one fits; always, since the "
        "painter's slices hold one each.",
    )


def _one_unet() -> Any:
    """A U-Net with its defaults; as text, since a kind's module is imported only when it is used."""
    return {"light": {"kind": "unet"}}


class TrainSegmenterSettings(Settings):
    """One segmenter of one arm; everything here is the same in all arms."""

    epochs: Positive = Field(
        default=6,
        description="Checkpoints, validations and steps of the schedule; not passes over a set. 6 of 100 steps as in "
        "configs/curvas.yaml, for two cores.",
    )
    steps_per_epoch: Positive = Field(
        default=100, description="Optimizer steps; the same for small and large training sets, so that arms are alike."
    )
    batch_size: Positive = Field(default=8, description="Slices per optimizer step; 8 as in the capstone.")
    window: Positive | None = Field(
        default=None,
        description="Pixels per side of the random windows that are learned from, no larger than "
        "'prepare.in_plane.size'; slices are then predicted by overlapping windows. null = whole slices.",
    )
    foreground: Fraction | None = Field(
        default=0.33,
        description="Share of a batch's slices that must hold foreground, and show it in their window, in every arm; "
        "nnU-Net's third. Of the others as many hold some as of the real slices. null = as they come, as in the "
        "capstone.",
    )
    learning_rate: float = Field(
        default=0.003,
        gt=0,
        le=100,
        description="Adam's, at the start; 0.003 for few steps, the capstone's 0.001 for many.",
    )
    loss: Literal["dice", "dice_and_cross_entropy"] = Field(
        default="dice_and_cross_entropy",
        description="The capstone's, or nnU-Net's sum of both, which learns from slices without foreground, too.",
    )
    schedule: Literal["polynomial", "plateau"] = Field(
        default="polynomial",
        description="How the learning rate falls: to 0 over the whole training by (1 - step / steps) ** 0.9, as "
        "nnU-Net's (Isensee et al. 2021), so that starts end alike; or at plateaus of the validation loss, as the "
        "capstone's.",
    )
    plateau_patience: int = Field(
        default=6,
        ge=0,
        le=10**9,
        description="Of 'schedule: plateau': epochs without better validation loss before the rate falls; the "
        "capstone's.",
    )
    plateau_factor: float = Field(
        default=0.1, gt=0, lt=1, description="What the learning rate is then multiplied with; the capstone's."
    )
    weights: Literal["last", "best"] = Field(
        default="last",
        description="Which are kept: those of the last step, for which no label of a validation patient is used; or, "
        "as in the capstone, those of the epoch with the best validation Dice.",
    )
    early_stopping: int | None = Field(
        default=None,
        ge=1,
        le=10**9,
        description="Epochs without better validation Dice; null = never stop, so that all arms take as many steps.",
    )
    geometric: GeometricSettings = Field(default_factory=GeometricSettings)
    spatial: SpatialSettings = Field(default_factory=SpatialSettings)
    intensity: IntensitySettings = Field(default_factory=IntensitySettings)
    copy_paste: CopyPasteSettings = Field(default_factory=CopyPasteSettings)
    self_training: SelfTrainingSettings = Field(default_factory=SelfTrainingSettings)
    lesion_free: LesionFreeTraining = Field(default_factory=LesionFreeTraining)
    segmenters: dict[Name, SegmenterSettings] = Field(
        default_factory=_one_unet,
        description="Networks by names of your own; 'trial.segmenters' says which are compared.",
    )

    @property
    def asks_validation(self) -> bool:
        """Whether the weights depend on validation patients, whose labels then count as used."""
        return self.weights == "best" or self.schedule == "plateau" or self.early_stopping is not None
