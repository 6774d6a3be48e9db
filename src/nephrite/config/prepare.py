"""'prepare': how raw volumes become paired slices, and which patients are trained and tested on."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, Literal, Self

from pydantic import Field, model_validator

from nephrite.config.settings import ClassName, Fraction, LabelValue, Millimeters, Name, Positive, Settings, refuse

DEMANDED = ("train", "validation", "test")  # splits without which there is no trial
SPLITS = (*DEMANDED, "confirmation")


class WindowSettings(Settings):
    """A fixed window, for CT."""

    kind: Literal["window"] = Field(description="A fixed window, for CT.")
    center: float = Field(ge=-1e6, le=1e6, description="Middle of the window, in Hounsfield units.")
    width: float = Field(gt=0, le=1e6, description="Upper minus lower end of the window, in Hounsfield units.")


class PercentileSettings(Settings):
    """A window per patient between two percentiles of its intensities, for MR and rescaled sets."""

    kind: Literal["percentile"] = Field(description="A window per patient, for MR and rescaled sets.")
    low: float = Field(
        default=0.5,
        ge=0,
        lt=100,
        description="Lower end, as percentile of the patient's intensities; 0.5 as nnU-Net's.",
    )
    high: float = Field(
        default=99.5, gt=0, le=100, description="Upper end, as percentile of the patient's intensities; nnU-Net's, too."
    )

    @model_validator(mode="after")
    def _low_below_high(self) -> Self:
        if self.low >= self.high:
            raise ValueError(f"'low' {self.low} is not below 'high' {self.high}")
        return self


class ResizeSettings(Settings):
    """Every slice is resized to one size; the spacing follows."""

    kind: Literal["resize"] = Field(description="Every slice to one size; the spacing follows.")
    size: int = Field(ge=16, le=2048, description="Pixels per side.")


class ResampleSettings(Settings):
    """Every slice is resampled to one spacing, then cropped or padded about its center."""

    kind: Literal["resample"] = Field(description="Every slice to one spacing, then cropped or padded.")
    spacing: Millimeters = Field(description="Millimeters per pixel.")
    size: int = Field(ge=16, le=2048, description="Pixels per side.")


class SplitSettings(Settings):
    """Shares of the patients, dealt out in the order of a salted hash of their ids; or a file that names each split."""

    train: Fraction = Field(
        default=0.55, description="Share of the patients that segmenters and synthesizer learn from."
    )
    validation: Fraction = Field(default=0.15, description="Share that chooses the epoch, for which few patients do.")
    test: Fraction = Field(
        default=0.3, description="Share that is scored once, by 'evaluate'; large, since patients narrow the interval."
    )
    confirmation: Fraction = Field(
        default=0.0,
        description="Share that nothing is trained, chosen or scored on until 'trial.judged_on' is 'confirmation': a "
        "fresh set for the day when the test patients were looked at too often. 0, since those it takes test nothing "
        "else; raised later, it is filled by patients who come then.",
    )
    salt: str = Field(default="nephrite", description="Change it to draw another split.")
    stratify: bool = Field(
        default=True,
        description="Deal patients without lesions, and those with small, middling and large ones, to all splits "
        "alike; lesions are the classes of 'prepare.lesions'.",
    )
    file: Path | None = Field(
        default=None,
        description="CSV with the columns 'patient' and 'split' (train, validation, test, confirmation), a line for "
        "each labeled scan of the raw volumes: a split of your own, instead of the shares. null = by shares.",
    )

    @property
    def holds_confirmation(self) -> bool:
        """Whether there may be patients of a confirmation set."""
        return self.confirmation > 0 or self.file is not None

    @model_validator(mode="after")
    def _shares_sum_to_one(self) -> Self:
        total = self.train + self.validation + self.test + self.confirmation
        if abs(total - 1) > 1e-6:
            raise ValueError(f"train + validation + test + confirmation is {total:g}, not 1")
        return self


class LesionFreeSettings(Settings):
    """Which scans count as lesion-free beside those of 'acquire.lesion_free', and what of them is ignored.

    An ignore mask says where a lesion is: a weak label, the same for every arm that sees these scans.
    """

    training_patients: bool = Field(
        default=False,
        description="Training patients whose labels a cell does not know count as lesion-free, but for an ignore mask "
        "about their lesions. False, since the masks are labels, if weak ones.",
    )
    margin: float = Field(
        default=4.0, ge=0, le=1000, description="Distance to a lesion that is ignored; 4 px hide its blurred border."
    )
    unit: Literal["pixels", "millimeters"] = Field(
        default="pixels",
        description="Of 'margin': pixels within a slice, or millimeters in space; pixels where spacing is nominal.",
    )


IGNORED = 255  # ignore index: pixels with this label are excluded from every loss


def _one_per_class(validated: dict[str, Any]) -> dict[str, tuple[int, ...]]:
    """One channel per class, under the class's name."""
    return {name: (value,) for value, name in validated["classes"].items()}


class PrepareSettings(Settings):
    """Raw volumes to paired slices."""

    classes: dict[LabelValue, ClassName] = Field(
        min_length=1, description="Label value to class name; 0 is background."
    )
    channels: dict[ClassName, tuple[LabelValue, ...]] = Field(
        default_factory=_one_per_class,
        min_length=1,
        description="The segmenter's sigmoid outputs: channel name to the label values it stands for; one per class "
        "unless told.",
    )
    lesions: dict[Name, Name | None] = Field(
        default_factory=dict,
        description="Classes that are lesions, and the class of the organ that holds them (null = any place): what is "
        "pasted, added, moved and removed.",
    )
    segments: dict[str, Name | None] = Field(
        default_factory=dict,
        description="Which class each segment of a DICOM SEG, or region of an RTSTRUCT, is: its name to a class, or "
        "null to leave it out; '*' stands for all others. Small and capital letters count as the same; a name that is "
        "a class's needs no line.",
    )
    intensity: Annotated[WindowSettings | PercentileSettings, Field(discriminator="kind")]
    in_plane: Annotated[ResizeSettings | ResampleSettings, Field(discriminator="kind")]
    spacing: Literal["measured", "nominal"] = Field(
        default="measured",
        description="Whether voxel sizes are the scanner's. 'nominal' = made up, as in sets that were cut or exported "
        "without them: surface Dice and HD95, which are of millimeters, are left out.",
    )
    split: SplitSettings = Field(default_factory=SplitSettings)
    lesion_free: LesionFreeSettings = Field(default_factory=LesionFreeSettings)
    block: Positive = Field(
        default=16, description="Slices that are held in memory at a time; 16 of 512 px are 17 MB as floats."
    )
    workers: Positive = Field(
        default=2, description="Patients prepared side by side, one process each; 2 for two cores."
    )

    @model_validator(mode="after")
    def _channels_are_classes(self) -> Self:
        # channels are made of known classes
        found = [
            f"channel '{channel}' has values {list(values)}; the classes are {self.classes}"
            for channel, values in self.channels.items()
            if not values or set(values) - set(self.classes)
        ]
        # class names are unique, and lesions among them
        if len(set(self.classes.values())) != len(self.classes):
            found.append("two label values share one class name")
        unnamed = sorted({*self.lesions, *filter(None, self.lesions.values())} - set(self.classes.values()))
        if unnamed:
            found.append(f"'lesions' names {unnamed}; the classes are {sorted(self.classes.values())}")
        # segments become known classes, each name once
        strange = sorted({*filter(None, self.segments.values())} - set(self.classes.values()))
        if strange:
            found.append(f"'segments' names {strange}; the classes are {sorted(self.classes.values())}")
        if len({name.strip().casefold() for name in self.segments}) < len(self.segments):
            found.append("two names in 'segments' differ by capital letters or spaces only")
        refuse(found)
        return self

    @property
    def segment_values(self) -> dict[str, int | None]:
        """Label value of each region's name in small letters, None where it is left out; '*' is any other name."""
        values = {name: value for value, name in self.classes.items()}
        own: dict[str, int | None] = {name.casefold(): value for name, value in values.items()}
        said = {name.strip().casefold(): kind and values[kind] for name, kind in self.segments.items()}
        return own | {name: value or None for name, value in said.items()}

    @property
    def lesion_values(self) -> dict[int, int | None]:
        """Label value of each lesion class, and that of the organ that holds it."""
        values: dict[str | None, int | None] = {name: value for value, name in self.classes.items()} | {None: None}
        pairs = ((values[lesion], values[organ]) for lesion, organ in self.lesions.items())
        return {lesion: organ for lesion, organ in pairs if lesion is not None}
