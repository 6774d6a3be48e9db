"""'train_segmenter': the segmenters, their augmentation, and how they are trained."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from nephrite.config.kinds import SegmenterSettings
from nephrite.config.settings import Fraction, Name, Positive, Range, Settings


class GeometricSettings(Settings):
    """Geometric augmentation: each draw is uniform in the range."""

    rotation: float = Field(ge=0, le=180, description="Degrees, plus or minus.")
    scale: float = Field(ge=0, lt=1, description="Share, plus or minus.")
    shift: float = Field(ge=0, lt=1, description="Share of the side, plus or minus.")


class IntensitySettings(Settings):
    """Intensity augmentation of 'standard', with nnU-Net's numbers (Isensee et al. 2021); probabilities per slice."""

    noise_probability: Fraction = Field(default=0.1, description="Of Gaussian noise.")
    noise_deviation: Range = Field(default=(0.0, 0.1), description="As share of the slice's own deviation.")
    blur_probability: Fraction = Field(default=0.1, description="Of Gaussian blur.")
    blur_sigma: Range = Field(default=(0.5, 1.0), description="Pixels.")
    brightness_probability: Fraction = Field(default=0.15, description="Of a factor on all intensities.")
    brightness: Range = Field(default=(0.75, 1.25), description="The factor.")
    contrast_probability: Fraction = Field(default=0.15, description="Of a factor on the distance from the mean.")
    contrast: Range = Field(default=(0.75, 1.25), description="The factor.")
    bias_probability: Fraction = Field(default=0.15, description="Of a smooth field that multiplies the slice.")
    bias_strength: Range = Field(default=(0.0, 0.3), description="Deviation of the field's logarithm.")
    low_resolution_probability: Fraction = Field(default=0.125, description="Of a coarser grid and back.")
    zoom: Range = Field(default=(0.5, 1.0), description="Side of the coarser grid, as share of the slice's.")
    gamma_probability: Fraction = Field(default=0.3, description="Of an exponent on the intensities.")
    gamma: Range = Field(default=(0.7, 1.5), description="The exponent.")
    inverted_gamma_probability: Fraction = Field(default=0.1, description="Of the same on the negative.")


class CopyPasteSettings(Settings):
    """Lesions of other training patients pasted into slices while training (TumorCP, Yang et al. 2021)."""

    probability: Fraction = Field(default=0.5, description="That a slice gets a lesion, if one fits.")
    rotation: float = Field(default=180, ge=0, le=180, description="Degrees, plus or minus.")
    scale: Range = Field(default=(0.85, 1.25), description="Magnification of the lesion.")
    elastic: float = Field(default=0.03, ge=0, le=0.1, description="Deviation of its bending, as share of its crop.")
    gamma: Range = Field(default=(0.7, 1.5), description="Exponent of its intensities.")


class SelfTrainingSettings(Settings):
    """Pseudo-labels on scans without labels, given by a teacher that was trained on the labelled patients alone."""

    share: float = Field(default=0.5, gt=0, lt=1, description="Of each batch.")
    confidence: float = Field(default=0.9, gt=0.5, lt=1, description="Sigmoid output from which a label is believed.")


class TrainSegmenterSettings(Settings):
    """One segmenter of one arm; everything here is the same in all arms."""

    epochs: Positive = Field(description="Checkpoints, validations and steps of the schedule; not passes over a set.")
    steps_per_epoch: Positive = Field(description="Optimiser steps; the same for small and large training sets.")
    batch_size: Positive = Field(description="Slices per optimiser step.")
    learning_rate: float = Field(gt=0, description="Adam's, at the start.")
    loss: Literal["dice", "dice_and_cross_entropy"] = Field(description="The capstone's, or nnU-Net's sum of both.")
    plateau_patience: int = Field(ge=0, description="Epochs without better validation loss before the rate falls.")
    plateau_factor: float = Field(gt=0, lt=1, description="What the learning rate is then multiplied with.")
    early_stopping: int | None = Field(ge=1, description="Epochs without better validation Dice; null = never stop.")
    geometric: GeometricSettings
    intensity: IntensitySettings = Field(default_factory=IntensitySettings)
    copy_paste: CopyPasteSettings = Field(default_factory=CopyPasteSettings)
    self_training: SelfTrainingSettings = Field(default_factory=SelfTrainingSettings)
    segmenters: dict[Name, SegmenterSettings]
