"""What a trained segmenter takes as input and what its outputs mean; registered with it, since no settings say it."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Annotated, Literal

from pydantic import Field, StrictBool, TypeAdapter, ValidationError

from nephrite.config import ClassName, Name, PercentileSettings, ResampleSettings, ResizeSettings, WindowSettings
from nephrite.errors import StoreError
from nephrite.files import first_problem
from nephrite.record_fields import STRICT, LabelValue, LabelValues, Share, Side, Volumes


@dataclass(frozen=True)
class Recipe:
    """How a scan becomes the network's input, and its outputs a label map.

    Attributes:
        classes: label value to name.
        channels: output channel to label values, in the order of the outputs.
        intensity: how intensities become the network's input in [0, 1].
        in_plane: how slices are brought to the network's grid.
        threshold: sigmoid outputs at or above it are foreground.
        window: pixels per side of what the network takes; larger slices go through it by overlapping windows. None: it
            takes whole slices.
        mirroring: whether its logits are averaged over mirrored slices.
        volumes: class name to the smallest and the largest volume among the training patients, in mm3; empty where that
            is not known.
    """

    __pydantic_config__ = STRICT

    classes: Annotated[dict[LabelValue, ClassName], Field(min_length=1)]
    channels: Annotated[dict[Name, LabelValues], Field(min_length=1)]
    intensity: Annotated[WindowSettings | PercentileSettings, Field(discriminator="kind")]
    in_plane: Annotated[ResizeSettings | ResampleSettings, Field(discriminator="kind")]
    threshold: Share
    window: Side | None = None
    mirroring: StrictBool = False
    volumes: Volumes = field(default_factory=dict)
    format: Literal[1] = 1

    def to_text(self) -> str:
        """The recipe as one line of JSON."""
        return TypeAdapter(Recipe).dump_json(self).decode()


def read_recipe(text: str, place: str) -> Recipe:
    """Read what `Recipe.to_text` wrote.

    Args:
        text: JSON.
        place: where it was found, for errors.

    Raises:
        StoreError: it is something else, or of another version.
    """
    try:
        recipe = TypeAdapter(Recipe).validate_json(text)
    except ValidationError as error:
        finding = f"its tag 'recipe' is of another version or broken ({first_problem(error)})"
        raise StoreError(place, finding, "run 'promote' again with this version of Nephrite") from None
    if unknown := {value for values in recipe.channels.values() for value in values} - recipe.classes.keys():
        finding = f"its tag 'recipe' has channels of label value {min(unknown)}, which is no class"
        raise StoreError(place, finding, "run 'promote' again with this version of Nephrite")
    return recipe
