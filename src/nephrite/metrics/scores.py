"""Scores of one arm on the test patients, and their file."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Annotated, Any, Literal

import numpy as np
from jaxtyping import Bool, Float
from pydantic import AfterValidator, Field

from nephrite.config import Arm, Name
from nephrite.errors import StoreError, TrialError
from nephrite.evidence import as_sealed, sealed
from nephrite.files import LONGEST_SHOWN, read_json
from nephrite.imaging.geometry import voxel_milliliters
from nephrite.metrics.calibration import Calibration
from nephrite.metrics.lesions import LesionFindings
from nephrite.metrics.overlap import capstone_iou, foreground_iou, predict_nothing_iou, volume_dice
from nephrite.metrics.surface import Spacing, surface_scores
from nephrite.record_fields import (
    STRICT,
    Count,
    HistoryRow,
    Inputs,
    NotNegative,
    PatientId,
    Percent,
    Sha256,
    Share,
)

VERSION, OLDER = 5, (1, 2, 3, 4)  # 1 holds no digests, 1 and 2 no lesions and calibration, 1 to 3 no recall
AGAIN = "run 'evaluate' again"


@dataclass(frozen=True)
class RegionScore:
    """One region in one patient: 3-D Dice, surface Dice, HD95 in mm (None where undefined), volumes in milliliters.

    Where spacing is nominal there is no surface Dice and no HD95: both are of millimeters.
    """

    __pydantic_config__ = STRICT

    dice: Share
    surface_dice: Share | None
    hd95: NotNegative | None
    truth_volume: NotNegative
    predicted_volume: NotNegative


@dataclass(frozen=True)
class SliceScores:
    """Scores per slice, averaged over the slices of one patient; for comparison with the 2021 project only.

    Attributes:
        slices: number of slices.
        capstone_iou: percent; see `overlap.capstone_iou`.
        predict_nothing: percent; the same score of a model that marks nothing.
        foreground_iou: mean IoU of each channel over the slices where prediction or truth holds it, None if none does.
        foreground_slices: number of these slices for each channel.
    """

    __pydantic_config__ = STRICT

    slices: Count
    capstone_iou: Percent
    predict_nothing: Percent
    foreground_iou: Mapping[Name, Share | None]
    foreground_slices: Mapping[Name, Count]


@dataclass(frozen=True)
class PatientScore:
    """Scores of one arm on one scan of a test patient, or on all of them.

    Attributes:
        patient: id; with several scans of one patient, that of a scan.
        regions: each region's scores.
        slices: for comparison with the 2021 project.
        lesions: of regions whose lesions are counted one by one.
        calibration: of each region's probabilities; empty where the segmenter gives none.
        person: who was scanned, where a table says so: scans of one person are one patient of the trial.
        recall: share of each region's voxels that were found, and of each part of a region; None where the patient has
            none of it.
        native: each region's scores on the scan's own voxels; empty where only the grid of preparation was scored.
    """

    __pydantic_config__ = STRICT

    patient: PatientId
    regions: Annotated[Mapping[Name, RegionScore], Field(min_length=1)]
    slices: SliceScores
    lesions: Mapping[Name, LesionFindings] = field(default_factory=dict)
    calibration: Mapping[Name, Calibration] = field(default_factory=dict)
    person: PatientId | None = None
    recall: Mapping[Name, Share | None] = field(default_factory=dict)
    native: Mapping[Name, RegionScore] = field(default_factory=dict)


def each_patient_once(scores: tuple[PatientScore, ...]) -> tuple[PatientScore, ...]:
    """The scores unchanged, if no patient is scored twice."""
    patients = [score.patient for score in scores]
    if twice := sorted({name for name in patients if patients.count(name) > 1}):
        raise ValueError(f"scores '{twice[0]}' twice")
    return scores


@dataclass(frozen=True)
class ArmScores:
    """One trained segmenter on the test patients.

    Attributes:
        arm: training set, segmenter and cell.
        patients: scores, one per test patient.
        validation_score: what the arm is chosen by; higher is better; never computed on test.
        steps: optimizer steps of the model that was scored.
        seconds: duration of the training.
        training_patients: number of real patients that the segmenter was trained on.
        history: the training's learning curve, one row per epoch (step, losses, validation Dice, learning rate).
        inputs: digests of the records of 'pairs' and 'segmenter'; none in a file that an older version wrote.
        choosing_patients: number of validation patients whose labels chose its weights.
        masked_patients: number of others of whose lesions it knows an ignore mask, a weak label.
        external: scores of the patients of another hospital; none where there are none, or for development.
        digest: of all else; see `nephrite.evidence`.
        version: of the file.
    """

    __pydantic_config__ = STRICT

    arm: Arm
    patients: Annotated[tuple[PatientScore, ...], Field(min_length=1), AfterValidator(each_patient_once)]
    validation_score: Share
    steps: Count
    seconds: NotNegative
    training_patients: Count
    history: tuple[HistoryRow, ...] = ()
    inputs: Inputs = field(default_factory=dict)
    choosing_patients: Count = 0
    masked_patients: Count = 0
    external: Annotated[tuple[PatientScore, ...], AfterValidator(each_patient_once)] = ()
    digest: Sha256 = field(default="0" * 64, compare=False)
    version: Literal[1, 2, 3, 4, 5] = field(default=5, compare=False)

    def to_json(self) -> dict[str, Any]:
        """The scores as plain JSON values; `from_json` is the inverse."""
        return sealed({**asdict(self), "arm": self.arm.model_dump(), "version": VERSION})

    @classmethod
    def from_json(cls, content: Any, place: str | Path) -> ArmScores:
        """Read what `to_json` wrote.

        Args:
            content: the parsed JSON.
            place: the file it came from, for the error.

        Raises:
            StoreError: another version, or a key that is missing, unknown or of the wrong type.
        """
        version = content.get("version") if isinstance(content, dict) else None
        if version not in (VERSION, *OLDER):
            known = f"not {VERSION} (or {' or '.join(map(str, OLDER))})"
            raise StoreError(place, f"scores have version {repr(version)[:LONGEST_SHOWN]}, {known}", AGAIN)
        try:
            return as_sealed(content, cls, Path(place), AGAIN)
        except StoreError as error:
            raise StoreError(place, f"scores are broken ({error.finding})", AGAIN) from None


def read_scores(path: Path) -> ArmScores:
    """Read the scores of one arm.

    Raises:
        StoreError: missing, broken, out of range, or changed.
    """
    return ArmScores.from_json(read_json(path, AGAIN), path)


def score_regions(
    predicted: Mapping[str, Bool[np.ndarray, "slice height width"]],
    truth: Mapping[str, Bool[np.ndarray, "slice height width"]],
    *,
    spacing: Spacing,
    tolerances: Mapping[str, float],
    vanished: Mapping[str, float] | None = None,
    measured: bool = True,
) -> dict[str, RegionScore]:
    """Score each region of one patient.

    A region that the patient has and that vanished on the grid counts as missed, whatever was found: Dice and surface
    Dice are 0, HD95 is not defined.

    Args:
        predicted: region name to the voxels that were found.
        truth: region name to the voxels that the reader marked.
        spacing: millimeters between slices, rows and columns.
        tolerances: region name to the tolerance of the surface Dice in millimeters.
        vanished: region name to its milliliters in the scan, of which nothing is left on the grid.
        measured: whether the spacing is that of the scanner; a nominal one gives no distances.

    Raises:
        VolumeError: the shapes differ.
    """
    milliliters = voxel_milliliters(spacing)
    scores = {}
    # each region by itself: regions may overlap
    for region, tolerance in tolerances.items():
        found, marked = predicted[region], truth[region]
        lost = (vanished or {}).get(region, 0.0)
        if lost and not marked.any():
            surface_dice = 0.0 if measured else None
            scores[region] = RegionScore(0.0, surface_dice, None, lost, int(np.count_nonzero(found)) * milliliters)
            continue
        surface = surface_scores(found, marked, spacing=spacing, tolerance=tolerance) if measured else None
        scores[region] = RegionScore(
            dice=volume_dice(found, marked),
            surface_dice=surface.dice if surface else None,
            hd95=surface.hd95 if surface else None,
            truth_volume=int(np.count_nonzero(marked)) * milliliters,
            predicted_volume=int(np.count_nonzero(found)) * milliliters,
        )
    return scores


def score_slices(
    predicted: Bool[np.ndarray, "slice channel height width"],
    truth: Bool[np.ndarray, "slice channel height width"],
    *,
    channels: Sequence[str],
) -> SliceScores:
    """Score the slices of one patient, for comparison with the 2021 project.

    Args:
        predicted: channels that were found.
        truth: channels that the reader marked.
        channels: their names.

    Raises:
        VolumeError: the shapes differ.
    """
    iou = foreground_iou(predicted, truth)
    counts = np.count_nonzero(~np.isnan(iou), axis=0)
    sums = np.nansum(iou, axis=0)
    means = [float(total / count) if count else None for total, count in zip(sums, counts, strict=True)]
    return SliceScores(
        slices=len(truth),
        capstone_iou=float(capstone_iou(predicted, truth).mean()),
        predict_nothing=float(predict_nothing_iou(truth).mean()),
        foreground_iou=dict(zip(channels, means, strict=True)),
        foreground_slices=dict(zip(channels, map(int, counts), strict=True)),
    )


def mean_over_slices(scores: Sequence[SliceScores]) -> SliceScores:
    """Pool patients slice by slice: every slice weighs the same, as in the 2021 project."""
    # slices count the same, whatever patient they are of
    weights = [score.slices for score in scores]
    channels = scores[0].foreground_iou
    # a channel counts where it is defined
    counts = {channel: sum(score.foreground_slices[channel] for score in scores) for channel in channels}
    sums = {
        channel: sum((score.foreground_iou[channel] or 0.0) * score.foreground_slices[channel] for score in scores)
        for channel in channels
    }
    return SliceScores(
        slices=sum(weights),
        capstone_iou=float(np.average([score.capstone_iou for score in scores], weights=weights)),
        predict_nothing=float(np.average([score.predict_nothing for score in scores], weights=weights)),
        foreground_iou={channel: sums[channel] / counts[channel] if counts[channel] else None for channel in channels},
        foreground_slices=counts,
    )


def dice_by_patient(scores: ArmScores, region: str) -> Float[np.ndarray, " patient"]:
    """Dice of one region, patients in the order of their ids.

    Raises:
        TrialError: the region was not scored.
    """
    by_id = sorted(scores.patients, key=lambda score: score.patient)
    if any(region not in score.regions for score in by_id):
        known = sorted({name for score in by_id for name in score.regions})
        finding = f"region '{region}' was not scored; the regions are {known}"
        raise TrialError(str(scores.arm), finding, "add it to 'evaluate.regions' and run 'evaluate' again")
    return np.array([score.regions[region].dice for score in by_id])
