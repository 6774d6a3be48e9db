"""'trial': the arms that are compared, the training sets they see, and the synthesizers that paint for them."""

from __future__ import annotations

import itertools
from typing import Annotated, Any, Literal, Self

from pydantic import Field, field_validator, model_validator

from nephrite.config.metrics import Metric, Where
from nephrite.config.settings import Count, Fraction, Name, Positive, Seed, SetLabel, Settings, refuse
from nephrite.config.training_sets import Fakes, TrainingSet, TrainingSets

LabelFraction = Annotated[float, Field(gt=0, le=1)]
NONE = 0.0  # label fraction of arms that know no label


class Arm(Settings):
    """One training of the trial: training set, segmenter, label fraction and cell (a replicate: patients and seed)."""

    training_set: SetLabel = Field(
        description="Components joined by '+', 'real' first, e.g. 'real+synthetic+geometric'."
    )
    segmenter: Name = Field(description="A name under 'train_segmenter.segmenters'.")
    fraction: Fraction = Field(description="Share of the training patients that the arm knows the labels of.")
    cell: Count = Field(description="Number of the cell: subset and initialization, shared by all arms.")

    @classmethod
    def parse(cls, text: str) -> Self:
        """Read 'real+geometric/light/1.0/0'."""
        parts = text.split("/")
        if len(parts) != 4 or not parts[3].isdigit():
            example = "real+geometric/light/1.0/0"
            raise ValueError(f"an arm is written 'TRAINING_SET/SEGMENTER/FRACTION/CELL', e.g. '{example}'")
        return cls.model_validate(dict(zip(("training_set", "segmenter", "fraction", "cell"), parts, strict=True)))

    def __str__(self) -> str:
        return f"{self.training_set}/{self.segmenter}/{self.fraction}/{self.cell}"


class GeneratorRun(Settings):
    """A painter: one training of a synthesizer, at one label fraction and for one cell."""

    synthesizer: Name = Field(description="A name under 'train_gan'.")
    fraction: Fraction = Field(description="Share of the training patients whose labels it knows.")
    cell: Count = Field(description="Number of the cell whose arms use its slices.")

    @classmethod
    def parse(cls, text: str) -> Self:
        """Read 'pix2pix/1.0/0'."""
        parts = text.split("/")
        if len(parts) != 3 or not parts[2].isdigit():
            raise ValueError("a painter is written 'SYNTHESIZER/FRACTION/CELL', e.g. 'pix2pix/1.0/0'")
        return cls.model_validate(dict(zip(("synthesizer", "fraction", "cell"), parts, strict=True)))

    def __str__(self) -> str:
        return f"{self.synthesizer}/{self.fraction}/{self.cell}"


def _smallest_fraction(validated: dict[str, Any]) -> float:
    """The smallest label fraction, which all cells have."""
    smallest: float = min(validated.get("label_fractions", (1.0,)))
    return smallest


class QuestionSettings(Settings):
    """A question beside the headline, declared before any run; it is adjusted for how many there are."""

    metric: Metric = Field(default="dice", description="What of the region is compared; see 'trial.metric'.")
    region: Name | None = Field(
        default=None, description="A name under 'evaluate.regions', or 'evaluate.parts'; null = 'trial.primary'."
    )
    where: Where | None = Field(default=None, description="Of whose patients; null = those of the headline.")
    training_set: SetLabel | None = Field(
        default=None, description="The set that is judged; null = that of the headline."
    )
    against: SetLabel | None = Field(
        default=None, description="The set that it is compared with; null = that of the headline."
    )


class TrialSettings(Settings):
    """The experiment: arms = training sets x segmenters x label fractions x cells."""

    name: Name = Field(description="What the trial is called in MLflow and in the report.")
    seed: Seed = Field(
        default=7, description="Seed of everything random that is not the cell's own initialization; any will do."
    )
    primary: Name = Field(description="Region whose per-patient 3-D Dice decides; declared before any run.")
    metric: Metric = Field(
        default="dice",
        description="What of the primary region decides: 'dice' and 'surface_dice' per patient, on the grid that the "
        "segmenter learns on; 'native_dice' and 'native_surface_dice', on each scan's own voxels; 'recall', the "
        "share of its reference that is found, of the patients who have it; 'cpm', the mean sensitivity per "
        "lesion at 1/8 to 8 false positives per image, and 'sensitivity' at 1 ('evaluate.lesions'); "
        "'brier' and 'calibration', both taken from 1.",
    )
    where: Where = Field(
        default="home",
        description="Whose patients the headline is about: 'home', the trial's own test patients, or 'external', those "
        "of 'acquire.external'. The same question at home then stands beside it.",
    )
    reference: SetLabel = Field(description="Training set that all others are compared with.")
    question: tuple[SetLabel, SetLabel] | None = Field(
        default=None,
        description="The headline, declared before any run: [set with synthetic slices, set without]; null = the "
        "reference and the first set that differs from it by synthetic slices alone.",
    )
    judged_on: Literal["test", "validation", "confirmation"] = Field(
        default="test",
        description="Whose scores are judged. 'test' answers the question, and each look at a test set costs part of "
        "its confidence; 'validation' is for choosing a recipe: the same report, marked 'development', which counts no "
        "look and is never promoted; 'confirmation' answers it once more on the patients of "
        "'prepare.split.confirmation', whom nobody has looked at.",
    )
    questions: tuple[QuestionSettings, ...] = Field(
        default=(), description="Further questions, by other measures or of other sets; the headline stays one."
    )
    training_sets: TrainingSets
    synthesizers: tuple[Name, ...] = Field(description="Names under 'train_gan' that the sets with fakes use.")
    segmenters: tuple[Name, ...] = Field(min_length=1, description="Names under 'train_segmenter.segmenters'.")
    label_fractions: tuple[LabelFraction, ...] = Field(
        min_length=1,
        description="Shares of the training patients, nested within a cell; synthesizers see the same share.",
    )
    disjoint_fraction: LabelFraction = Field(
        default_factory=_smallest_fraction,
        description="Share of the training patients up to which cells get patients of their own, as far as there are "
        "enough; larger fractions grow from these. The smallest of 'label_fractions' unless told; name it to keep the "
        "patients of finished cells when a smaller fraction is added.",
    )
    without_labels: tuple[Fakes, ...] = Field(
        default=(),
        description="Sets with synthetic slices that are also trained with no label at all, at label fraction 0, on "
        "lesion-free scans with painted lesions alone: their whole entries of 'training_sets.synthetic', since DVC's "
        "matrix looks nothing up. The report names their scores beside the reference's.",
    )
    cells: tuple[Count, ...] = Field(
        min_length=1, description="Subsets and initializations; a verdict needs at least 3."
    )

    planned_cells: Positive | None = Field(
        default=None,
        description="How many cells the trial will have, declared before the first look, where it is looked at before "
        "all are there: each look is paid by its share of the cells, and the last one stays nearly whole. null = those "
        "of 'cells'; more cells are then a further look.",
    )

    @field_validator("without_labels", mode="before")
    @classmethod
    def _are_whole_entries(cls, value: object) -> object:
        names = [name for name in value if isinstance(name, str)] if isinstance(value, (list, tuple)) else []
        if names:
            raise ValueError(f"names '{names[0]}'; write its whole entry of 'training_sets.synthetic', or a YAML alias")
        return value

    @model_validator(mode="after")
    def _arms_are_distinct(self) -> Self:
        # reference and question
        found: list[str] = []
        if self.reference not in self.training_sets.all:
            found.append(f"reference '{self.reference}' is not among the training sets {self.training_sets.all}")
        if {self.reference, *(self.question or ())} & {*self.training_sets.copies}:
            found.append("'reference' or 'question' names a null, which is there to be compared with its own set alone")
        elif self.question and not self._question_is_about_fakes(*self.question):
            found.append(
                f"question {list(self.question)} is not a set of the list 'synthetic', then one of the list 'real'"
            )
        found += self._wrong_questions()
        # painters: all that are used, no others
        used = {fakes.synthesizer for fakes in self.training_sets.synthetic}
        if used != set(self.synthesizers):
            found.append(f"'synthesizers' is {sorted(self.synthesizers)}; the training sets use {sorted(used)}")
        # without labels there is nothing but what is painted
        for fakes in self.without_labels:
            if fakes not in self.training_sets.synthetic:
                found.append(f"'without_labels' has '{fakes.name}', which is no entry of the list 'synthetic'")
            elif self.training_sets.of(fakes.name).baselines:
                found.append(f"'without_labels' has '{fakes.name}', whose baseline needs labels")
        # cells that are still to come
        if self.planned_cells is not None and self.planned_cells < len(self.cells):
            found.append(f"'planned_cells' is {self.planned_cells}, and there are {len(self.cells)} cells already")
        # lists without repeats
        for name in ("cells", "segmenters", "label_fractions", "synthesizers", "without_labels"):
            if len(set(getattr(self, name))) != len(getattr(self, name)):
                found.append(f"'{name}' names one twice")
        refuse(found)
        return self

    def _wrong_questions(self) -> list[str]:
        """Further questions of sets that are not there, or of a set and itself."""
        found: list[str] = []
        for question in self.questions:
            for name in (question.training_set, question.against):
                if name is not None and name not in self.training_sets.all:
                    found.append(f"'questions' names '{name}', which is not among {self.training_sets.all}")
            if question.training_set and question.training_set == question.against:
                found.append(f"'questions' compares '{question.against}' with itself")
        return found

    def _question_is_about_fakes(self, with_fakes: str, without: str) -> bool:
        sets = self.training_sets
        return with_fakes in {fakes.name for fakes in sets.synthetic} and without in sets.real

    @property
    def asked_where(self) -> Where:
        """Whose patients the headline is about in this report: one for development looks at no external ones."""
        return self.where if self.judged_on == "test" else "home"

    @property
    def arms(self) -> list[Arm]:
        """Every arm of the trial: a product, and the arms without any label."""
        product = itertools.product(self.training_sets.all, self.segmenters, self.label_fractions, self.cells)
        unlabeled_sets = [fakes.name for fakes in self.without_labels]
        unlabeled = itertools.product(unlabeled_sets, self.segmenters, (NONE,), self.cells)
        return [
            Arm(training_set=name, segmenter=net, fraction=share, cell=cell)
            for name, net, share, cell in (*product, *unlabeled)
        ]

    def first_arm(self, segmenter: str) -> Arm:
        """The reference of a segmenter in the first cell, at the first label fraction."""
        fraction, cell = self.label_fractions[0], self.cells[0]
        return Arm(training_set=self.reference, segmenter=segmenter, fraction=fraction, cell=cell)

    @property
    def painters(self) -> list[GeneratorRun]:
        """Every synthesizer that some arm needs, each trained for its fraction and cell."""
        product = itertools.product(self.synthesizers, self.label_fractions, self.cells)
        used = {fakes.synthesizer: None for fakes in self.without_labels}
        unlabeled = itertools.product(used, (NONE,), self.cells)
        return [
            GeneratorRun(synthesizer=name, fraction=fraction, cell=cell)
            for name, fraction, cell in (*product, *unlabeled)
        ]

    def teacher(self, arm: Arm) -> Arm | None:
        """The arm of the same cell whose segmenter serves as teacher of a self-training arm; None if there is none."""
        training_set = self.training_sets.teacher(arm.training_set)
        return arm.model_copy(update={"training_set": training_set}) if training_set else None

    def training_set(self, arm: Arm) -> TrainingSet:
        """The training set of an arm, as fields."""
        return self.training_sets.of(arm.training_set)

    def painter(self, arm: Arm) -> GeneratorRun | None:
        """The painter whose slices an arm uses; None for an arm without synthetic slices."""
        fakes = self.training_set(arm).fakes
        return GeneratorRun(synthesizer=fakes.synthesizer, fraction=arm.fraction, cell=arm.cell) if fakes else None
