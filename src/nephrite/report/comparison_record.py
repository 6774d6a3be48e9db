"""Parts of trial.json that judge: a comparison, its null, the best synthetic set, the data equivalence."""

from __future__ import annotations

from typing import Annotated, Literal, TypeVar

from pydantic import AfterValidator, BaseModel, ConfigDict, Field

from nephrite.config import Metric, Where
from nephrite.record_fields import as_folder_name, on_one_line
from nephrite.verdict.comparisons import Family
from nephrite.verdict.statistics import Interval, Word


class Record(BaseModel):
    """A part of trial.json: frozen, unknown keys are refused, nothing is converted, all numbers are finite."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True, allow_inf_nan=False)


Item = TypeVar("Item")


def distinct(items: tuple[Item, ...]) -> tuple[Item, ...]:
    """The items unchanged, if there are no duplicates."""
    if len(set(items)) < len(items):
        raise ValueError(f"{list(items)} holds something twice")
    return items


End = Literal["more", "low", "high"]
Count = Annotated[int, Field(ge=0)]
Positive = Annotated[int, Field(ge=1)]
Share = Annotated[float, Field(ge=0, le=1)]
Percent = Annotated[float, Field(ge=0, le=100)]
Difference = Annotated[float, Field(ge=-1, le=1)]
NotNegative = Annotated[float, Field(ge=0)]
Fraction = Annotated[float, Field(gt=0, le=1)]
LowerEnd = Annotated[float | None, Field(description="Lower end of its interval; null with a single test patient.")]
UpperEnd = Annotated[float | None, Field(description="Upper end of its interval; null with a single test patient.")]
Text = Annotated[str, Field(min_length=1), AfterValidator(on_one_line)]
PatientId = Annotated[str, AfterValidator(as_folder_name)]
_UNIQUE = Field(json_schema_extra={"uniqueItems": True})
_SOME = Field(min_length=1)
Names = Annotated[tuple[str, ...], AfterValidator(distinct), _UNIQUE]
SomeNames = Annotated[tuple[str, ...], _SOME, AfterValidator(distinct), _UNIQUE]
Cells = Annotated[tuple[Count, ...], _SOME, AfterValidator(distinct), _UNIQUE]
Sampled = Annotated[tuple[Literal["cells", "patients"], ...], _SOME, AfterValidator(distinct), _UNIQUE]
Beyond = Annotated[tuple[End, ...], AfterValidator(distinct), _UNIQUE]


class NullRecord(Record):
    """The null: what the arm that a comparison is against does by chance alone."""

    pairs: Positive = Field(
        description="Number of pairs of runs behind `typical` and `largest`: each cell's run and its null; without a "
        "null arm all pairs of cells."
    )
    typical: Share = Field(description="Root mean square of the differences of the measure over these pairs.")
    largest: Share = Field(description="The largest of these differences, without its sign.")
    trial_pairs: Positive = Field(
        description="Number of pairs that `mean`, `low` and `high` take as cells: the same `pairs` with a null arm; "
        "without one, cell 0 minus cell 1, cell 2 minus cell 3 and so on, an odd last cell left out."
    )
    mean: Difference = Field(description="Mean difference: null arm minus arm, or one cell minus the next.")
    low: LowerEnd
    high: UpperEnd
    arm: str | None = Field(description="Training set of the null arm; null where cells were compared.")


class MeasureRecord(Record):
    """What is compared, of which region, and of whose patients."""

    metric: Metric = Field(description="As in the plan.")
    region: str = Field(description="Name of the region, or of a part of one.")
    where: Where = Field(description="As in the plan.")


class ComparisonRecord(Record):
    """A training set against another one, paired by cell and test patient: the first minus the second."""

    training_set: str = Field(description="The one that is judged.")
    against: str = Field(description="The one that is subtracted.")
    segmenters: SomeNames = Field(
        description="One; or all, when their differences were averaged within each cell and patient."
    )
    fraction: Fraction = Field(description="Share of the training patients whose labels both arms know.")
    measure: MeasureRecord | None = Field(
        description="By which both are compared; null = by what the plan says decides."
    )
    cells: Cells = Field(description="The cells that both arms share.")
    patients: Positive = Field(
        description="Number of test patients, or of external ones; for `recall` of those who have the region."
    )
    better: Count = Field(
        description="Number of patients whose mean difference over the cells is above zero; of a measure that belongs "
        "to a set, of those who raise it."
    )
    worse: Count = Field(
        description="Number of patients whose mean difference over the cells is below zero; of a measure that belongs "
        "to a set, of those who lower it."
    )
    mean: Difference = Field(description="Mean difference of the measure.")
    low: LowerEnd
    high: UpperEnd
    sampled: Sampled = Field(
        description="What the interval takes as a sample: cells and patients, or patients only where there is one cell."
    )
    p: Share = Field(
        description="Two-sided p of the mean by the same model as `low` and `high`: below 1 - confidence exactly where "
        "they exclude zero. Wilcoxon's over patients in files of versions 2 and 3."
    )
    family: Family | None = Field(
        description="'headline' is judged alone; 'question' (other label fractions, single segmenters) and "
        "'exploration' (all else) are adjusted for all comparisons of the family; null in files of versions 2 and 3."
    )
    p_adjusted: Share = Field(
        description="`p` adjusted for the family (max-T); the same as `p` for the headline. By Holm's method over one "
        "list in files of versions 2 and 3."
    )
    adjusted_low: float | None = Field(
        description="Lower end of the interval that is adjusted for the family, which excludes zero exactly where "
        "`p_adjusted` is below 1 - confidence; the same as `low` for the headline, and in files of versions 2 and 3."
    )
    adjusted_high: float | None = Field(description="Upper end of that interval.")
    null: NullRecord | None = Field(
        description="What the arm `against` does by chance alone; null with one cell and no null arm."
    )
    verdict: Word = Field(description="The answer in words, by the adjusted interval.")
    reason: Text = Field(description="What the verdict rests on.")

    @property
    def judged(self) -> Interval:
        """Mean and adjusted interval: what the verdict follows, and what tables and figures show."""
        return Interval(self.mean, self.adjusted_low, self.adjusted_high)


class BlindRecord(Record):
    """A baseline that never looks at the image, and the reference's difference to it at the headline's fraction."""

    name: str = Field(
        description="`predict nothing`; `mean training mask`: pixels that training patients share; or `candidates at "
        "random places`, where lesions are counted one by one."
    )
    score: Share = Field(description="Of the patients that are judged.")
    measure: MeasureRecord = Field(description="By which it is scored.")
    threshold: Share | None = Field(
        description="Share of the training slices from which on the mean mask marks a pixel, chosen on them; null "
        "where nothing is marked."
    )
    mean: Difference = Field(description="Mean difference: the reference, all segmenters averaged, minus it.")
    low: LowerEnd
    high: UpperEnd


class BestSyntheticRecord(Record):
    """The synthetic training set with the best validation score at one label fraction; chosen without test scores."""

    fraction: Fraction = Field(description="Share of the training patients whose labels were known.")
    training_set: str = Field(description="The set that was chosen.")
    validation_score: float = Field(
        description="By which it was chosen: mean over cells and segmenters of the validation score."
    )
    comparisons: tuple[ComparisonRecord, ...] = Field(
        description="With the reference and with every rival, all segmenters averaged."
    )


class CurvePointRecord(Record):
    """One arm at one number of real training patients."""

    patients: Positive = Field(description="Number of real training patients.")
    mean: Share = Field(description="What decides, mean over cells and test patients.")
    low: LowerEnd
    high: UpperEnd


class EquivalenceRecord(Record):
    """What synthetic data is worth in real patients, for one segmenter and the question's pair of training sets.

    `more`, `low` and `high` are numbers of patients: so many more real patients than `start` bring `against` to the
    score that `training_set` has at `start`.
    """

    segmenter: str = Field(description="Name of the segmenter.")
    training_set: str = Field(description="The question's set with synthetic data.")
    against: str = Field(description="The question's set without.")
    start: Positive = Field(description="The smallest number of real patients, at which both are compared.")
    largest: Annotated[int, Field(ge=2)] = Field(description="The largest number of real patients of `against`.")
    more: NotNegative | None = Field(
        description="Number of patients; 0 where `training_set` is not above `against`, null beyond `largest`."
    )
    low: NotNegative | None = Field(
        description="Lower end of its interval; null beyond `largest`, or with one test patient."
    )
    high: NotNegative | None = Field(
        description="Upper end of its interval; null beyond `largest`, or with one test patient."
    )
    beyond: Beyond = Field(description="Which of the three lie beyond `largest`, and so are null.")
    worth_something: bool = Field(
        description="Whether the whole interval lies above zero, with cells and test patients enough for a verdict."
    )
    sentence: Text = Field(description="The same in words.")
    cells: Positive = Field(description="Number of the cells that both sets have at every label fraction.")
    test_patients: Positive = Field(description="Number of test patients.")
    reference: Annotated[tuple[CurvePointRecord, ...], _SOME] = Field(
        description="Points of the curve of `against`, by number of patients."
    )
    synthetic: Annotated[tuple[CurvePointRecord, ...], _SOME] = Field(
        description="Points of `training_set`, by number of patients."
    )
    curve: tuple[float, ...] = Field(description="The means of `reference`, made never to fall (isotonic regression).")
    exponent: NotNegative | None = Field(
        description="Of the inverse power law by which the curve runs between them; null with two numbers of patients, "
        "and in files of versions 2 and 3: there it is straight in the logarithm, and `more` is at most that.",
    )
