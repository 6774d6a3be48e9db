"""The door for segmenters: what every backend does, whatever it is made of and wherever it is trained.

A kind of segmenter is one module, which `nephrite.config` names in a line of its registry. The module holds two
constants: SETTINGS, a subclass of `SegmenterSettings` that also says what the kind can do (FEATURES, TAKES), and
BACKEND, a subclass of `Backend`. Settings are read without torch, so such a module imports networks, and all that needs
torch, inside of functions.

A backend is asked for patients and their volumes, not for batches of slices: three-dimensional networks and programs
of their own fit behind it. Most kinds are networks on slices that `in_process.InProcess` trains.
"""

from __future__ import annotations

import importlib
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Generic, Literal, NamedTuple, Protocol, TypeAlias, TypeVar

import numpy as np
from jaxtyping import Bool, Float32, UInt8

from nephrite.config import ComputeSettings, Config, SegmenterSettings, TrainSegmenterSettings
from nephrite.errors import ConfigError
from nephrite.store.slices import PairStore, SliceRef

if TYPE_CHECKING:
    from torch import nn

    from nephrite.augment.lesions import LesionBank
    from nephrite.recording import Run
    from nephrite.training.mixing import Way

Augmentation: TypeAlias = Literal["none", "geometric", "standard"]
Row: TypeAlias = dict[str, float]
Item = TypeVar("Item")


class LabelledSource(Protocol):
    """Where volumes and label maps lie: a pair store, or one whose labels are replaced."""

    def windowed(self, ref: SliceRef, /) -> Float32[np.ndarray, "height width"]:
        """One slice in [0, 1]."""

    def label(self, patient: str, /) -> UInt8[np.ndarray, "slice height width"]:
        """All label maps of a patient."""

    def slices(self) -> list[SliceRef]:
        """References to all slices."""


@dataclass(frozen=True)
class Cohort:
    """Patients whose labels are known.

    Attributes:
        source: of their volumes and label maps.
        patients: ids.
        most: take no more slices than this, evenly over all; None = all.
    """

    source: LabelledSource
    patients: Sequence[str]
    most: int | None = None

    def slices(self) -> list[SliceRef]:
        """Their slices, in the order of the source."""
        known = set(self.patients)
        found = [ref for ref in self.source.slices() if ref.patient in known]
        return found if self.most is None else thin(found, self.most)


@dataclass(frozen=True)
class Addition:
    """Synthetic or pseudo-labelled patients beside the real ones; how they are used, `training.mixing.Extra` says."""

    cohort: Cohort
    way: Way
    share: float


@dataclass(frozen=True, kw_only=True)
class FitTask:
    """What a backend learns, what chooses its weights, and where it works.

    Attributes:
        training: real patients to learn from.
        additions: what is mixed with them.
        validation: whole patients, who choose the weights.
        channels: name to label values; a channel is a structure that is to be found.
        region: label values of the region whose Dice chooses the weights.
        threshold: a probability at or above it is foreground.
        augmentation: of what is learned from.
        unsure: whether some labels are `IGNORED`.
        lesions: what is pasted into what is learned from; None where nothing is.
        settings: steps, batch size, learning rate, loss: the same in all arms.
        compute: devices and precision.
        weights_seed: of the first weights.
        order_seed: of the order of slices, and of augmentation.
        folder: gets the weights, and what a training that is killed goes on from.
        run: is told the newest row of the history after each epoch.
        text: names the training before its progress bar.
    """

    training: Cohort
    additions: tuple[Addition, ...] = ()
    validation: Cohort
    channels: Mapping[str, tuple[int, ...]]
    region: tuple[int, ...]
    threshold: float
    augmentation: Augmentation
    unsure: bool = False
    lesions: LesionBank | None = None
    settings: TrainSegmenterSettings
    compute: ComputeSettings
    weights_seed: int
    order_seed: int
    folder: Path
    run: Run
    text: str


@dataclass(frozen=True, kw_only=True)
class Trained:
    """A fitted segmenter; what it knows beyond this is its backend's own.

    Attributes:
        backend: that fitted it.
        channels: name to label values.
        threshold: a probability at or above it is foreground.
        history: one row per epoch, with at least 'step', 'validation_dice' and 'seconds'; the weights are those of the
            first epoch with the best 'validation_dice'.
    """

    backend: Backend[Any, Any]
    channels: Mapping[str, tuple[int, ...]]
    threshold: float
    history: Sequence[Row] = ()


class Scan(Protocol):
    """The volume of one patient, on the grid of the slices that were trained on."""

    @property
    def patient(self) -> str:
        """Id."""

    @property
    def shape(self) -> tuple[int, int, int]:
        """Slices, height and width."""

    @property
    def spacing(self) -> tuple[float, float, float]:
        """Millimeters between slices, rows and columns."""

    def windowed(self, part: range) -> Float32[np.ndarray, "slice height width"]:
        """Some slices in [0, 1]."""


@dataclass(frozen=True)
class StoredScan:
    """A patient of a store; labels are never read."""

    store: PairStore
    patient: str

    @property
    def shape(self) -> tuple[int, int, int]:
        """Slices, height and width."""
        slices, height, width = self.store.image(self.patient).shape
        return slices, height, width

    @property
    def spacing(self) -> tuple[float, float, float]:
        """Millimeters between slices, rows and columns."""
        return self.store.patient(self.patient).spacing

    def windowed(self, part: range) -> Float32[np.ndarray, "slice height width"]:
        """Some slices in [0, 1]."""
        return np.stack([self.store.windowed(SliceRef(self.patient, position)) for position in part])


class Prediction(NamedTuple):
    """What was found in a scan, on the scan's voxels.

    Attributes:
        labels: the label map, by the threshold of training.
        probabilities: of each channel; None of a backend that gives none.
    """

    labels: UInt8[np.ndarray, "slice height width"]
    probabilities: Float32[np.ndarray, "slice channel height width"] | None = None

    def masks(
        self, channels: Mapping[str, tuple[int, ...]], threshold: float
    ) -> Bool[np.ndarray, "slice channel height width"]:
        """Where each channel reaches the threshold; without probabilities, where the label is one of its values."""
        if self.probabilities is not None:
            return self.probabilities >= threshold
        return np.stack([np.isin(self.labels, values) for values in channels.values()], axis=1)


class Examination(NamedTuple):
    """What a backend with features makes of single slices: probabilities of the channels, and features."""

    probabilities: Float32[np.ndarray, "slice channel height width"]
    features: Float32[np.ndarray, "slice feature"]


class Exported(NamedTuple):
    """What the registry of models keeps: [batch, 1, size, size] in [0, 1] to logits [batch, channel, size, size]."""

    network: nn.Module
    size: int


S = TypeVar("S", bound=SegmenterSettings)
T = TypeVar("T", bound=Trained)


class Backend(ABC, Generic[S, T]):
    """A kind of segmenter with its settings.

    Args:
        settings: an entry of 'train_segmenter.segmenters'.
    """

    def __init__(self, settings: S) -> None:
        self.settings = settings

    @abstractmethod
    def fit(self, task: FitTask) -> T:
        """Learn; a task that was killed goes on in its folder.

        Raises:
            NonFiniteLossError: the loss became NaN or infinite.
            WeightsError: pretrained weights are not available.
        """

    @abstractmethod
    def load(
        self, folder: Path, channels: Mapping[str, tuple[int, ...]], threshold: float, *, as_fitted: bool = False
    ) -> T:
        """Read what a finished `fit` left in its folder, without its history.

        Args:
            folder: of the trained segmenter.
            channels: those that it was trained for, in their order.
            threshold: a probability at or above it is foreground.
            as_fitted: to the last bit as `fit` gives it, memory order included.

        Raises:
            StoreError: missing or broken, or it does not fit the settings.
        """

    @abstractmethod
    def identity(self, folder: Path) -> str:
        """SHA-256 of what was learned."""

    @abstractmethod
    def predict(self, trained: T, scan: Scan) -> Prediction:
        """Find the classes in a scan."""

    @abstractmethod
    def step_seconds(self, config: Config) -> float:
        """Seconds that an optimizer step will take on one thread of this machine, or on its GPU; for `plan`."""

    def ready(self, trained: T, compute: ComputeSettings, *, batch_size: int) -> T:
        """The same where predictions are made: on the device of the settings, so many slices at a time."""
        return trained

    def examine(self, trained: T, planes: Float32[np.ndarray, "slice height width"]) -> Examination:
        """Look at single slices in [0, 1]; of a kind whose settings say FEATURES.

        Raises:
            ConfigError: the kind has no features.
        """
        finding = "gives no features of a slice"
        raise ConfigError(f"segmenter of kind '{self.settings.kind}'", finding, "name another 'screen.segmenter'")

    def exported(self, trained: T, size: int) -> Exported | None:
        """What `promote` registers for slices of so many pixels per side; None of a kind that is no graph."""
        return None

    def check(self, config: Config) -> None:
        """Try whether it can be what the settings ask for, before any work.

        Raises:
            ConfigError: it cannot; names kind, finding and remedy.
        """


def backend_of(settings: SegmenterSettings) -> Backend[Any, Trained]:
    """The backend of an entry of 'train_segmenter.segmenters'; imports its module."""
    module = importlib.import_module(SegmenterSettings.REGISTRY[settings.kind])
    backend: Backend[Any, Trained] = module.BACKEND(settings)
    return backend


def thin(items: Sequence[Item], most: int) -> list[Item]:
    """At most so many of them, evenly over all."""
    places = np.linspace(0, len(items) - 1, min(most, len(items))).round().astype(int)
    return [items[place] for place in places]
