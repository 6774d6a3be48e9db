"""The interface of segmenters: what every backend does, whatever it is and wherever it is trained.

A kind of segmenter is one module, which `nephrite.config` names in a line of its registry. The module holds two
constants: SETTINGS, a subclass of `SegmenterSettings` that also says what the kind can do (FEATURES, TAKES), and
BACKEND, a subclass of `Backend`. Settings are read without torch, so such a module imports networks, and all that needs
torch, inside of functions.

A backend is asked for patients and their volumes, not for batches of slices: three-dimensional networks and programs
in other processes fit behind it. Most kinds are networks on slices that `in_process.InProcess` trains.
"""

from __future__ import annotations

import importlib
from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Generic, NamedTuple, Protocol, TypeVar

import numpy as np
from jaxtyping import Bool, Float32, UInt8

from nephrite.config import ComputeSettings, Config, SegmenterSettings
from nephrite.errors import ConfigError
from nephrite.imaging.intensity import apply_window
from nephrite.imaging.masks import split_channels
from nephrite.metrics.windows import Window
from nephrite.programs.case_folders import GivenScan
from nephrite.segmentation.fit_task import FitTask, Row
from nephrite.store.slices import PairStore, SliceRef

if TYPE_CHECKING:
    from torch import nn


class SliceShape(NamedTuple):
    """Slices as a network meets them.

    Attributes:
        size: pixels per side.
        channels: of the segmenter's output.
    """

    size: int
    channels: int


@dataclass(frozen=True, kw_only=True)
class Trained:
    """A fitted segmenter; a backend's subclass adds what it needs beyond this.

    Attributes:
        backend: that fitted it.
        channels: name to label values.
        threshold: a probability at or above it is foreground.
        history: one row per epoch, with at least 'step', 'validation_dice' and 'seconds'; the weights are those of the
            last epoch, or of the first with the best 'validation_dice': see 'train_segmenter.weights'.
        window: pixels per side of the windows that it learned from; None = it saw whole slices.
    """

    backend: Backend[Any, Any]
    channels: Mapping[str, tuple[int, ...]]
    threshold: float
    history: Sequence[Row] = ()
    window: int | None = None


class Scan(GivenScan, Protocol):
    """The volume of one patient, on the grid of the slices that were trained on."""

    @property
    def patient(self) -> str:
        """Id."""


@dataclass(frozen=True)
class StoredScan:
    """A patient of a store, or a window of the patient's slices, or some of them; labels are never shown.

    Attributes:
        store: of the slices.
        patient: id.
        window: of each slice; None = whole ones.
        part: slices; None = all.
        channel: of scans that have several; None = they have one.
    """

    store: PairStore
    patient: str
    window: Window | None = None
    part: range | None = None
    channel: int | None = None

    @property
    def channel_names(self) -> Sequence[str]:
        """Of scans that have several channels; else none."""
        return self.store.manifest.image_channels

    @property
    def channels(self) -> Sequence[StoredScan]:
        """The scan of each channel."""
        return [replace(self, channel=number) for number in range(len(self.channel_names))] or [self]

    @property
    def shape(self) -> tuple[int, int, int]:
        """Slices, height and width."""
        slices, height, width = self.store.channel(self.patient, 0).shape
        slices = slices if self.part is None else len(self.part)
        return (slices, self.window.size, self.window.size) if self.window else (slices, height, width)

    @property
    def spacing(self) -> tuple[float, float, float]:
        """Millimeters between slices, rows and columns."""
        return self.store.patient(self.patient).spacing

    @property
    def intensity_window(self) -> tuple[float, float]:
        """The intensities that `windowed` makes 0 and 1: Hounsfield units of CT, else those of the scan."""
        known = self.store.patient(self.patient).scales[self.channel or 0]
        low, high = known.window
        return low * known.slope + known.intercept, high * known.slope + known.intercept

    def windowed(self, part: range) -> Float32[np.ndarray, "slice height width"]:
        """Some slices in [0, 1]."""
        first = self.part.start if self.part else 0
        positions = [first + position for position in part]
        if self.channel is None:
            planes = self.store.windowed_of(SliceRef(self.patient, position) for position in positions)
        else:
            low, high = self.store.patient(self.patient).scales[self.channel].window
            planes = apply_window(self.store.channel(self.patient, self.channel)[positions], low, high)
        return self.window.cut(planes) if self.window else planes


class Prediction(NamedTuple):
    """What was found in a scan, on the scan's voxels.

    Attributes:
        labels: the label map, by the threshold of training.
        probabilities: of each channel; None if the backend gives none.
    """

    labels: UInt8[np.ndarray, "slice height width"]
    probabilities: Float32[np.ndarray, "slice channel height width"] | None = None

    def masks(
        self, channels: Mapping[str, tuple[int, ...]], threshold: float
    ) -> Bool[np.ndarray, "slice channel height width"]:
        """Where each channel reaches the threshold; without probabilities, where the label is one of its values."""
        if self.probabilities is not None:
            return self.probabilities >= threshold
        return split_channels(self.labels, channels)


class Examination(NamedTuple):
    """What a backend with features makes of single slices: probabilities of the channels, and features."""

    probabilities: Float32[np.ndarray, "slice channel height width"]
    features: Float32[np.ndarray, "slice feature"]


class Exported(NamedTuple):
    """What the registry of models keeps: [batch, 1, size, size] in [0, 1] to logits [batch, channel, size, size].

    Of a network that learned from windows, `size` is theirs: larger slices are predicted by overlapping windows.
    """

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
        """Train; a task that was killed is resumed from its folder.

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

    def predict_all(self, trained: T, scans: Sequence[Scan]) -> Iterator[Prediction]:
        """The same for several scans, one after the other; a backend that takes long to start does so once."""
        return (self.predict(trained, scan) for scan in scans)

    @abstractmethod
    def step_seconds(self, config: Config) -> float:
        """Seconds that an optimizer step will take on one thread of this machine, or on its GPU; for `plan`."""

    def ready(self, trained: T, compute: ComputeSettings, *, batch_size: int, mirroring: bool = False) -> T:
        """The same segmenter ready to predict: on the device of the settings, with so many slices at a time.

        Args:
            trained: on any device.
            compute: the settings.
            batch_size: slices.
            mirroring: whether predictions are averaged over mirrored slices.
        """
        return trained

    def examine(self, trained: T, planes: Float32[np.ndarray, "slice height width"]) -> Examination:
        """Look at single slices in [0, 1]; of a kind whose settings say FEATURES.

        Raises:
            ConfigError: the kind has no features.
        """
        finding = "gives no features of a slice"
        raise ConfigError(f"segmenter of kind '{self.settings.kind}'", finding, "name another 'screen.segmenter'")

    def exported(self, trained: T, size: int) -> Exported | None:
        """The graph that `promote` registers for slices of so many pixels per side.

        None for a kind that is no graph: its folder is registered, and `predict` asks `load` and `predict_all`.
        """
        return None

    def check_here(self) -> None:
        """Test whether what was trained elsewhere can predict on this machine.

        Raises:
            ConfigError: it cannot; names what is missing.
        """

    def check(self, config: Config, shape: SliceShape) -> None:
        """Test before any work whether the settings give a usable segmenter.

        Args:
            config: the settings.
            shape: of the slices that it is to learn from.

        Raises:
            ConfigError: it cannot; names kind, finding and remedy.
        """


def backend_of(settings: SegmenterSettings) -> Backend[Any, Trained]:
    """The backend of an entry of 'train_segmenter.segmenters'; imports its module."""
    module = importlib.import_module(SegmenterSettings.REGISTRY[settings.kind])
    backend: Backend[Any, Trained] = module.BACKEND(settings)
    return backend
