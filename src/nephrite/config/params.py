"""The whole of params.yaml: all sections, and the rules between them."""

from __future__ import annotations

import itertools
from collections.abc import Collection, Iterator
from typing import Self

from pydantic import Field, ValidationInfo, field_validator, model_validator

from nephrite.config.acquire import AcquireSettings
from nephrite.config.evaluation import EvaluateSettings, PromoteSettings, RegionSettings, ReportSettings
from nephrite.config.metrics import NATIVE, OF_DISTANCES, OF_LESIONS
from nephrite.config.operation import ComputeSettings, PredictSettings, PublishSettings, TrackingSettings
from nephrite.config.prepare import IGNORED, PrepareSettings
from nephrite.config.screen import ScreenSettings
from nephrite.config.segmenters import TrainSegmenterSettings
from nephrite.config.settings import Name, Settings, refuse
from nephrite.config.synthesize import SynthesizeSettings
from nephrite.config.synthesizers import TrainGanSettings
from nephrite.config.training_sets import TrainingSet
from nephrite.config.trial import Arm, GeneratorRun, TrialSettings
from nephrite.config.volumes import volumes_that_are_none
from nephrite.errors import ConfigError


class Config(Settings):
    """The whole of params.yaml."""

    trial: TrialSettings
    acquire: AcquireSettings
    prepare: PrepareSettings
    train_gan: dict[Name, TrainGanSettings] = Field(
        default_factory=dict,
        description="Synthesizers by names of your own; 'trial.synthesizers' says which are trained.",
    )
    synthesize: SynthesizeSettings = Field(default_factory=SynthesizeSettings)
    screen: ScreenSettings = Field(default_factory=ScreenSettings)
    train_segmenter: TrainSegmenterSettings = Field(default_factory=TrainSegmenterSettings)
    evaluate: EvaluateSettings
    report: ReportSettings = Field(default_factory=ReportSettings)
    promote: PromoteSettings
    publish: PublishSettings = Field(default_factory=PublishSettings)
    predict: PredictSettings = Field(default_factory=PredictSettings)
    tracking: TrackingSettings = Field(default_factory=TrackingSettings)
    compute: ComputeSettings = Field(default_factory=ComputeSettings)
    arm: Arm | None = Field(default=None, description="Set by the caller of a stage that works on one arm.")
    painter: GeneratorRun | None = Field(default=None, description="Set by the caller of a stage of one synthesizer.")

    @field_validator("arm", "painter", mode="before")
    @classmethod
    def _parts_from_text(cls, value: object, info: ValidationInfo) -> object:
        kind = Arm if info.field_name == "arm" else GeneratorRun
        return kind.parse(value) if isinstance(value, str) else value

    @model_validator(mode="after")
    def _sections_agree(self) -> Self:
        refuse(
            [
                *self._names_without_a_section(),
                *self._what_the_data_lack(),
                *self._what_cannot_be_scored(),
                *self._what_external_patients_lack(),
                *self._what_foreign_sets_lack(),
                *self._labels_that_are_needed(),
                *volumes_that_are_none(self.trial, self.prepare, self.evaluate, self.synthesize, self.train_segmenter),
                *self._no_part_of_the_trial(),
            ]
        )
        return self

    def _names_without_a_section(self) -> Iterator[str]:
        """Generators and segmenters that are named somewhere but have no section."""
        # kinds that the trial names
        if missing := sorted(set(self.trial.synthesizers) - set(self.train_gan)):
            yield f"'trial.synthesizers' names {missing}; not under 'train_gan'"
        known = self.train_segmenter.segmenters
        if missing := sorted(set(self.trial.segmenters) - set(known)):
            yield f"'trial.segmenters' names {missing}; not under 'train_segmenter.segmenters'"
        # segmenters that help: the screening's and the labeler's
        labeler = self.synthesize.labeler
        helpers = {"screen": self.screen.segmenter} | ({"synthesize.labeler": labeler.segmenter} if labeler else {})
        for section, name in helpers.items():
            if name not in known:
                yield (
                    f"'{section}.segmenter' is '{name}'; not under 'train_segmenter.segmenters', "
                    f"which has {', '.join(known)}"
                )
        # screening compares features
        name = self.screen.segmenter
        if self.screen.filter != "all" and name in known and not known[name].FEATURES:
            yield (
                f"'screen.segmenter' is '{name}' of kind '{known[name].kind}', which gives no features of a slice; "
                "name another one, or set 'screen.filter' to 'all'"
            )

    def _what_the_data_lack(self) -> Iterator[str]:
        """Classes, channels and regions that are asked for but missing from the data."""
        # channels that screening names
        if unknown := set(self.screen.agreement_by_channel) - set(self.prepare.channels):
            yield f"'screen.agreement_by_channel' names '{min(unknown)}'; not among 'prepare.channels'"
        # the ignore index must be free if anything is guessed
        guessing = [one.name for one in self.trial.training_sets.sets if one.trains_itself]
        guessing += ["synthesize.labeler"] if self.synthesize.scan_labeler else []
        guessing += ["acquire.lesion_free"] if self.acquire.lesion_free else []
        guessing += ["prepare.lesion_free.training_patients"] if self.prepare.lesion_free.training_patients else []
        if guessing and IGNORED in self.prepare.classes:
            yield (
                f"'prepare.classes' has {IGNORED}, which '{guessing[0]}' gives to pixels that are to be ignored; "
                "write another label value into the files"
            )
        # of a training patient outside the fraction, organs are not known
        organs = [name for name in self.prepare.classes.values() if name not in self.prepare.lesions]
        if self.prepare.lesion_free.training_patients and organs:
            yield (
                f"'prepare.lesion_free.training_patients' is true, and '{organs[0]}' of these patients is not known: "
                "every class must be a lesion ('prepare.lesions')"
            )
        # regions and lesions that arms need
        if self.trial.primary not in self.evaluate.regions:
            yield f"'trial.primary' is '{self.trial.primary}'; not among 'evaluate.regions'"
        pasting = [one.name for one in self.trial.training_sets.sets if one.pastes_lesions or one.pastes_onto_free]
        if pasting and not self.prepare.lesions:
            yield f"'{pasting[0]}' pastes lesions, and 'prepare.lesions' names none"
        # regions must be visible in the channels
        for name, region in self.evaluate.regions.items():
            if not self._is_made_of_channels(region):
                yield (
                    f"region '{name}' with labels {list(region.labels)} is not a union of 'prepare.channels' "
                    f"{ {key: list(values) for key, values in self.prepare.channels.items()} }"
                )
        # parts of regions must be in sight of a channel, and have names of their own
        seen = {*itertools.chain.from_iterable(self.prepare.channels.values())}
        for name, labels in self.evaluate.parts.items():
            if name in self.evaluate.regions:
                yield f"'evaluate.parts' names '{name}', as 'evaluate.regions' does"
            if hidden := sorted(set(labels) - seen):
                yield f"'evaluate.parts' has the label values {hidden} for '{name}', which no channel holds"

    def _what_cannot_be_scored(self) -> Iterator[str]:
        """Measures, lesions and windows that the data or the settings do not have."""
        # measures that need lesions one by one, or regions
        asked = [("trial.metric", self.trial.metric, self.trial.primary)]
        asked += [("trial.questions", one.metric, one.region or self.trial.primary) for one in self.trial.questions]
        for key, metric, region in asked:
            if metric in NATIVE and self.evaluate.windows:
                yield f"'{key}' asks for '{metric}', of whole scans, and 'evaluate.windows' scores parts of slices"
            if metric in OF_DISTANCES and self.prepare.spacing == "nominal":
                yield f"'{key}' asks for '{metric}', of millimeters, and 'prepare.spacing' is nominal"
            sections: dict[str, Collection[str]] = {"evaluate.regions": self.evaluate.regions}
            if metric in OF_LESIONS:
                sections = {"evaluate.lesions": self.evaluate.lesions}
            elif metric == "recall":
                sections["evaluate.parts"] = self.evaluate.parts
            told = key == "trial.metric" and metric not in OF_LESIONS  # of 'trial.primary', where regions are checked
            if not told and not any(region in known for known in sections.values()):
                places = " or ".join(f"'{section}'" for section in sections)
                yield f"'{key}' asks for '{metric}' of '{region}'; not among {places}"
        # what is counted one by one are lesions
        lesions = {value for value, name in self.prepare.classes.items() if name in self.prepare.lesions}
        for name in self.evaluate.lesions:
            if name not in self.evaluate.regions:
                yield f"'evaluate.lesions' names '{name}'; not among 'evaluate.regions'"
            elif others := sorted(set(self.evaluate.regions[name].labels) - lesions):
                yield (
                    f"'evaluate.lesions' names '{name}', whose labels {others} are no class of 'prepare.lesions': its "
                    "lesions cannot be counted"
                )
        windows, side = self.evaluate.windows, self.prepare.in_plane.size
        if windows and windows.size > side:
            yield f"'evaluate.windows.size' is {windows.size}; slices of 'prepare.in_plane' have {side} pixels per side"

    def _what_external_patients_lack(self) -> Iterator[str]:
        """Patients, classes and regions of an external test set that are asked for and not there."""
        external, trial = self.acquire.external, self.trial
        asked = [("trial.where", trial.primary)] if trial.where == "external" else []
        elsewhere = [one for one in trial.questions if (one.where or trial.where) == "external"]
        asked += [("trial.questions", one.region or trial.primary) for one in elsewhere]
        # a version on a remote may hold some
        if asked and external.path is None and self.acquire.source != "dvc":
            yield f"'{asked[0][0]}' asks for external patients; name their folder, 'acquire.external.path'"
        # classes that their label values are
        if external.classes is None:
            return
        values = {name: value for value, name in self.prepare.classes.items()}
        names = {name for name in external.classes.values() if name is not None}
        if unknown := sorted(names - values.keys()):
            yield f"'acquire.external.classes' names {unknown}; the classes are {sorted(values)}"
            return
        if not names:
            yield "'acquire.external.classes' names background alone: nothing could be scored"
        labels = {values[name] for name in names}
        for key, region in asked:
            wanted = self._labels_of(region)
            if wanted and not labels & set(wanted):
                yield (
                    f"'{key}' asks for '{region}' of external patients; 'acquire.external.classes' has none of its "
                    f"label values {list(wanted)}"
                )

    def _what_foreign_sets_lack(self) -> Iterator[str]:
        """Sets of synthetic data that are named and not there, and classes that they name and the trial lacks."""
        known, names = self.acquire.synthetic, {*self.prepare.classes.values()}
        for synthesizer, settings in self.train_gan.items():
            wanted = settings.method.brought_set
            if wanted is not None and wanted not in known:
                yield f"'train_gan.{synthesizer}.method' names the set '{wanted}'; not under 'acquire.synthetic'"
        for name, found in known.items():
            told = {kind for kind in (found.classes or {}).values() if kind is not None}
            if unknown := sorted(told - names):
                yield f"'acquire.synthetic.{name}.classes' names {unknown}; the classes are {sorted(names)}"
            elif found.classes is not None and not told:
                yield f"'acquire.synthetic.{name}.classes' names background alone: nothing could be learned"

    def _labels_of(self, region: str) -> tuple[int, ...]:
        """Label values of a region, or of a part of one; none where it is neither."""
        known = self.evaluate.regions.get(region)
        return known.labels if known else self.evaluate.parts.get(region, ())

    def _is_made_of_channels(self, region: RegionSettings) -> bool:
        parts = [values for values in self.prepare.channels.values() if set(values) <= set(region.labels)]
        return set(itertools.chain.from_iterable(parts)) == set(region.labels)

    def _labels_that_are_needed(self) -> Iterator[str]:
        """What needs labels where a set is to be trained without any."""
        sets = self.trial.without_labels
        for fakes in sets:
            known = self.train_gan.get(fakes.synthesizer)
            if known and known.method.lesion_free_share < 1:
                yield (
                    f"'trial.without_labels' has '{fakes.name}', whose synthesizer '{fakes.synthesizer}' needs "
                    "labels; take a 'lesion_painter' with 'lesion_free: 1'"
                )
        if sets and self.screen.filter != "all":
            yield (
                f"'trial.without_labels' has '{sets[0].name}', and screening needs labels; set 'screen.filter' to 'all'"
            )
        if sets and self.train_segmenter.asks_validation:
            yield (
                f"'trial.without_labels' has '{sets[0].name}', and the training asks validation labels; set "
                "'train_segmenter.weights' to 'last', 'schedule' to 'polynomial' and 'early_stopping' to null"
            )

    def _no_part_of_the_trial(self) -> Iterator[str]:
        """The arm or painter that a stage was called for, if the trial does not have it."""
        if self.painter and self.painter not in self.trial.painters:
            yield f"painter '{self.painter}' is not among the trial's synthesizers x label fractions x cells"
        if self.arm and self.arm not in self.trial.arms:
            yield f"arm '{self.arm}' is not among the trial's training sets x segmenters x label fractions x cells"

    @property
    def external_values(self) -> dict[int, int]:
        """Label value in the files of the external test set to ours; 0 is background."""
        values = {name: value for value, name in self.prepare.classes.items()}
        named = self.acquire.external.classes
        if named is None:
            return {value: value for value in values.values()}
        return {theirs: values[name] if name else 0 for theirs, name in named.items()}

    @property
    def learned_size(self) -> int:
        """Pixels per side of what a segmenter learns from: windows, or whole slices."""
        return self.train_segmenter.window or self.prepare.in_plane.size

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
        """The training set of the arm that a stage was called for."""
        return self.trial.training_set(self.this_arm)

    @property
    def this_painter(self) -> GeneratorRun:
        """The painter that a stage was called for: a synthesizer of one label fraction and cell.

        It need not be named if the trial has only one.

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
