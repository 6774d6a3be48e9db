"""The content of reports/trial.json as one model: what the report, the terminal and the figures read."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Literal

import numpy as np
from jaxtyping import Float
from pydantic import Field, model_validator

from nephrite.config import Metric, Name, SetLabel, Where
from nephrite.errors import TrialError
from nephrite.report.arm_record import ArmRecord
from nephrite.report.comparison_record import (
    BestSyntheticRecord,
    BlindRecord,
    ComparisonRecord,
    Count,
    EquivalenceRecord,
    Fraction,
    MeasureRecord,
    Names,
    NotNegative,
    PatientId,
    Positive,
    Record,
    Share,
    SomeNames,
    Text,
)

VERSION: Literal[4] = 4


DEVELOPMENT = "Development"  # how the headline of a report begins that was judged on validation patients
UNVERIFIABLE = "Provenance unverifiable"  # how it begins where nobody knows what the arms have seen
Provenance = Literal["recorded", "unverifiable"]


class QuestionRecord(Record):
    """A question beside the headline."""

    measure: MeasureRecord = Field(description="By which the two sets are compared.")
    training_set: str = Field(description="The one that is judged.")
    against: str = Field(description="The one that is subtracted.")


class PlanRecord(Record):
    """The plan: what was declared before any run."""

    region: str = Field(description="Region that decides.")
    metric: Metric = Field(
        description="What of it decides: `dice`, `surface_dice`, the same with `native_` before it (on each scan's own "
        "voxels), `cpm` (mean sensitivity per lesion at 1/8 to 8 false "
        "positives per image), `sensitivity` (at 1), `recall` (share of the reference that is found, of patients who "
        "have it), `brier` and `calibration`, both taken from 1."
    )
    where: Where = Field(
        description="Of whose patients: `home`, the trial's own, or `external`, those of another hospital."
    )
    questions: tuple[QuestionRecord, ...] = Field(description="Further questions, declared before any run.")
    reference: str = Field(description="Training set that all others are compared with.")
    question: tuple[str, str] | None = Field(
        description="Training sets with and without synthetic data, whose difference is the headline: "
        "`trial.question`; without it, the pair that differs by synthetic data only; where there are several, the "
        "first whose set without synthetic data is the reference. Null where the trial has no such pair."
    )
    fraction: Fraction = Field(description="Label fraction of the headline.")
    synthetic: Names = Field(description="Training sets with synthetic slices.")
    rivals: Names = Field(
        description="Training sets without synthetic slices with a baseline (`trial.training_sets`): what those with "
        "synthetic slices are compared with beside the reference."
    )
    copies: Mapping[str, str] = Field(
        description="Training set of each A/A arm to the set that it repeats from another initialization."
    )
    judged_on: Literal["test", "validation", "confirmation"] = Field(
        description="Split of the patients that `patients` names and all scores and differences are of; 'validation' "
        "marks a report for development, which is never promoted; 'confirmation' are patients who were kept for a "
        "fresh look. 'test' in files of versions 2 and 3."
    )
    overlap: Mapping[float, Share] = Field(
        description="Label fraction to the share of its training patients that a cell has in common with another, on "
        "average; at 1 the trial speaks for these training patients only. Empty in files of versions 2 and 3."
    )
    confidence: Annotated[float, Field(gt=0.5, lt=1)] = Field(
        description="Confidence of every interval, after the price of the look."
    )
    resamples: Positive = Field(
        description="Draws by which families are adjusted; in files of versions 2 and 3 those of every interval."
    )
    seed: Count = Field(description="Seed of these draws.")
    digest: str = Field(
        description="Digest of the settings, the source folder's path and worker counts among them: equal settings in "
        "another place give another."
    )


class BestRunRecord(Record):
    """The run to promote, chosen by its validation score and never by test scores."""

    training_set: SetLabel = Field(description="What it was trained on.")
    segmenter: Name = Field(description="Name of the segmenter.")
    fraction: Fraction = Field(description="Share of the training patients whose labels it knows.")
    cell: Count = Field(description="Its cell.")
    validation_score: float = Field(description="Validation score of this one run.")
    dice_by_patient: Annotated[Mapping[PatientId, Share], Field(min_length=1)] = Field(
        description="Test patient to the 3-D Dice of the declared region in this one run."
    )
    truth_volume_by_patient: Annotated[Mapping[PatientId, NotNegative], Field(min_length=1)] = Field(
        description="Test patient to milliliters of the declared region in the reader's label map: by these `promote` "
        "sees whether another run was scored on the same patients."
    )

    @model_validator(mode="after")
    def _scores_and_volumes_of_the_same_patients(self) -> BestRunRecord:
        if self.dice_by_patient.keys() != self.truth_volume_by_patient.keys():
            raise ValueError("dice_by_patient and truth_volume_by_patient name different patients")
        return self


class LookRecord(Record):
    """Which look at its test patients a report is; see docs/trial.md."""

    number: Positive = Field(description="How many looks at these test patients there were with this one.")
    share: Annotated[float, Field(gt=0, le=1)] = Field(description="Share of the planned cells that are looked at.")
    confidence: Annotated[float, Field(gt=0.5, lt=1)] = Field(
        description="Confidence that was declared; `plan.confidence` is what is left of it."
    )
    patients: tuple[str, ...] = Field(description="Marks of the test patients, by which the ledger knows them.")
    external: tuple[str, ...] = Field(description="Marks of the patients of another hospital; empty in older files.")


class TrialRecord(Record):
    """Content of reports/trial.json. docs/trial-json.md explains it."""

    version: Literal[4] = Field(description="Version of this format.")
    headline: Text = Field(description="The verdict as one sentence.")
    plan: PlanRecord = Field(description="What was declared before any run.")
    patients: SomeNames = Field(description="Ids of the test patients.")
    external: Names = Field(
        description="Ids of the patients of the external test set, who are scored beside those of test."
    )
    look: LookRecord | None = Field(
        description="Which look at its test patients this is; null on a phantom, on validation patients, and in files "
        "of versions 2 and 3."
    )
    answer: ComparisonRecord | None = Field(
        description="The comparison that answers the question at the smallest label fraction, all segmenters averaged; "
        "null if there is no question."
    )
    answers: tuple[ComparisonRecord, ...] = Field(description="The same question at each label fraction.")
    questions: tuple[ComparisonRecord, ...] = Field(
        description="The plan's further questions, at the smallest label fraction, all segmenters averaged."
    )
    answer_by_segmenter: tuple[ComparisonRecord, ...] = Field(
        description="The same question for each segmenter, at the smallest label fraction."
    )
    comparisons: tuple[ComparisonRecord, ...] = Field(
        description="Every training set against the reference, for each segmenter and label fraction."
    )
    rivals: tuple[ComparisonRecord, ...] = Field(
        description="Every synthetic training set against every rival, for each segmenter and label fraction."
    )
    best_synthetic: tuple[BestSyntheticRecord, ...] = Field(
        description="For each label fraction the synthetic training set that is best on validation."
    )
    equivalence: Annotated[tuple[EquivalenceRecord, ...], Field(min_length=1)] | None = Field(
        description="For each segmenter what synthetic data is worth in real patients; null where all label fractions "
        "come to one number of patients, or there is no question."
    )
    arms: Annotated[tuple[ArmRecord, ...], Field(min_length=1)] = Field(
        description="Scores of each training set, segmenter and label fraction."
    )
    blind: tuple[BlindRecord, ...] | None = Field(
        description="What masks score that never look at the image; null in files of versions 2 and 3, which do not "
        "hold it."
    )
    best_run: BestRunRecord | None = Field(
        description="The run to promote, chosen on validation only; null where the scores are given and no run is "
        "known: nothing is promoted."
    )
    provenance: Provenance = Field(
        description="Whether it is recorded what every arm was trained on. `unverifiable` where the scores are given "
        "(`nephrite judge`): nobody can see whether an arm knew the test patients. `recorded` in older files."
    )
    unverifiable: Names = Field(
        description="Training sets with synthetic slices of another program of which nobody can tell whose data they "
        "derive from; what learned from them is never promoted. Empty in older files."
    )
    notes: tuple[str, ...] = Field(description="What a reader must know, e.g. how to get more cells.")

    @property
    def headline_patients(self) -> tuple[str, ...]:
        """Ids of the patients that the headline is about."""
        return self.external if self.plan.where == "external" else self.patients

    def dice_by_patient(self, arm: ArmRecord) -> dict[str, float]:
        """3-D Dice of the declared region in one arm, mean over cells, of each patient that the headline is about."""
        if self.plan.where == "home" or arm.external is None:
            return dict(arm.dice_by_patient)
        return dict(zip(self.external, arm.external.dice_by_patient(self.plan.region), strict=True))

    @property
    def cells(self) -> tuple[int, ...]:
        """All cells of all arms, sorted."""
        return tuple(sorted({cell for arm in self.arms for cell in arm.cells}))

    @property
    def several_fractions(self) -> bool:
        """Whether the arms differ in their label fraction."""
        return len({arm.fraction for arm in self.arms}) > 1

    @property
    def blind_is_level(self) -> BlindRecord | None:
        """The best blind baseline that the reference is not clearly above; None where it is above all."""
        level = [row for row in self.blind or () if (row.mean if row.low is None else row.low) <= 0]
        return max(level, key=lambda row: row.score, default=None)

    def differences(self, row: ComparisonRecord, region: str | None = None) -> Float[np.ndarray, "cell patient"]:
        """The table that a comparison rests on: Dice of one training set minus that of the other, segmenters averaged.

        Args:
            row: a comparison of this trial.
            region: any scored region; the declared one if not given.

        Raises:
            TrialError: the record holds no such table, as files of version 2 do; or the comparison is not of Dice.
        """
        if region is None and (row.measure or self.plan.metric != "dice"):
            place = f"{row.training_set} against {row.against}"
            raise TrialError(place, "is compared by another measure than Dice", "read the scores of its arms")
        region = self.plan.region if region is None else region
        differences: Float[np.ndarray, "cell patient"] = np.mean(
            [
                self._table(row.training_set, name, row, region) - self._table(row.against, name, row, region)
                for name in row.segmenters
            ],
            axis=0,
        )
        return differences

    def _table(
        self, training_set: str, segmenter: str, row: ComparisonRecord, region: str
    ) -> Float[np.ndarray, "cell patient"]:
        """Dice of one arm in the cells of a comparison."""
        wanted = (training_set, segmenter, row.fraction)
        arm = next(arm for arm in self.arms if (arm.training_set, arm.segmenter, arm.fraction) == wanted)
        elsewhere = (row.measure or self.plan).where == "external"
        tables = arm.external.dice_by_cell if elsewhere and arm.external else arm.dice_by_cell
        if tables is None or region not in tables:
            place = f"{training_set} ({segmenter}, label fraction {row.fraction})"
            raise TrialError(place, f"has no table of Dice of {region} by cell and patient", "run 'report' again")
        by_cell = dict(zip(arm.cells, tables[region], strict=True))
        return np.array([by_cell[cell] for cell in row.cells])

    @model_validator(mode="after")
    def _every_table_is_of_the_trials_patients(self) -> TrialRecord:
        for arm in self.arms:
            if arm.dice_by_patient.keys() != set(self.patients):
                raise ValueError(f"dice_by_patient of {arm.training_set} names other patients than the trial")
            tables = [(self.patients, arm.dice_by_cell or {})]
            tables += [(self.external, arm.external.dice_by_cell)] if arm.external else []
            for patients, by_region in tables:
                for region, rows in by_region.items():
                    if [len(row) for row in rows] != [len(patients)] * len(arm.cells):
                        finding = "has not one row for each cell and one column for each test patient"
                        raise ValueError(f"dice_by_cell of {arm.training_set}, {region}, {finding}")
        return self
