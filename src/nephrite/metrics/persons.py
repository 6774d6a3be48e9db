"""Scores of scans to scores of patients: one who was scanned twice is no two patients.

An interval takes patients as the sample. So the scores of a patient's scans are averaged before they enter any table;
lesions, candidates and bins of the calibration are pooled, as those of several volumes of one scan are.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace

import numpy as np

from nephrite.metrics.calibration import Calibration
from nephrite.metrics.lesions import pooled
from nephrite.metrics.scores import ArmScores, PatientScore, RegionScore, mean_over_slices


def of_persons(run: ArmScores) -> ArmScores:
    """The run with one score for each person, under the person's name; itself where every scan is of another."""
    if all(score.person is None for score in (*run.patients, *run.external)):
        return run
    return replace(run, patients=scores_of_persons(run.patients), external=scores_of_persons(run.external))


def scores_of_persons(scans: Sequence[PatientScore]) -> tuple[PatientScore, ...]:
    """One score for each person, in the order of their names."""
    groups: dict[str, list[PatientScore]] = {}
    for scan in scans:
        groups.setdefault(scan.person or scan.patient, []).append(scan)
    return tuple(_together(person, groups[person]) for person in sorted(groups))


def _together(person: str, scans: Sequence[PatientScore]) -> PatientScore:
    first = scans[0]
    return PatientScore(
        person,
        regions={name: _region([scan.regions[name] for scan in scans]) for name in first.regions},
        slices=mean_over_slices([scan.slices for scan in scans]),
        lesions={name: pooled([scan.lesions[name] for scan in scans]) for name in first.lesions},
        calibration={name: _calibration([scan.calibration[name] for scan in scans]) for name in first.calibration},
        recall={name: _mean_of_known([scan.recall[name] for scan in scans]) for name in first.recall},
        native={name: _region([scan.native[name] for scan in scans]) for name in first.native},
    )


def _region(scans: Sequence[RegionScore]) -> RegionScore:
    """Means of the scores, HD95 over the scans where it is defined; volumes are added up."""
    return RegionScore(
        dice=_mean(scan.dice for scan in scans),
        surface_dice=_mean_of_known([scan.surface_dice for scan in scans]),
        hd95=_mean_of_known([scan.hd95 for scan in scans]),
        truth_volume=sum(scan.truth_volume for scan in scans),
        predicted_volume=sum(scan.predicted_volume for scan in scans),
    )


def _calibration(scans: Sequence[Calibration]) -> Calibration:
    """Mean of the Brier scores; bins are added up."""
    bins = {
        name: tuple(map(sum, zip(*(getattr(scan, name) for scan in scans), strict=True)))
        for name in ("voxels", "said", "true")
    }
    return Calibration(_mean(scan.brier for scan in scans), **bins)


def _mean_of_known(values: Sequence[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return _mean(known) if known else None


def _mean(values: Iterable[float]) -> float:
    return float(np.mean([*values]))
