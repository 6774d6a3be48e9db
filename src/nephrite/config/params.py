"""The whole of params.yaml: all sections, and the rules between them."""

from __future__ import annotations

import itertools
from typing import Self

from pydantic import Field, ValidationInfo, field_validator, model_validator

from nephrite.config.acquire import AcquireSettings
from nephrite.config.evaluation import EvaluateSettings, PromoteSettings, RegionSettings, ReportSettings
from nephrite.config.operation import ComputeSettings, PredictSettings, PublishSettings, TrackingSettings
from nephrite.config.prepare import IGNORED, PrepareSettings
from nephrite.config.screen import ScreenSettings
from nephrite.config.segmenters import TrainSegmenterSettings
from nephrite.config.settings import Name, Settings
from nephrite.config.synthesize import SynthesizeSettings
from nephrite.config.synthesizers import TrainGanSettings
from nephrite.config.training_sets import TrainingSet
from nephrite.config.trial import Arm, GeneratorRun, TrialSettings
from nephrite.errors import ConfigError


class Config(Settings):
    """The whole of params.yaml."""

    trial: TrialSettings
    acquire: AcquireSettings
    prepare: PrepareSettings
    train_gan: dict[Name, TrainGanSettings]
    synthesize: SynthesizeSettings
    screen: ScreenSettings
    train_segmenter: TrainSegmenterSettings
    evaluate: EvaluateSettings
    report: ReportSettings
    promote: PromoteSettings
    publish: PublishSettings = Field(default_factory=PublishSettings)
    predict: PredictSettings = Field(default_factory=PredictSettings)
    tracking: TrackingSettings
    compute: ComputeSettings
    arm: Arm | None = Field(default=None, description="Set by the caller of a stage that works on one arm.")
    painter: GeneratorRun | None = Field(default=None, description="Set by the caller of a stage of one synthesizer.")

    @field_validator("arm", "painter", mode="before")
    @classmethod
    def _parts_from_text(cls, value: object, info: ValidationInfo) -> object:
        kind = Arm if info.field_name == "arm" else GeneratorRun
        return kind.parse(value) if isinstance(value, str) else value

    @model_validator(mode="after")
    def _sections_agree(self) -> Self:
        missing = sorted(set(self.trial.synthesizers) - set(self.train_gan))
        if missing:
            raise ValueError(f"'trial.synthesizers' names {missing}; not under 'train_gan'")
        missing = sorted(set(self.trial.segmenters) - set(self.train_segmenter.segmenters))
        if missing:
            raise ValueError(f"'trial.segmenters' names {missing}; not under 'train_segmenter.segmenters'")
        labeler = self.synthesize.labeler
        helpers = {"screen": self.screen.segmenter} | ({"synthesize.labeler": labeler.segmenter} if labeler else {})
        for section, name in helpers.items():
            if name not in self.train_segmenter.segmenters:
                raise ValueError(f"'{section}.segmenter' is '{name}'; not under 'train_segmenter.segmenters'")
        self._screen_has_features()
        if unknown := set(self.screen.agreement_by_channel) - set(self.prepare.channels):
            raise ValueError(f"'screen.agreement_by_channel' names '{min(unknown)}'; not among 'prepare.channels'")
        self._no_class_looks_unsure()
        if self.trial.primary not in self.evaluate.regions:
            raise ValueError(f"'trial.primary' is '{self.trial.primary}'; not among 'evaluate.regions'")
        pasting = [one.name for one in self.trial.training_sets.sets if one.pastes_lesions]
        if pasting and not self.prepare.lesions:
            raise ValueError(f"'{pasting[0]}' pastes lesions, and 'prepare.lesions' names none")
        for name, region in self.evaluate.regions.items():
            self._region_is_made_of_channels(name, region)
        if self.painter and self.painter not in self.trial.painters:
            raise ValueError(
                f"painter '{self.painter}' is not among the trial's synthesizers x label fractions x cells"
            )
        if self.arm and self.arm not in self.trial.arms:
            raise ValueError(
                f"arm '{self.arm}' is not among the trial's training sets x segmenters x label fractions x cells"
            )
        return self

    def _screen_has_features(self) -> None:
        name = self.screen.segmenter
        kind = self.train_segmenter.segmenters[name]
        if self.screen.filter != "all" and not kind.FEATURES:
            raise ValueError(
                f"'screen.segmenter' is '{name}' of kind '{kind.kind}', which gives no features of a slice; "
                "name another one, or set 'screen.filter' to 'all'"
            )

    def _no_class_looks_unsure(self) -> None:
        guessing = [one.name for one in self.trial.training_sets.sets if one.trains_itself]
        guessing += ["synthesize.labeler"] if self.synthesize.scan_labeler else []
        if guessing and IGNORED in self.prepare.classes:
            raise ValueError(
                f"'prepare.classes' has {IGNORED}, which '{guessing[0]}' gives to pixels that it is not sure of; "
                "write another label value into the files"
            )

    def _region_is_made_of_channels(self, name: str, region: RegionSettings) -> None:
        parts = [values for values in self.prepare.channels.values() if set(values) <= set(region.labels)]
        if set(itertools.chain.from_iterable(parts)) != set(region.labels):
            raise ValueError(
                f"region '{name}' with labels {list(region.labels)} is not a union of 'prepare.channels' "
                f"{ {key: list(values) for key, values in self.prepare.channels.items()} }"
            )

    @property
    def this_arm(self) -> Arm:
        """The arm that a stage was called for.

        Raises:
            ConfigError: none was given.
        """
        if self.arm is None:
            example = self.trial.arms[0]
            raise ConfigError("arm", "is not given, and this stage works on one arm", f"add '--set arm={example}'")
        return self.arm

    @property
    def this_training_set(self) -> TrainingSet:
        """What the segmenter of that arm sees."""
        return self.trial.training_set(self.this_arm)

    @property
    def this_painter(self) -> GeneratorRun:
        """The synthesizer that a stage was called for; need not be named where the trial has one only.

        Raises:
            ConfigError: none was given, and there are several, or none.
        """
        painters = self.trial.painters
        if self.painter is None and len(painters) == 1:
            return painters[0]
        if self.painter is None:
            remedy = (
                f"add '--set painter={painters[0]}'" if painters else "add a set to 'trial.training_sets.synthetic'"
            )
            raise ConfigError("painter", "is not given, and this stage works on one synthesizer", remedy)
        return self.painter
