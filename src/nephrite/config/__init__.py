"""params.yaml as frozen models: all settings of a run, validated as a whole before the first stage starts."""

from nephrite.config.acquire import AcquireSettings, PatientsSettings
from nephrite.config.dialect import read_yaml
from nephrite.config.evaluation import LesionRule, ReportSettings
from nephrite.config.foreign import IGNORE_VALUE, ForeignSettings, OriginSettings, ProvenanceSettings
from nephrite.config.kinds import GeneratorSettings, Intake, KindSettings, SegmenterSettings, sections_in
from nephrite.config.metrics import NATIVE, OF_LESIONS, OF_PROBABILITIES, OF_SETS, Metric, Where
from nephrite.config.operation import ComputeSettings, TrackingSettings
from nephrite.config.params import Config
from nephrite.config.prepare import (
    DEMANDED,
    IGNORED,
    SPLITS,
    LesionFreeSettings,
    PercentileSettings,
    PrepareSettings,
    ResampleSettings,
    ResizeSettings,
    SplitSettings,
    WindowSettings,
)
from nephrite.config.reading import as_yaml, demand_single_shares, explain_config, load_config
from nephrite.config.screen import ScreenSettings
from nephrite.config.segmenters import TrainSegmenterSettings
from nephrite.config.settings import (
    ClassName,
    Count,
    Fraction,
    Name,
    Positive,
    Range,
    Seed,
    SetLabel,
    Settings,
    Signed,
    refuse,
    rising,
)
from nephrite.config.synthesize import SynthesizeSettings
from nephrite.config.synthesizers import (
    DiscriminatorSettings,
    TissueSettings,
    TrainGanSettings,
)
from nephrite.config.training_sets import NULL, Augmentation, Fakes, MixingStrategy, TrainingSet, TrainingSets
from nephrite.config.trial import Arm, GeneratorRun, QuestionSettings, TrialSettings

__all__ = [
    "DEMANDED",
    "IGNORED",
    "IGNORE_VALUE",
    "NATIVE",
    "NULL",
    "OF_LESIONS",
    "OF_PROBABILITIES",
    "OF_SETS",
    "SPLITS",
    "AcquireSettings",
    "Arm",
    "Augmentation",
    "ClassName",
    "ComputeSettings",
    "Config",
    "Count",
    "DiscriminatorSettings",
    "Fakes",
    "ForeignSettings",
    "Fraction",
    "GeneratorRun",
    "GeneratorSettings",
    "Intake",
    "KindSettings",
    "LesionFreeSettings",
    "LesionRule",
    "Metric",
    "MixingStrategy",
    "Name",
    "OriginSettings",
    "PatientsSettings",
    "PercentileSettings",
    "Positive",
    "PrepareSettings",
    "ProvenanceSettings",
    "QuestionSettings",
    "Range",
    "ReportSettings",
    "ResampleSettings",
    "ResizeSettings",
    "ScreenSettings",
    "Seed",
    "SegmenterSettings",
    "SetLabel",
    "Settings",
    "Signed",
    "SplitSettings",
    "SynthesizeSettings",
    "TissueSettings",
    "TrackingSettings",
    "TrainGanSettings",
    "TrainSegmenterSettings",
    "TrainingSet",
    "TrainingSets",
    "TrialSettings",
    "Where",
    "WindowSettings",
    "as_yaml",
    "demand_single_shares",
    "explain_config",
    "load_config",
    "read_yaml",
    "refuse",
    "rising",
    "sections_in",
]
