"""'evaluate', 'report' and 'promote': how trained segmenters are scored, compared and registered."""

from __future__ import annotations

from pydantic import Field

from nephrite.config.settings import Fraction, Name, Positive, Settings


class RegionSettings(Settings):
    """A region that is scored: a union of label values."""

    labels: tuple[int, ...] = Field(min_length=1, description="Label values that make the region.")
    tolerance: float = Field(gt=0, description="Millimetres, for the surface Dice.")


class EvaluateSettings(Settings):
    """Scores of one arm on the test patients."""

    regions: dict[Name, RegionSettings] = Field(min_length=1)
    threshold: Fraction = Field(description="Sigmoid outputs at or above it are foreground.")
    batch_size: Positive = Field(description="Slices per forward pass; no effect on the scores.")


class ReportSettings(Settings):
    """Statistics and figures over all arms."""

    resamples: Positive = Field(description="Bootstrap resamples.")
    confidence: float = Field(gt=0.5, lt=1, description="Coverage of the intervals.")
    examples: Positive = Field(description="Rows on the sheet of mask, fake and real.")


class PromoteSettings(Settings):
    """The registry."""

    model: Name = Field(description="Name of the registered model.")
    floor: Fraction = Field(description="Primary score that a first champion must reach.")
