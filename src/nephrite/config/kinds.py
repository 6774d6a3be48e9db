"""Kinds of generators and segmenters that settings may name: each is one module and one line of a registry here.

A registry names modules as text. So settings are read without torch, and nothing depends on the code of a kind that it
does not use. The module of a kind holds its settings, a subclass of `GeneratorSettings` or `SegmenterSettings`, in the
constant SETTINGS; they say what the kind can do. The rest of the module is described in `nephrite.generation.kind` and
`nephrite.segmentation.backend`.
"""

from __future__ import annotations

import importlib
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Annotated, Any, ClassVar, Literal, Self, Union, get_args

from pydantic import Field, GetCoreSchemaHandler
from pydantic_core import CoreSchema

from nephrite.config.settings import Settings

GENERATORS = {
    "pix2pix": "nephrite.generation.kinds.pix2pix",
    "spade": "nephrite.generation.kinds.spade",
    "paint_in": "nephrite.generation.kinds.paint_in",
    "randomized": "nephrite.generation.kinds.randomized",
    "diffusion": "nephrite.generation.kinds.diffusion",
    "lesion_painter": "nephrite.generation.kinds.lesion_painter",
    "recontrast": "nephrite.generation.kinds.recontrast",
    "phantom_patients": "nephrite.generation.kinds.phantom_patients",
    "folder": "nephrite.generation.kinds.folder",
    "command": "nephrite.generation.kinds.command",
}
SEGMENTERS = {
    "unet": "nephrite.segmentation.in_process.unet",
    "fpn": "nephrite.segmentation.in_process.fpn",
    "smp": "nephrite.segmentation.in_process.smp",
    "monai": "nephrite.segmentation.in_process.monai",
    "segresnet_3d": "nephrite.segmentation.volumes.segresnet",
    "command": "nephrite.segmentation.command",
    "nnunet": "nephrite.segmentation.nnunet",
}

# what a segmenter may take; see below
Intake = Literal["synthetic", "schedules", "pseudo_labels", "ignored", "augmentation", "pasting", "channels"]


class KindSettings(Settings):
    """Settings of one of several kinds, which 'kind' names. As a field's type, it accepts any kind of its registry."""

    REGISTRY: ClassVar[Mapping[str, str]] = {}
    kind: str

    @property
    def programs(self) -> tuple[Path, ...]:
        """Files outside of this package whose content its results follow from."""
        return ()

    @classmethod
    def __get_pydantic_core_schema__(cls, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        """The schema of the kind; for the root of a registry, a union of all its kinds."""
        if "REGISTRY" not in cls.__dict__:
            return handler(source)
        return handler.generate_schema(Annotated[Union[kinds_of(cls)], Field(discriminator="kind")])  # noqa: UP007 - known when it runs


class GeneratorSettings(KindSettings):
    """How a generator paints, and what it can do; see `nephrite.generation.kind`.

    Attributes:
        WEARS_STYLE: whether it is given a slice whose contrast it wears.
        LEARNS_WITHOUT_LABELS: whether it may be trained on scans without labels as well.
        COMPOSES: whether it changes real slices, whole patients at a time, and is not trained.
        ADDS_LESIONS: whether it puts lesions of its own into them.
        PAINTS_VOLUMES: whether it learns from whole patients by its own means, and paints whole label maps.
    """

    REGISTRY = GENERATORS
    WEARS_STYLE: ClassVar[bool] = False
    LEARNS_WITHOUT_LABELS: ClassVar[bool] = True
    COMPOSES: ClassVar[bool] = False
    ADDS_LESIONS: ClassVar[bool] = False
    PAINTS_VOLUMES: ClassVar[bool] = False

    @property
    def region_rim(self) -> int | None:
        """Pixels about a lesion that are painted with it; None for a generator that paints whole slices."""
        return None

    @property
    def lesion_free_share(self) -> float:
        """Share of its slices that are lesion-free scans with lesions of its own; 0 for a kind that draws none."""
        return 0.0

    @property
    def brought_set(self) -> str | None:
        """Name under 'acquire.synthetic' of the set that its slices are taken from; None for a kind that paints."""
        return None

    def narrowed(self, width: int) -> tuple[Self, float]:
        """A narrow network that is quick to time, and the factor by which the network asked for costs more.

        Cost grows with the square of the setting 'base_width'; a generator without that setting stays as it is.
        """
        asked: int = getattr(self, "base_width", 1)
        if asked <= width:
            return self, 1.0
        return self.model_copy(update={"base_width": width}), (asked / width) ** 2


class SegmenterSettings(KindSettings):
    """Which network finds the classes, and what it can do; see `nephrite.segmentation.backend`.

    Attributes:
        FEATURES: whether it gives features of a slice, by which 'screen' measures fidelity.
        TAKES: what it can learn from beside real slices with labels: synthetic slices by share, and by a share that
            changes during the training, pseudo-labels, labels of which some are `IGNORED`, augmentation that the
            training set asks for, lesions pasted into its slices, and scans of several channels. An arm that needs
            more is refused.
    """

    REGISTRY = SEGMENTERS
    FEATURES: ClassVar[bool] = False
    TAKES: ClassVar[frozenset[Intake]] = frozenset()

    @property
    def intake(self) -> frozenset[Intake]:
        """What this one takes: all that its kind does, unless its settings say less."""
        return self.TAKES

    @property
    def gives_probabilities(self) -> bool:
        """Whether it says how sure it is; else it says yes or no."""
        return True

    @property
    def is_seeded(self) -> bool:
        """Whether the same seed gives the same weights."""
        return True

    @property
    def sees_volumes(self) -> bool:
        """Whether it learns from neighboring slices together; else from single ones, in any order."""
        return False

    @property
    def lies_in(self) -> str | None:
        """An image that holds it, and not this package; None where stages have it themselves."""
        return None


@cache
def kinds_of(front: type[KindSettings]) -> tuple[type[KindSettings], ...]:
    """The settings of every kind of a registry, in its order; imports their modules."""
    return tuple(importlib.import_module(module).SETTINGS for module in front.REGISTRY.values())


def sections_in(kind: Any) -> list[type[Settings]]:
    """The models of settings that a field of this type may hold."""
    if isinstance(kind, type) and issubclass(kind, KindSettings) and "REGISTRY" in kind.__dict__:
        return [*kinds_of(kind)]
    if isinstance(kind, type) and issubclass(kind, Settings):
        return [kind]
    return [model for part in get_args(kind) for model in sections_in(part)]
