"""Parts of trial.json that hold scores: of an arm, of each of its regions, and on the external test set."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated

import numpy as np
from pydantic import Field

from nephrite.report.comparison_record import Cells, Count, Fraction, NotNegative, Percent, Positive, Record, Share


class RegionRecord(Record):
    """The scores of one arm on one region, means over test patients and cells."""

    dice: Share = Field(description="Mean 3-D Dice.")
    surface_dice: Share | None = Field(
        description="Mean surface Dice; null where spacing is nominal, or given scores do not hold it."
    )
    hd95: NotNegative | None = Field(
        description="Mean HD95 in mm over the pairs of patient and cell in which it is defined; null if there is none."
    )
    hd95_defined: Count = Field(description="Number of pairs of patient and cell in which HD95 is defined.")
    scored: Positive = Field(description="Number of pairs of patient and cell.")


class ExternalRecord(Record):
    """The scores of one arm on the external test set."""

    regions: Annotated[Mapping[str, RegionRecord], Field(min_length=1)] = Field(
        description="Region to its mean scores, of the regions that the set's label maps can form."
    )
    dice_by_cell: Mapping[str, tuple[tuple[Share, ...], ...]] = Field(
        description="Region to the 3-D Dice of each cell (rows) and patient (columns, in the order of the trial's "
        "`external`)."
    )
    native: Mapping[str, RegionRecord] | None = Field(
        description="Region to its mean scores on each scan's own voxels; null where only the grid was scored."
    )

    def dice_by_patient(self, region: str) -> tuple[float, ...]:
        """3-D Dice of a region, mean over the cells, in the order of the trial's `external`."""
        return tuple(np.mean(self.dice_by_cell[region], axis=0).tolist())


class ArmRecord(Record):
    """One training set, segmenter and label fraction over its cells."""

    training_set: str = Field(description="What it was trained on.")
    segmenter: str = Field(description="Name of the segmenter.")
    fraction: Fraction = Field(description="Share of the training patients whose labels it knows.")
    cells: Cells = Field(description="Its cells; the lists below and the rows of `dice_by_cell` have their order.")
    training_patients: tuple[Count, ...] = Field(
        description="Number of real training patients, for each cell; empty where the scores are given."
    )
    steps: tuple[Count, ...] = Field(
        description="Optimizer steps after which the weights that were kept were reached, for each cell; all arms are "
        "trained equally long. Empty where the scores are given."
    )
    seconds: tuple[NotNegative, ...] = Field(
        description="Duration of the training in seconds, for each cell; empty where the scores are given."
    )
    validation_score: float | None = Field(
        description="Mean over the cells of what runs are chosen by; never of test. Null where the scores are given."
    )
    regions: Annotated[Mapping[str, RegionRecord], Field(min_length=1)] = Field(
        description="Region to its mean scores."
    )
    dice_by_patient: Annotated[Mapping[str, Share], Field(min_length=1)] = Field(
        description="Test patient to the 3-D Dice of the declared region, mean over the cells."
    )
    dice_by_cell: Mapping[str, tuple[tuple[Share, ...], ...]] | None = Field(
        description="Region to the 3-D Dice of each cell (rows, in the order of `cells`) and test patient (columns, in "
        "the order of the trial's `patients`), the declared region among them; null in files of version 2, which do "
        "not hold it."
    )
    external: ExternalRecord | None = Field(
        description="Its scores on the external test set; null where there is none."
    )
    native: Mapping[str, RegionRecord] | None = Field(
        description="Region to its mean scores on each scan's own voxels, against the reader's own label map; null "
        "where only the grid of preparation was scored."
    )
    capstone_iou: Percent | None = Field(
        description="The 2021 student project's score, in percent; null where the scores are given."
    )
    predict_nothing: Percent | None = Field(
        description="What predicting nothing scores on the same slices, in percent; null with `capstone_iou`."
    )
    foreground_iou: Mapping[str, Share | None] = Field(
        description="Class to its mean IoU over the slices where prediction or truth holds it; null if none does."
    )

    @property
    def segmenters(self) -> tuple[str, ...]:
        """Its segmenter alone, as a comparison names several."""
        return (self.segmenter,)
