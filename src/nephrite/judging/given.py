"""Scores of arms that were trained elsewhere, and what must hold before they are judged."""

from __future__ import annotations

import logging
import math
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, NamedTuple

import numpy as np
from jaxtyping import Float
from pydantic import Field

from nephrite.config import Metric, Name, SetLabel
from nephrite.errors import TrialError
from nephrite.files import digest
from nephrite.record_fields import STRICT, Line, PatientId
from nephrite.words import counted

logger = logging.getLogger(__name__)
DECIDING: tuple[Metric, ...] = ("dice", "surface_dice", "recall")  # means over patients, more is better
KNOWN = (*DECIDING, "hd95")
OPEN = frozenset({"recall", "hd95"})  # not defined of a patient without the region, or where nothing was found
FEWEST = 2  # patients: one has no spread
COMPLETE = "give the same patients in every arm and replicate"


@dataclass(frozen=True)
class Score:
    """One line of scores.

    Attributes:
        patient: id.
        arm: what was trained: the training set, as a rule.
        replicate: which training of the arm, or which cross-validation.
        region: what was segmented.
        metric: 'dice', 'surface_dice', 'recall' (shares) or 'hd95' (mm); others are left aside.
        value: None where it is not defined.
        fold: of a cross-validation, where it is told: the patient was predicted by this fold's model.
    """

    __pydantic_config__ = STRICT

    patient: PatientId
    arm: SetLabel
    replicate: Annotated[Line, Field(min_length=1)]
    region: Name
    metric: Annotated[Line, Field(min_length=1)]
    value: Annotated[float | None, Field(allow_inf_nan=False)]
    fold: Line | None = None


class Column(NamedTuple):
    """What was measured in one run."""

    arm: str
    replicate: str
    region: str
    metric: str

    def __str__(self) -> str:
        return f"{self.metric} of {self.region} in arm '{self.arm}', replicate '{self.replicate}'"


@dataclass(frozen=True)
class GivenScores:
    """Scores of the same patients in every run.

    Attributes:
        place: where they come from, for errors.
        patients: ids, sorted.
        runs: arm to its replicates, in the order in which they were given.
        values: a number for each patient; NaN where it is not defined.
        folds: the largest number of folds of a run; 0 where none are told.
        references: label maps of the patients, where they were scored here.
        scans: number of scans, where several of one patient were brought together.
    """

    place: str
    patients: tuple[str, ...]
    runs: Mapping[str, tuple[str, ...]]
    values: Mapping[Column, Float[np.ndarray, " patient"]]
    folds: int = 0
    references: tuple[Path, ...] = ()
    scans: int = 0

    @property
    def replicates(self) -> tuple[str, ...]:
        """Names of all replicates, in their natural order: 'seed2' before 'seed10'."""
        names = {name for replicates in self.runs.values() for name in replicates}
        return tuple(sorted(names, key=_natural))

    @property
    def digest(self) -> str:
        """Of all scores, in whatever order they were given."""
        rows = [[*column, [None if math.isnan(v) else v for v in found]] for column, found in self._sorted()]
        return digest([self.patients, rows])

    def _sorted(self) -> list[tuple[Column, list[float]]]:
        return [(column, self.values[column].tolist()) for column in sorted(self.values)]

    def regions(self, metric: str) -> list[str]:
        """Regions that a metric is given of."""
        return list(dict.fromkeys(column.region for column in self.values if column.metric == metric))

    def absent(self, region: str) -> int | None:
        """Number of patients who have nothing of a region, told by its recall; None where recall is not given."""
        found = next((v for c, v in self.values.items() if (c.region, c.metric) == (region, "recall")), None)
        return None if found is None else int(np.isnan(found).sum())


def gather(scores: Iterable[Score], place: str) -> GivenScores:
    """Bring single scores together, and check that every run has all patients.

    Metrics that are not known are left aside with a warning.

    Raises:
        TrialError: no score, one arm, fewer than two patients, a score that is given twice or out of range, or patients
            whom a run lacks.
    """
    # by run, region and metric
    columns: dict[Column, dict[str, float]] = {}
    folds: dict[tuple[str, str], set[str]] = {}
    aside = Counter[str]()
    for score in scores:
        if score.metric not in KNOWN:
            aside[score.metric] += 1
            continue
        column = Column(score.arm, score.replicate, score.region, score.metric)
        _put(columns.setdefault(column, {}), column, score, place)
        if score.fold:
            folds.setdefault((score.arm, score.replicate), set()).add(score.fold)
    if aside:
        shown = ", ".join(f"'{name}'" for name in sorted(aside))
        logger.warning("%s: left aside %s of %s; known are %s", place, counted(aside.total(), "score"), shown, KNOWN)
    # complete tables
    _check(columns, place)
    patients = tuple(sorted(next(iter(columns.values()))))
    runs: dict[str, tuple[str, ...]] = {}
    for column in columns:
        if column.replicate not in runs.get(column.arm, ()):
            runs[column.arm] = (*runs.get(column.arm, ()), column.replicate)
    values = {column: np.array([found[name] for name in patients]) for column, found in columns.items()}
    given = GivenScores(place, patients, runs, values, max((len(names) for names in folds.values()), default=0))
    _check_undefined(given)
    return given


def _put(found: dict[str, float], column: Column, score: Score, place: str) -> None:
    """Add one score to its column, once and within its range."""
    if score.patient in found:
        raise TrialError(place, f"gives '{score.patient}' twice: {column}", "keep one of them")
    value = math.nan if score.value is None else score.value
    if math.isnan(value) and score.metric not in OPEN:
        remedy = "write 1 where reference and prediction are both empty, 0 where one of them is"
        raise TrialError(place, f"has no value of '{score.patient}': {column}", remedy)
    most = math.inf if score.metric == "hd95" else 1.0
    if not math.isnan(value) and not 0 <= value <= most:
        rule = "0 or more, in mm" if score.metric == "hd95" else "from 0 to 1"
        remedy = "divide by 100 if it is in percent" if 1 < value <= 100 and most == 1 else "mend it"
        raise TrialError(place, f"gives '{score.patient}' {value:g}, and {score.metric} is {rule}: {column}", remedy)
    found[score.patient] = value


def _check(columns: Mapping[Column, Mapping[str, float]], place: str) -> None:
    """Refuse what is no table: no arm or one, too few patients, patients whom a run lacks, a measure that it lacks."""
    arms = list(dict.fromkeys(column.arm for column in columns))
    if len(arms) < 2:
        finding = f"holds one arm, '{arms[0]}'" if arms else "holds no score of a known metric"
        raise TrialError(place, finding, f"give two arms or more; metrics are {', '.join(KNOWN)}")
    everyone = {patient for found in columns.values() for patient in found}
    for column, found in columns.items():
        if lacking := sorted(everyone - found.keys()):
            finding = f"lacks {len(lacking)} of {counted(len(everyone), 'patient')}, the first '{lacking[0]}': {column}"
            raise TrialError(place, finding, COMPLETE)
    if len(everyone) < FEWEST:
        raise TrialError(place, f"holds {counted(len(everyone), 'patient')}", f"give {FEWEST} or more")
    measured = {(column.region, column.metric) for column in columns}
    for arm, replicate in dict.fromkeys((column.arm, column.replicate) for column in columns):
        for region, metric in sorted(measured):
            if (lacks := Column(arm, replicate, region, metric)) not in columns:
                raise TrialError(place, f"lacks {lacks}, which other runs have", "give it in every arm and replicate")


def _check_undefined(given: GivenScores) -> None:
    """Recall is undefined where the reference lacks the region: for the same patients in every run."""
    first: dict[str, tuple[Column, Sequence[bool]]] = {}
    for column, values in given.values.items():
        if column.metric != "recall":
            continue
        undefined = np.isnan(values).tolist()
        other, known = first.setdefault(column.region, (column, undefined))
        if known != undefined:
            odd = next(name for name, a, b in zip(given.patients, known, undefined, strict=True) if a != b)
            finding = f"leaves '{odd}' undefined in one of two runs: {column}; {other}"
            raise TrialError(given.place, finding, "leave recall empty where the reference has nothing of the region")


def _natural(name: str) -> tuple[int, str]:
    """Sorts 'seed2' before 'seed10'."""
    return len(name), name
