"""'evaluate', 'report' and 'promote': how trained segmenters are scored, compared and registered."""

from __future__ import annotations

from pydantic import Field

from nephrite.config.settings import Fraction, LabelValue, Millimeters, Name, Positive, Settings


class RegionSettings(Settings):
    """A region that is scored: a union of label values."""

    labels: tuple[LabelValue, ...] = Field(min_length=1, description="Label values that make the region.")
    tolerance: Millimeters = Field(
        default=2.0, description="Millimeters, for the surface Dice; 2 is about a pixel of 128 on 256 mm."
    )


class EvaluateSettings(Settings):
    """Scores of one arm on the test patients."""

    regions: dict[Name, RegionSettings] = Field(
        min_length=1, description="Regions by names of your own; 'trial.primary' names the one that decides."
    )
    threshold: Fraction = Field(
        default=0.5, description="Sigmoid outputs at or above it are foreground; at 0.5 both answers are as likely."
    )
    batch_size: Positive = Field(default=32, description="Slices per forward pass; no effect on the scores.")


class ReportSettings(Settings):
    """Statistics and figures over all arms."""

    resamples: Positive = Field(
        default=10000,
        description="Draws by which families of comparisons are adjusted; of 10,000, 500 are below the level of 5 %.",
    )
    confidence: float = Field(default=0.95, gt=0.5, lt=1, description="Coverage of the intervals; 0.95 by convention.")
    examples: Positive = Field(default=4, description="Rows on the sheet of mask, fake and real; 4 fit on a screen.")


class PromoteSettings(Settings):
    """The registry."""

    model: Name = Field(
        description="Name of the registered model; one for each purpose, since a better model replaces the champion."
    )
    floor: Fraction = Field(
        default=0.1, description="Primary score that a first champion must reach; 0.1 keeps out what learned nothing."
    )
    rescore: bool = Field(
        default=True,
        description="Before a run becomes champion, score its weights again on the test patients, where '--pairs' "
        "names their slices; false = believe the report.",
    )
    tolerance: Fraction = Field(
        default=0.01,
        description="How far a patient's Dice may then lie from the report's; devices round differently, by far less "
        "than 0.01.",
    )
