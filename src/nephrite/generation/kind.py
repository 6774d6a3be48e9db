"""What a kind of generator is: one module, named only in the registry `nephrite.config.kinds.GENERATORS`.

It holds, under the names SETTINGS and KIND:

SETTINGS  its settings, a `GeneratorSettings`: what can be set, and what it can do as far as settings are checked by it:
          whether it takes over a style, may learn from scans without labels, and paints whole slices or regions
KIND      a `Kind`: its network and how the trained one paints. An `AdversarialKind` learns from a discriminator, a
          `DenoisingKind` from noise, a `VolumeKind` by its own means; any other kind is not trained. A `ComposingKind`
          changes real slices, whole patients at a time, and may put lesions of its own into them

Settings are read without torch. So the module of a kind, and this one, import torch, the networks and the trainings
within the functions that need them.

b  batch    h, w  height and width in pixels
"""

from __future__ import annotations

import importlib
from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Generic, Literal, NamedTuple, TypeVar

import numpy as np
from jaxtyping import Float32, UInt8

from nephrite.config import Config, GeneratorSettings
from nephrite.errors import ConfigError

if TYPE_CHECKING:
    import torch
    from jaxtyping import Float
    from torch import Tensor, nn

    from nephrite.generation.conditioning import Scene
    from nephrite.generation.intensities import Intensity
    from nephrite.programs.case_folders import Case, Mask
    from nephrite.synthesis.edits import LesionEdit
    from nephrite.synthesis.lesions import Run

Chosen = TypeVar("Chosen", bound=GeneratorSettings)


class Painted(NamedTuple):
    """Output of a generator in training.

    Attributes:
        image: in [0, 1].
        penalty: joins the generator's loss; None where there is none.
    """

    image: Float[Tensor, "b 1 h w"]
    penalty: Float[Tensor, ""] | None = None


class Composed(NamedTuple):
    """The slices of one synthetic patient, finished.

    Attributes:
        image: in [0, 1].
        label: label values, with what was painted.
        edits: one for each new lesion.
    """

    image: Float32[np.ndarray, "slice h w"]
    label: UInt8[np.ndarray, "slice h w"]
    edits: tuple[LesionEdit, ...] = ()


class Kind(ABC, Generic[Chosen]):
    """A kind of generator, as it was set.

    Args:
        settings: 'train_gan.method'.
        intensities: of the training patients, per channel of the condition, for a kind that is not trained.

    Attributes:
        TRAINING: how it is trained, which `fitting.training_of` looks up; None where there is nothing to train.
    """

    TRAINING: ClassVar[Literal["adversarial", "denoising"] | None] = None

    def __init__(self, settings: Chosen, intensities: Sequence[Intensity] = ()) -> None:
        self.settings, self.intensities = settings, intensities

    def check(self) -> None:
        """Refuse, before any work, what cannot be used here; a network is tried on noise besides.

        Raises:
            ConfigError: names what is missing.
        """

    @abstractmethod
    def build(self, channels: int, size: int) -> nn.Module:
        """The network with random weights, for so many channels of the condition and pixels per side."""

    @abstractmethod
    def paint(self, network: nn.Module, scene: Scene, seeds: Sequence[int]) -> Float[Tensor, "b 1 h w"]:
        """Slices in [0, 1], each from its part of the scene and its seed alone; the network is in evaluation mode."""


class ComposingKind(Kind[Chosen]):
    """A kind that is not trained, and changes the real slices of a patient together: neighboring slices then agree.

    Its settings say COMPOSES. What it made is the background of the request, so nothing is left to paint.
    """

    @abstractmethod
    def compose(
        self, image: Float32[np.ndarray, "slice h w"], run: Run, classes: Mapping[int, str], seed: int
    ) -> Composed:
        """Change real slices.

        Args:
            image: in [0, 1].
            run: label map, spacing and lesion classes; its label map may be edited in place.
            classes: label value to name.
            seed: of all draws.
        """

    def build(self, channels: int, size: int) -> nn.Module:
        """An empty module: nothing is trained."""
        from torch import nn  # noqa: PLC0415 - settings are read without torch

        return nn.Identity()

    def paint(self, network: nn.Module, scene: Scene, seeds: Sequence[int]) -> Float[Tensor, "b 1 h w"]:
        """The background, which `compose` made."""
        assert scene.background is not None
        return scene.background


class VolumeKind(Kind[Chosen]):
    """A kind that learns from whole patients by its own means, and paints whole label maps as volumes.

    Its settings say PAINTS_VOLUMES. What it learned is a folder of files.
    """

    @abstractmethod
    def fit(self, cases: Iterable[Case], classes: Mapping[int, str], model: Path, seed: int) -> None:
        """Learn from patients whose labels are known.

        Args:
            cases: whole scans with their label maps.
            classes: label value to name.
            model: an empty folder, to be filled.
            seed: of all draws.
        """

    @abstractmethod
    def paint_volumes(
        self, model: Path, masks: Iterable[Mask], classes: Mapping[int, str], seed: int
    ) -> Iterator[Float32[np.ndarray, "slice h w"]]:
        """Volumes in [0, 1], one for each mask, in their order.

        Args:
            model: what `fit` filled.
            masks: label maps of whole patients.
            classes: label value to name.
            seed: of all draws.
        """

    def build(self, channels: int, size: int) -> nn.Module:
        """An empty module: what was learned lies in files."""
        from torch import nn  # noqa: PLC0415 - settings are read without torch

        return nn.Identity()

    def paint(self, network: nn.Module, scene: Scene, seeds: Sequence[int]) -> Float[Tensor, "b 1 h w"]:
        """Never asked: `paint_volumes` is."""
        raise AssertionError("volumes are painted, and no slices")


class AdversarialKind(Kind[Chosen]):
    """A generator that learns from a discriminator and from the real slice: see `generation.adversarial`."""

    TRAINING = "adversarial"

    @abstractmethod
    def imagine(self, network: nn.Module, scene: Scene) -> Painted:
        """Paint a scene of real slices in training, by torch's own random numbers."""


class DenoisingKind(Kind[Chosen]):
    """A generator that learns to take noise away: see `generation.denoising`."""

    TRAINING = "denoising"

    @abstractmethod
    def loss(self, network: nn.Module, scene: Scene, generator: torch.Generator) -> Float[Tensor, ""]:
        """The loss on real slices to which noise was added; `generator` draws noise and its levels."""


def kind_of(settings: GeneratorSettings, intensities: Sequence[Intensity] = ()) -> Kind[Any]:
    """The kind that the settings name.

    Args:
        settings: 'train_gan.method'.
        intensities: of the training patients.
    """
    kind: type[Kind[Any]] = importlib.import_module(settings.REGISTRY[settings.kind]).KIND
    return kind(settings, intensities)


def check_painting(config: Config, method: GeneratorSettings) -> None:
    """Refuse lesions on scans without labels where a generator paints the label maps of whole patients.

    Raises:
        ConfigError: it would.
    """
    if method.PAINTS_VOLUMES and config.synthesize.unlabeled:
        finding = f"is above 0, and a generator of kind '{method.kind}' paints label maps of whole patients"
        raise ConfigError("synthesize.unlabeled", finding, "set it to 0, or name other synthesizers")
