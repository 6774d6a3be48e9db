"""'trial': the arms that are compared, the training sets they see, and the synthesizers that paint for them."""

from __future__ import annotations

import itertools
from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from nephrite.config.settings import Name, Settings

LabelFraction = Annotated[float, Field(gt=0, le=1)]
REAL = "real"
AUGMENTATIONS = ("geometric", "standard")
RIVALS = ("copy_paste", "self_training")
NULL = "+null"  # ends the name of a set that is another one in all but initialisation and order of slices


class Arm(Settings):
    """One training of the trial: what the segmenter sees, which segmenter, how many patients, which cell."""

    training_set: str = Field(description="Components joined by '+', 'real' first, e.g. 'real+synthetic+geometric'.")
    segmenter: Name = Field(description="A name under 'train_segmenter.segmenters'.")
    fraction: LabelFraction = Field(description="Share of the training patients that the arm knows the labels of.")
    cell: int = Field(ge=0, description="Number of the cell: subset and initialisation, shared by all arms.")

    @classmethod
    def parse(cls, text: str) -> Self:
        """Read 'real+geometric/light/1.0/0'."""
        parts = text.split("/")
        if len(parts) != 4 or not parts[3].isdigit():
            example = "real+geometric/light/1.0/0"
            raise ValueError(f"an arm is written 'TRAINING_SET/SEGMENTER/FRACTION/CELL', e.g. '{example}'")
        return cls.model_validate(dict(zip(("training_set", "segmenter", "fraction", "cell"), parts, strict=True)))

    @property
    def is_null(self) -> bool:
        """Whether the arm differs from another one by chance alone."""
        return self.training_set.endswith(NULL)

    def has(self, component: str) -> bool:
        """Whether the training set has a component, e.g. 'standard'."""
        return component in self.training_set.split("+")

    def __str__(self) -> str:
        return f"{self.training_set}/{self.segmenter}/{self.fraction}/{self.cell}"


class GeneratorRun(Settings):
    """One training of a synthesizer: which one, on how many patients, for which cell."""

    synthesizer: Name = Field(description="A name under 'train_gan'.")
    fraction: LabelFraction = Field(description="Share of the training patients whose labels it knows.")
    cell: int = Field(ge=0, description="Number of the cell whose arms use its slices.")

    @classmethod
    def parse(cls, text: str) -> Self:
        """Read 'pix2pix/1.0/0'."""
        parts = text.split("/")
        if len(parts) != 3 or not parts[2].isdigit():
            raise ValueError("a painter is written 'SYNTHESIZER/FRACTION/CELL', e.g. 'pix2pix/1.0/0'")
        return cls.model_validate(dict(zip(("synthesizer", "fraction", "cell"), parts, strict=True)))

    def __str__(self) -> str:
        return f"{self.synthesizer}/{self.fraction}/{self.cell}"


class Fakes(Settings):
    """A training set with synthetic slices: whose they are, and how they are used."""

    name: str = Field(description="Name of the set, e.g. 'real+synthetic+standard'; one part stands for the fakes.")
    synthesizer: Name = Field(description="A name under 'train_gan'.")
    way: Literal["append", "mix", "pretrain", "schedule"] = Field(
        description="'append' puts all accepted slices beside the real ones; 'mix' makes them a share of each batch; "
        "'pretrain' takes a share of the steps on them alone, then the rest on real slices; 'schedule' lets their "
        "share of a batch fall to zero."
    )
    share: float = Field(default=0.25, gt=0, le=1, description="See 'way'; without effect on 'append'.")


class TrainingSets(Settings):
    """The training sets of the trial, in two lists, so that a new synthetic set retrains only the arms that see it."""

    real: tuple[str, ...] = Field(
        description="Names of sets without synthetic slices, components joined by '+'; 'SET+null' is SET once more, "
        "from another initialisation."
    )
    synthetic: tuple[Fakes, ...] = Field(description="Sets with synthetic slices.")

    @model_validator(mode="after")
    def _names_are_components(self) -> Self:
        for name in self.real:
            if name.endswith(NULL) and name.removesuffix(NULL) not in self.real:
                raise ValueError(
                    f"'{name}' of the list 'real' is the null of '{name.removesuffix(NULL)}', which is not there"
                )
            if _fakes_component(name.removesuffix(NULL)) is not None:
                raise ValueError(f"'{name}' of the list 'real' has the component '{_fakes_component(name)}', {_RULE}")
        for fakes in self.synthetic:
            if _fakes_component(fakes.name) in (None, NULL.removeprefix("+")):
                raise ValueError(f"'{fakes.name}' of the list 'synthetic' has no component that stands for the fakes")
        if len(set(self.all)) != len(self.all):
            raise ValueError("a training set is named twice")
        return self

    @property
    def all(self) -> tuple[str, ...]:
        """Names of all training sets, those without synthetic slices first."""
        return self.real + tuple(fakes.name for fakes in self.synthetic)

    def fakes(self, name: str) -> Fakes | None:
        """What synthetic slices a training set has; None for a set without."""
        return next((fakes for fakes in self.synthetic if fakes.name == name), None)

    @property
    def rivals(self) -> tuple[str, ...]:
        """Sets without synthetic slices that get by other means what these are meant to give."""
        return tuple(name for name in self.real if {*RIVALS} & {*name.split("+")} and not name.endswith(NULL))

    @property
    def nulls(self) -> set[str]:
        """Sets that differ from another one by chance alone."""
        return {name for name in self.real if name.endswith(NULL)}

    @property
    def pairs(self) -> dict[str, str]:
        """Sets with synthetic slices whose counterpart without them is there too, and that counterpart."""
        counterparts = {fakes.name: self.without_fakes(fakes.name) for fakes in self.synthetic}
        return {name: without for name, without in counterparts.items() if without in self.real}

    def teacher(self, name: str) -> str | None:
        """The set of the teacher of a set with 'self_training', if the trial has it: the same real slices alone."""
        parts = self.without_fakes(name).split("+")
        taught = "+".join(part for part in parts if part != "self_training")
        return taught if "self_training" in parts and taught in self.real else None

    def without_fakes(self, name: str) -> str:
        """The same training set without its synthetic slices."""
        component = _fakes_component(name) if self.fakes(name) else None
        return "+".join(part for part in name.split("+") if part != component)


_RULE = f"which is not among {', '.join((*AUGMENTATIONS, *RIVALS))}"


def _fakes_component(name: str) -> str | None:
    """The component of a training set that stands for its synthetic slices: the one that is no other's name."""
    first, *others = name.split("+")
    unknown = [part for part in others if part not in AUGMENTATIONS + RIVALS]
    if first != REAL or len({*others}) != len(others) or len(unknown) > 1 or "" in others:
        raise ValueError(
            f"'{name}' is not 'real', then any of {', '.join(AUGMENTATIONS + RIVALS)} and at most one name of fakes"
        )
    if set(AUGMENTATIONS) <= set(others):
        raise ValueError(f"'{name}' has both 'geometric' and 'standard', which includes it")
    return unknown[0] if unknown else None


class TrialSettings(Settings):
    """The experiment: arms = training sets x segmenters x label fractions x cells."""

    name: Name = Field(description="What the trial is called in MLflow and in the report.")
    seed: int = Field(ge=0, description="Seed of everything random that is not the cell's own initialisation.")
    primary: Name = Field(description="Region whose per-patient 3-D Dice decides; declared before any run.")
    reference: str = Field(description="Training set that all others are compared with.")
    question: tuple[str, str] | None = Field(
        default=None,
        description="The headline, declared before any run: [set with synthetic slices, set without]; null = the "
        "reference and the first set that differs from it by synthetic slices alone.",
    )
    training_sets: TrainingSets
    synthesizers: tuple[Name, ...] = Field(description="Names under 'train_gan' that the sets with fakes use.")
    segmenters: tuple[Name, ...] = Field(min_length=1, description="Names under 'train_segmenter.segmenters'.")
    label_fractions: tuple[LabelFraction, ...] = Field(
        min_length=1,
        description="Shares of the training patients, nested within a cell; synthesizers see the same share.",
    )
    cells: tuple[Annotated[int, Field(ge=0)], ...] = Field(
        min_length=1, description="Subsets and initialisations; a verdict needs at least 3."
    )

    @model_validator(mode="after")
    def _arms_are_distinct(self) -> Self:
        if self.reference not in self.training_sets.all:
            raise ValueError(f"reference '{self.reference}' is not among the training sets {self.training_sets.all}")
        if {self.reference, *(self.question or ())} & self.training_sets.nulls:
            raise ValueError(
                "'reference' or 'question' names a null, which is there to be compared with its own set alone"
            )
        self._question_is_about_fakes()
        used = {fakes.synthesizer for fakes in self.training_sets.synthetic}
        if used != set(self.synthesizers):
            raise ValueError(f"'synthesizers' is {sorted(self.synthesizers)}; the training sets use {sorted(used)}")
        for name in ("cells", "segmenters", "label_fractions", "synthesizers"):
            if len(set(getattr(self, name))) != len(getattr(self, name)):
                raise ValueError(f"'{name}' names one twice")
        return self

    def _question_is_about_fakes(self) -> None:
        with_fakes, without = self.question or ("", "")
        if self.question and not (self.training_sets.fakes(with_fakes) and without in self.training_sets.real):
            raise ValueError(
                f"question {list(self.question)} is not a set of the list 'synthetic', then one of the list 'real'"
            )

    @property
    def arms(self) -> list[Arm]:
        """Every arm of the trial."""
        product = itertools.product(self.training_sets.all, self.segmenters, self.label_fractions, self.cells)
        return [Arm(training_set=name, segmenter=net, fraction=share, cell=cell) for name, net, share, cell in product]

    @property
    def painters(self) -> list[GeneratorRun]:
        """Every synthesizer that some arm needs, each trained for its fraction and cell."""
        product = itertools.product(self.synthesizers, self.label_fractions, self.cells)
        return [GeneratorRun(synthesizer=name, fraction=fraction, cell=cell) for name, fraction, cell in product]

    def teacher(self, arm: Arm) -> Arm | None:
        """The arm of the same cell that trains what a self-training arm would train as its teacher; None without."""
        training_set = self.training_sets.teacher(arm.training_set)
        return arm.model_copy(update={"training_set": training_set}) if training_set else None

    def painter(self, arm: Arm) -> GeneratorRun | None:
        """Whose slices an arm uses; None for an arm without synthetic slices."""
        fakes = self.training_sets.fakes(arm.training_set)
        return GeneratorRun(synthesizer=fakes.synthesizer, fraction=arm.fraction, cell=arm.cell) if fakes else None
