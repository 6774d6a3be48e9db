"""Patient by patient: the Dice of both arms that the question is about, sorted by their difference."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np

from nephrite.report.comparison_record import ComparisonRecord
from nephrite.report.trial_record import TrialRecord
from nephrite.report.wording import in_percent, patients_text
from nephrite.words import counted, markdown_table

BEST, MEDIAN, WORST = "best", "median", "worst"
Unit = tuple[str, int]  # segmenter and cell


class Pair(NamedTuple):
    """Dice of both arms in every segmenter and cell that they share, each by patient.

    Attributes:
        training_set: the one that is judged.
        against: the one that it is compared with.
        with_it, without: segmenter and cell to patient to Dice of the region that decides.
    """

    training_set: str
    against: str
    with_it: Mapping[Unit, Mapping[str, float]]
    without: Mapping[Unit, Mapping[str, float]]

    def difference(self, unit: Unit, patient: str) -> float:
        """Dice with minus Dice without, in one segmenter and cell."""
        return self.with_it[unit][patient] - self.without[unit][patient]

    def renamed(self, names: Mapping[str, str]) -> Pair:
        """The same scores with other names of the patients."""
        with_it, without = (
            {unit: {names[patient]: dice for patient, dice in row.items()} for unit, row in side.items()}
            for side in (self.with_it, self.without)
        )
        return self._replace(with_it=with_it, without=without)


class PatientRow(NamedTuple):
    """One patient.

    Attributes:
        patient: id.
        with_it, without: mean Dice over segmenters and cells.
        unit: the segmenter and cell whose difference is closest to the mean one: what is shown of the patient.
        mark: 'best', 'median', 'worst' by the difference, or ''.
    """

    patient: str
    with_it: float
    without: float
    unit: Unit
    mark: str = ""

    @property
    def difference(self) -> float:
        """Of the means."""
        return self.with_it - self.without


def shown_pair(record: TrialRecord) -> Pair | None:
    """Both arms of the headline, else of the first comparison; None where no Dice of theirs is recorded."""
    asked = record.answer or next(iter(record.comparisons), None)
    if asked is None:
        return None
    with_it, without = (_dice(record, asked, name) for name in (asked.training_set, asked.against))
    shared = [unit for unit in with_it if unit in without]
    if not shared:
        return None
    both = ({unit: side[unit] for unit in shared} for side in (with_it, without))
    return Pair(asked.training_set, asked.against, *both)


def patient_rows(pair: Pair) -> list[PatientRow]:
    """All patients, from the largest gain to the largest loss; equal ones by their ids."""
    units, rows = [*pair.with_it], []
    for patient in pair.with_it[units[0]]:
        with_it, without = (
            float(np.mean([side[unit][patient] for unit in units])) for side in (pair.with_it, pair.without)
        )
        mean = with_it - without
        distances = {unit: round(abs(pair.difference(unit, patient) - mean), 9) for unit in units}
        rows.append(PatientRow(patient, with_it, without, min(units, key=distances.__getitem__)))
    rows.sort(key=lambda row: (-round(row.difference, 9), row.patient))
    if len(rows) < 3:
        return rows
    marks = {0: BEST, len(rows) // 2: MEDIAN, len(rows) - 1: WORST}
    return [row._replace(mark=marks.get(place, "")) for place, row in enumerate(rows)]


def patients_markdown(
    record: TrialRecord, pair: Pair, rows: Sequence[PatientRow], volumes: Mapping[str, float], pictures: str
) -> str:
    """The section: what is sorted, the table, and whether slices are shown.

    Args:
        record: of the trial.
        pair: both arms.
        rows: from `patient_rows`.
        volumes: patient to milliliters of the region in the reader's label map; empty where they are not known.
        pictures: a sentence on the slices of the page.
    """
    plan = record.plan
    units = f"{counted(len({cell for _, cell in pair.with_it}), 'cell')}"
    decides = "" if plan.metric == "dice" else " Another measure decides; this shows single patients."
    text = (
        f"{counted(len(rows), patients_text(plan))}, Dice of {plan.region}, mean over {units}: "
        f"{pair.training_set} minus {pair.against}{_at(record)}. Above zero, the patient gains.{decides} {pictures}"
    )
    known = bool(volumes)
    head = ["patient", "difference", f"with: {pair.training_set}", f"without: {pair.against}"]
    head += [f"{plan.region} in ml"] * known + ["mark"]
    lines = [
        [row.patient, f"{row.difference:+.3f}", f"{row.with_it:.3f}", f"{row.without:.3f}"]
        + [f"{volumes[row.patient]:.2f}" if row.patient in volumes else "not known"] * known
        + [f"**{row.mark}**" if row.mark else ""]
        for row in rows
    ]
    return f"## Patients\n\n{text}\n\n{markdown_table(head, lines)}"


def _at(record: TrialRecord) -> str:
    """' at 10% of the training patients', where only some are known."""
    fraction = (record.answer or record.comparisons[0]).fraction
    return f" at {in_percent(fraction)} of the training patients" if fraction < 1 else ""


def _dice(record: TrialRecord, asked: ComparisonRecord, name: str) -> dict[Unit, dict[str, float]]:
    """Segmenter and cell to patient to Dice, of one training set; nothing where the record holds no such table."""
    region, found = record.plan.region, dict[Unit, dict[str, float]]()
    for arm in record.arms:
        if (arm.training_set, arm.fraction) != (name, asked.fraction) or arm.segmenter not in asked.segmenters:
            continue
        tables = arm.external.dice_by_cell if record.plan.where == "external" and arm.external else arm.dice_by_cell
        rows = (tables or {}).get(region, ())
        for cell, row in zip(arm.cells, rows, strict=False):
            found[arm.segmenter, cell] = dict(zip(record.headline_patients, row, strict=True))
    return found
