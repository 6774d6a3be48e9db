"""'screen': the tests that a painted slice passes before an arm sees it."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, field_validator

from nephrite.config.settings import Fraction, Name, Positive, Settings, rising


class ScreenSettings(Settings):
    """Which painted slices are accepted, by tests whose thresholds stand here, and a report on all of them."""

    filter: Literal["all", "report", "tests"] = Field(
        default="tests",
        description="'tests' accepts slices that pass every test below; 'report' measures them and accepts all; 'all' "
        "accepts all, measures nothing, and costs nothing.",
    )
    segmenter: Name = Field(
        default="light",
        description="A name under 'train_segmenter.segmenters': trained on the real slices of the painter's patients, "
        "it finds what was asked for, and its features measure fidelity; of a kind that has some ('monai' has none).",
    )
    steps: Positive = Field(
        default=300, description="Optimizer steps of that segmenter; 300 as in configs/lidc.yaml, for two cores."
    )
    agreement: tuple[Fraction, Fraction] = Field(
        default=(0.3, 1.0),
        description="Least and greatest Dice between the foreground asked for and found, of a slice with a labeled "
        "class; 'nephrite screen' shows that of real slices beside it.",
    )
    agreement_by_channel: dict[Name, tuple[Fraction, Fraction]] = Field(
        default_factory=dict,
        description="The same for single channels, in slices that ask for them: {tumor: [0.1, 1.0]} rejects a slice "
        "whose kidney is found and whose tumor is not.",
    )
    false_positives: Fraction = Field(
        default=0.005, description="Greatest share of pixels found in a slice that holds no labeled class."
    )
    intensity_distance: Annotated[float, Field(ge=0)] | None = Field(
        default=0.05,
        description="How far a class's mean may lie outside its range in the training slices, where 1 is the whole "
        "intensity window; null = any distance.",
    )
    memorization: Literal["reject", "report"] = Field(
        default="reject",
        description="Whether copies of training slices are rejected, or counted only: 'report' for a synthesizer that "
        "keeps the real background and is close to it by design ('paint_in').",
    )
    memorization_quantile: float = Field(
        default=0.99,
        gt=0,
        lt=1,
        description="A copy is closer to its nearest training slice than this share of validation slices.",
    )

    @field_validator("agreement")
    @classmethod
    def _band_rises(cls, band: tuple[float, float]) -> tuple[float, float]:
        return rising(band)

    @field_validator("agreement_by_channel")
    @classmethod
    def _bands_rise(cls, bands: dict[str, tuple[float, float]]) -> dict[str, tuple[float, float]]:
        return {name: rising(band) for name, band in bands.items()}
