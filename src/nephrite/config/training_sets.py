"""'trial.training_sets': what a segmenter sees in training, as fields; labels are parsed only here."""

from __future__ import annotations

from functools import cached_property
from typing import Any, Literal, Self, TypeGuard

from pydantic import Field, model_validator

from nephrite.config.settings import Name, SetLabel, Settings

Augmentation = Literal["none", "geometric", "standard"]
Baseline = Literal["copy_paste", "self_training", "negatives", "paste_free"]
MixingStrategy = Literal["append", "mix", "pretrain", "schedule"]
REAL = "real"
AUGMENTATIONS = ("geometric", "standard")
BASELINES = ("copy_paste", "self_training", "negatives", "paste_free")
NULL = "+null"  # ends the label of an A/A arm (null arm): the same set, another initialization and order


class SetFields(Settings):
    """What a label of one's own stands for; 'real+standard+copy_paste' says the same without one."""

    augmentation: Augmentation = Field(
        default="none",
        description="Of batches: the capstone's 'geometric', or nnU-Net's 'standard'.",
    )
    baselines: tuple[Baseline, ...] = Field(
        default=(),
        description="What needs no generator: lesions pasted from other patients ('copy_paste'), pseudo-labels on "
        "scans ('self_training'), lesion-free scans as they are ('negatives'), or with lesions of the labeled patients "
        "pasted onto them ('paste_free').",
    )

    @model_validator(mode="after")
    def _pastes_in_one_way(self) -> Self:
        if {"copy_paste", "paste_free"} <= {*self.baselines}:
            raise ValueError("'copy_paste' and 'paste_free' are not taken together: both say where lesions are pasted")
        return self


class Fakes(Settings):
    """A training set with synthetic slices (fakes): whose they are, and by which mixing strategy they are used."""

    name: SetLabel = Field(
        description="Label of the set, e.g. 'real+synthetic+standard'; one part stands for the fakes."
    )
    synthesizer: Name = Field(description="A name under 'train_gan'.")
    way: MixingStrategy = Field(
        default="mix",
        description="'append' puts all accepted slices beside the real ones; 'mix' makes them a share of each batch; "
        "'pretrain' takes a share of the steps on them alone, then the rest on real slices; 'schedule' lets their "
        "share of a batch fall to zero.",
    )
    share: float = Field(
        default=0.25,
        gt=0,
        le=1,
        description="See 'way'; without effect on 'append'. A list makes a set for each share, whose label ends the "
        "fakes' part with it: '[0.1, 0.25]' of 'real+synthetic+standard' are 'real+synthetic-0.1+standard' and "
        "'real+synthetic-0.25+standard'. DVC's matrix takes no list.",
    )


class TrainingSet(SetFields):
    """A training set, as fields: what the segmenter of an arm sees.

    Attributes:
        name: label.
        augmentation, baselines: see `SetFields`.
        fakes: synthetic slices; None without.
        copy_of: label of the set that an A/A arm repeats from another initialization; None for all others.
    """

    name: str
    fakes: Fakes | None = None
    copy_of: str | None = None

    @property
    def pastes_lesions(self) -> bool:
        """Whether lesions of other training patients are pasted into its batches."""
        return "copy_paste" in self.baselines

    @property
    def pastes_onto_free(self) -> bool:
        """Whether lesions of the labeled patients are pasted onto lesion-free scans."""
        return "paste_free" in self.baselines

    @property
    def sees_lesion_free(self) -> bool:
        """Whether lesion-free scans are a share of its batches, as they are or with lesions pasted onto them."""
        return "negatives" in self.baselines or self.pastes_onto_free

    @property
    def trains_itself(self) -> bool:
        """Whether it learns from scans without labels by pseudo-labels."""
        return "self_training" in self.baselines

    @property
    def is_baseline(self) -> bool:
        """Whether it is a baseline: it gets by other means what synthetic slices are meant to give."""
        return bool(self.baselines) and self.fakes is None and self.copy_of is None

    @property
    def real_part(self) -> tuple[str, frozenset[str]]:
        """The set without its synthetic slices, by which it is paired with its counterpart."""
        return self.augmentation, frozenset(self.baselines)


class TrainingSets(Settings):
    """The training sets of the trial, in two lists, so that a new synthetic set retrains only the arms that see it."""

    real: tuple[SetLabel, ...] = Field(
        description="Labels of sets without synthetic slices, components joined by '+'; 'SET+null' is SET once more, "
        "from another initialization."
    )
    synthetic: tuple[Fakes, ...] = Field(default=(), description="Sets with synthetic slices.")
    named: dict[Name, SetFields] = Field(
        default_factory=dict, description="Labels of one's own for both lists, and the fields that they stand for."
    )

    @model_validator(mode="before")
    @classmethod
    def _lists_of_shares_are_sets(cls, content: object) -> object:
        return expand_shares(content) if isinstance(content, dict) else content

    @model_validator(mode="after")
    def _labels_can_be_read(self) -> Self:
        sets = self.sets  # reads every label
        if len(set(self.all)) != len(self.all):
            raise ValueError("a training set is named twice")
        # two labels of one content would be the same arm twice
        alike: dict[object, str] = {}
        for one in sets:
            content = one.real_part, one.copy_of, one.fakes and one.fakes.model_copy(update={"name": ""})
            twin = alike.setdefault(content, one.name)
            if twin != one.name:
                raise ValueError(
                    f"'{one.name}' is the same training set as '{twin}'; for an A/A arm write '{twin}{NULL}'"
                )
        return self

    @cached_property
    def sets(self) -> tuple[TrainingSet, ...]:
        """All training sets, those without synthetic slices first."""
        return tuple([self._real(label) for label in self.real] + [self._synthetic(fakes) for fakes in self.synthetic])

    @property
    def all(self) -> tuple[str, ...]:
        """Labels of all training sets, those without synthetic slices first."""
        return self.real + tuple(fakes.name for fakes in self.synthetic)

    def of(self, label: str) -> TrainingSet:
        """The training set of a label of the trial."""
        return next(one for one in self.sets if one.name == label)

    @property
    def baselines(self) -> tuple[str, ...]:
        """Labels of baselines: sets that get by other means what synthetic slices are meant to give."""
        return tuple(one.name for one in self.sets if one.is_baseline)

    @property
    def copies(self) -> dict[str, str]:
        """Labels of A/A arms, and the set that each repeats."""
        return {one.name: one.copy_of for one in self.sets if one.copy_of is not None}

    @property
    def pairs(self) -> dict[str, str]:
        """Sets with synthetic slices, each with its counterpart without them, if the trial has both."""
        counterparts = {one.name: self._plain(*one.real_part) for one in self.sets if one.fakes}
        return {name: without for name, without in counterparts.items() if without is not None}

    def teacher(self, label: str) -> str | None:
        """The set of the teacher of a set with 'self_training', if the trial has it: the same real slices alone."""
        student = self.of(label)
        augmentation, baselines = student.real_part
        return self._plain(augmentation, baselines - {"self_training"}) if student.trains_itself else None

    def _plain(self, augmentation: str, baselines: frozenset[str]) -> str | None:
        """The set with these fields, without synthetic slices, that is not an A/A copy."""
        plain = (one for one in self.sets if one.fakes is None and one.copy_of is None)
        return next((one.name for one in plain if one.real_part == (augmentation, baselines)), None)

    def _real(self, label: str) -> TrainingSet:
        origin = label.removesuffix(NULL)
        if origin != label and origin not in self.real:
            raise ValueError(f"'{label}' of the list 'real' is the null of '{origin}', which is not there")
        fields, unknown = self._fields(origin)
        if unknown is not None:
            known = ", ".join((*AUGMENTATIONS, *BASELINES))
            raise ValueError(f"'{label}' of the list 'real' has the component '{unknown}', which is not among {known}")
        return TrainingSet(name=label, copy_of=None if origin == label else origin, **fields.model_dump())

    def _synthetic(self, fakes: Fakes) -> TrainingSet:
        fields, unknown = self._fields(fakes.name)
        if fakes.name not in self.named and unknown in (None, NULL.removeprefix("+")):
            raise ValueError(f"'{fakes.name}' of the list 'synthetic' has no component that stands for the fakes")
        return TrainingSet(name=fakes.name, fakes=fakes, **fields.model_dump())

    def _fields(self, label: str) -> tuple[SetFields, str | None]:
        """The fields of a label, and its remaining component, which names synthetic slices."""
        return (self.named[label], None) if label in self.named else parse_label(label)


def expand_shares(content: dict[str, Any]) -> dict[str, Any]:
    """Sets with a list of shares as one set for each share; anything else stays, right or wrong."""
    given, named = content.get("synthetic"), content.get("named")
    if not isinstance(given, list | tuple) or not any(_is_sweep(one) for one in given):
        return content
    sets, names = list[object](), dict(named) if isinstance(named, dict) else {}
    for one in given:
        if not _is_sweep(one):
            sets.append(one)
            continue
        if not one["share"]:
            raise ValueError(f"'{one.get('name')}' of the list 'synthetic' has an empty list of shares")
        if "way" in one and one["way"] == "append":
            raise ValueError(f"'{one.get('name')}' of the list 'synthetic' has shares, which 'append' does not take")
        label = str(one.get("name"))
        for share in one["share"]:
            part = share_label(label, share, named=label in names)
            sets.append({**one, "name": part, "share": share})
            names |= {part: names[label]} if label in names else {}
    return {**content, "synthetic": sets} | ({"named": names} if names else {})


def _is_sweep(one: object) -> TypeGuard[dict[str, Any]]:
    return isinstance(one, dict) and isinstance(one.get("share"), list | tuple)


def share_label(label: str, share: object, *, named: bool = False) -> str:
    """The label of a set with one of several shares.

    Args:
        label: of them all.
        share: of this one.
        named: whether the label is one of the user's own, which has no parts.
    """
    parts = [label] if named else label.split("+")
    places = [place for place, part in enumerate(parts) if part not in (REAL, *AUGMENTATIONS, *BASELINES)]
    if places:
        parts[places[0]] += f"-{share}"
    return "+".join(parts)


def parse_label(label: str) -> tuple[SetFields, str | None]:
    """Read 'real+standard+copy_paste': the one place that knows how labels are written.

    Returns:
        The fields, and the remaining component, which names synthetic slices.

    Raises:
        ValueError: the label does not have this form.
    """
    first, *others = label.split("+")
    unknown = [part for part in others if part not in AUGMENTATIONS + BASELINES]
    if first != REAL or len({*others}) != len(others) or len(unknown) > 1 or "" in others:
        known = ", ".join(AUGMENTATIONS + BASELINES)
        raise ValueError(f"'{label}' is not 'real', then any of {known} and at most one name of fakes")
    chosen = [part for part in others if part in AUGMENTATIONS]
    if len(chosen) > 1:
        raise ValueError(f"'{label}' has both 'geometric' and 'standard'; each moves slices in its own way")
    content = {"augmentation": "".join(chosen) or "none", "baselines": [part for part in others if part in BASELINES]}
    return SetFields.model_validate(content), unknown[0] if unknown else None
