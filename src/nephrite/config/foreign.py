"""'acquire.synthetic': synthetic data that another program made, and what is known of where they come from."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Self

from pydantic import AfterValidator, Field, model_validator

from nephrite.config.settings import ClassName, Millimeters, Settings, refuse

IGNORE_VALUE = 255  # marks pixels to be ignored in many label maps
AXES = ({"R", "L"}, {"A", "P"}, {"S", "I"})


def _one_star(pattern: str) -> str:
    if pattern.count("*") != 1 or ".." in pattern or pattern.startswith("/"):
        raise ValueError(f"'{pattern}' has not one '*', which stands for the name of a fake, below the folder")
    return pattern


def _three_axes(codes: str) -> str:
    if not all(len(axis & {*codes}) == 1 for axis in AXES):
        raise ValueError(f"'{codes}' does not name each axis once: R or L, A or P, S or I")
    return codes


def _no_ignore(value: int) -> int:
    if value == IGNORE_VALUE:
        raise ValueError(f"{IGNORE_VALUE} marks pixels to be ignored, and is no class")
    return value


ForeignValue = Annotated[int, Field(ge=1, le=65535), AfterValidator(_no_ignore)]
Pattern = Annotated[str, Field(max_length=200), AfterValidator(_one_star)]
Codes = Annotated[str, Field(pattern="^[RLAPSI]{3}$"), AfterValidator(_three_axes)]
Intensity = Annotated[float, Field(ge=-1e9, le=1e9)]
Text = Annotated[str, Field(max_length=200, pattern=r"^[^\x00-\x1f\x7f]*$")]
UNKNOWN = "unknown"


class OriginSettings(Settings):
    """Whose data something was made from; 'unknown', or nothing, where that cannot be told."""

    patients: tuple[Text, ...] | None = Field(
        default=None,
        description="Ids of these patients, as their cases are called in your folders; [] = nobody's. null = not told.",
    )
    data_sets: tuple[Text, ...] | None = Field(
        default=None, description="Names of public data sets, to be compared with 'acquire.data_sets'. null = not told."
    )

    @model_validator(mode="before")
    @classmethod
    def _unknown_is_nothing(cls, content: object) -> object:
        return {} if content in (None, UNKNOWN) else content

    @property
    def is_told(self) -> bool:
        """Whether anything is said."""
        return self.patients is not None or self.data_sets is not None


class ProvenanceSettings(Settings):
    """Where synthetic data come from: also the content of a file 'provenance.json' beside them."""

    generator: Text = Field(default="", description="The program that made them; '' = not told.")
    version: Text = Field(default="", description="Its version, or the digest of its weights; '' = not told.")
    license: Text = Field(
        default="", description="Under which the data may be used; without one there is a warning, since many may not."
    )
    trained_on: OriginSettings = Field(
        default_factory=OriginSettings, description="Whose scans the generator was trained on; 'unknown' unless told."
    )
    masks_from: OriginSettings = Field(
        default_factory=OriginSettings, description="Whose label maps were painted; 'unknown' unless told."
    )


class HounsfieldSettings(Settings):
    """A linear map of stored intensities to Hounsfield units: two stored values, and what they stand for."""

    stored: tuple[Intensity, Intensity] = Field(
        default=(0.0, 1.0), description="Two stored values; 0 and 1, between which many generators write."
    )
    units: tuple[Intensity, Intensity] = Field(
        default=(-1000.0, 1000.0),
        description="The Hounsfield units that they stand for; -1000 to 1000 as MAISI clips its training scans.",
    )

    @model_validator(mode="after")
    def _two_values(self) -> Self:
        refuse([f"'{name}' names {two[0]:g} twice" for name, two in self if two[0] == two[1]])
        return self

    @property
    def scale(self) -> tuple[float, float]:
        """Slope and intercept."""
        (first, second), (low, high) = self.stored, self.units
        slope = (high - low) / (second - first)
        return slope, low - slope * first


class ForeignSettings(Settings):
    """A set of synthetic scans with label maps that another program made; only ever trained on."""

    path: Path | None = Field(
        default=None, description="Folder of it. null where a version on a DVC remote holds it already."
    )
    images: Pattern | None = Field(
        default=None,
        description="Where the scans lie below it, with one '*' for a fake's name, e.g. `*_image.nii.gz` or "
        "`img/*.nii.gz`. null = as one of the layouts that are known (docs/bring-your-own.md).",
    )
    labels: Pattern | None = Field(
        default=None, description="Where their label maps lie, the same way, e.g. `*_label.nii.gz` or `lab/*.nii.gz`."
    )
    classes: dict[ForeignValue, ClassName | None] | None = Field(
        default=None,
        min_length=1,
        description="What their label values are: value to a name of 'prepare.classes'. Every other value is "
        "background. null = the values of 'prepare.classes'.",
    )
    intensity: HounsfieldSettings | None = Field(
        default=None, description="How stored intensities become Hounsfield units. null = they are Hounsfield units."
    )
    spacing: tuple[Millimeters, Millimeters, Millimeters] | None = Field(
        default=None, description="Millimeters along the three axes of a file. null = as its header says."
    )
    orientation: Codes | None = Field(
        default=None,
        description="Where the three axes of a file lead, e.g. 'RAS': to right, anterior, superior. null = as its "
        "header says.",
    )
    provenance: ProvenanceSettings | None = Field(
        default=None,
        description="Where the data come from. null = as 'provenance.json' in the folder says; without it all is "
        "unknown.",
    )

    @model_validator(mode="after")
    def _patterns_come_in_pairs(self) -> Self:
        found = []
        if (self.images is None) != (self.labels is None):
            found.append("'images' and 'labels' are given together, or not at all")
        if self.images is not None and self.images == self.labels:
            found.append("'images' and 'labels' are the same")
        refuse(found)
        return self

    def values(self, classes: dict[int, str]) -> dict[int, int]:
        """Stored label value to ours, of the values that are classes.

        Args:
            classes: ours, value to name.
        """
        if self.classes is None:
            return {value: value for value in classes}
        ours = {name: value for value, name in classes.items()}
        return {value: ours[name] for value, name in self.classes.items() if name is not None}
