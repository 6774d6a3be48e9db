"""params.yaml as frozen models: the whole truth of a run, validated whole before the first stage starts."""

from nephrite.config.acquire import AcquireSettings
from nephrite.config.operation import ComputeSettings
from nephrite.config.params import Config
from nephrite.config.prepare import (
    IGNORED,
    SPLITS,
    PercentileSettings,
    PrepareSettings,
    ResampleSettings,
    ResizeSettings,
    SplitSettings,
    WindowSettings,
)
from nephrite.config.reading import as_yaml, load_config
from nephrite.config.screen import ScreenSettings
from nephrite.config.segmenters import FPNSettings, SegmenterSettings, TrainSegmenterSettings, UNetSettings
from nephrite.config.settings import Settings, sections_in
from nephrite.config.synthesize import SynthesizeSettings
from nephrite.config.synthesizers import (
    DiffusionSettings,
    DiscriminatorSettings,
    MethodSettings,
    PaintInSettings,
    Pix2PixSettings,
    RandomisedSettings,
    SpadeSettings,
    TissueSettings,
    TrainGanSettings,
)
from nephrite.config.trial import NULL, Arm, Fakes, Painter

__all__ = [
    "IGNORED",
    "NULL",
    "SPLITS",
    "AcquireSettings",
    "Arm",
    "ComputeSettings",
    "Config",
    "DiffusionSettings",
    "DiscriminatorSettings",
    "FPNSettings",
    "Fakes",
    "MethodSettings",
    "PaintInSettings",
    "Painter",
    "PercentileSettings",
    "Pix2PixSettings",
    "PrepareSettings",
    "RandomisedSettings",
    "ResampleSettings",
    "ResizeSettings",
    "ScreenSettings",
    "SegmenterSettings",
    "Settings",
    "SpadeSettings",
    "SplitSettings",
    "SynthesizeSettings",
    "TissueSettings",
    "TrainGanSettings",
    "TrainSegmenterSettings",
    "UNetSettings",
    "WindowSettings",
    "as_yaml",
    "load_config",
    "sections_in",
]
