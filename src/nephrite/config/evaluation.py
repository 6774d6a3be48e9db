"""'evaluate', 'report' and 'promote': how trained segmenters are scored, compared and registered."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from nephrite.config.settings import Fraction, LabelValue, Millimeters, Name, Positive, Settings


class RegionSettings(Settings):
    """A region that is scored: a union of label values."""

    labels: tuple[LabelValue, ...] = Field(min_length=1, description="Label values that make the region.")
    tolerance: Millimeters = Field(
        default=2.0, description="Millimeters, for the surface Dice; 2 is about a pixel of 128 on 256 mm."
    )


class ScoreWindowSettings(Settings):
    """Windows in which patients are scored, at seeded places, for scans that were cut about their lesions."""

    size: Positive = Field(description="Pixels per side, of a slice on the grid of 'prepare.in_plane'.")
    count: Annotated[int, Field(ge=1, le=100)] = Field(
        default=4,
        description="Windows per patient, scored as one volume; 4 cover most of a slice twice as wide.",
    )
    free: Fraction = Field(
        default=0.5,
        description="Share of them that hold nothing of the primary region, where the scan has room for such; the "
        "others hold some of it. Half and half: what is marked in an empty window weighs as much as a miss.",
    )


class LesionRule(Settings):
    """How lesions of a region are looked for one by one, and when one counts as found."""

    dimensions: Literal[2, 3] = Field(
        default=3,
        description="3 = a lesion is a component of the volume; 2 = of each slice, where slices are not contiguous. "
        "False positives are counted per volume, or per slice.",
    )
    threshold: Annotated[float, Field(gt=0, le=1)] = Field(
        default=0.1,
        description="A component of voxels with at least this probability is a candidate; its score is its largest "
        "one. Low, so that the curve goes on to many false positives.",
    )
    hit: Literal["center", "overlap"] = Field(
        default="center",
        description="When a candidate hits a lesion: its center, weighted by probability, lies in it; or both overlap.",
    )
    overlap: Annotated[float, Field(gt=0, le=1)] = Field(
        default=0.1, description="Intersection over union from which on both overlap; 0.1 asks for the place alone."
    )
    smallest: Annotated[float, Field(ge=0, le=1000)] = Field(
        default=0.0, description="Milliliters; a smaller lesion, or part of one in a window, counts neither way."
    )


class EvaluateSettings(Settings):
    """Scores of one arm on the test patients."""

    regions: dict[Name, RegionSettings] = Field(
        min_length=1, description="Regions by names of your own; 'trial.primary' names the one that decides."
    )
    parts: dict[Name, Annotated[tuple[LabelValue, ...], Field(min_length=1)]] = Field(
        default_factory=dict,
        description="Parts of what a channel shows, by names of your own, of which 'recall' alone is scored: 'tumor: "
        "[2]' beside a channel [1, 2]. All channels that hold one of the label values count as found.",
    )
    threshold: Fraction = Field(
        default=0.5, description="Sigmoid outputs at or above it are foreground; at 0.5 both answers are as likely."
    )
    mirroring: bool = Field(
        default=False,
        description="Average predictions over the slice as it is, and mirrored in rows, in columns and in both, as "
        "nnU-Net does (Isensee et al. 2021); four times the cost. A registered model predicts as it was evaluated.",
    )
    batch_size: Positive = Field(default=32, description="Slices per forward pass; no effect on the scores.")
    lesions: dict[Name, LesionRule] = Field(
        default_factory=dict,
        description="Regions whose lesions are also counted one by one: 'nodule: {dimensions: 2}'. Such a region is a "
        "union of classes of 'prepare.lesions'.",
    )
    windows: ScoreWindowSettings | None = Field(
        default=None,
        description="Score windows in place of whole slices: where every scan was cut about its lesion, the middle "
        "gives it away. null = whole slices.",
    )


class ReportSettings(Settings):
    """Statistics and figures over all arms."""

    resamples: Positive = Field(
        default=10000,
        description="Draws by which families of comparisons are adjusted; of 10,000, 500 are below the level of 5 %.",
    )
    confidence: float = Field(default=0.95, gt=0.5, lt=1, description="Coverage of the intervals; 0.95 by convention.")
    examples: Positive = Field(default=4, description="Rows on the sheet of mask, fake and real; 4 fit on a screen.")
    slices: Annotated[int, Field(ge=0, le=1000)] = Field(
        default=24,
        description="Slices of each judged patient that the page shows at most; 24 follow a lesion from end to end. "
        "0 = none: the page then holds no picture of these patients.",
    )
    megabytes: Annotated[float, Field(ge=1, le=1000)] = Field(
        default=15,
        description="How large report.html may grow, in MB; with less room patients get fewer slices. 15 open in a "
        "second or two, and pass most mail servers.",
    )


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
    intended_use: str = Field(
        default="",
        max_length=1000,
        description="What a version is meant for, in the words of its model card; empty = the card says that nobody "
        "told, and that it is no medical device.",
    )
    data_and_license: str = Field(
        default="",
        max_length=1000,
        description="Where the scans come from, and what their license allows, in the words of the model card.",
    )
