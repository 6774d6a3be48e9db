"""Scores of one arm on the test patients, and their file."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Bool, Float

from nephrite.config import Arm
from nephrite.errors import StoreError, TrialError
from nephrite.imaging.geometry import voxel_milliliters
from nephrite.metrics.overlap import capstone_iou, foreground_iou, predict_nothing_iou, volume_dice
from nephrite.metrics.surface import Spacing, surface_scores

VERSION = 1


@dataclass(frozen=True)
class RegionScore:
    """One region in one patient: 3-D Dice, surface Dice, HD95 in mm (None where undefined), volumes in milliliters."""

    dice: float
    surface_dice: float
    hd95: float | None
    truth_volume: float
    predicted_volume: float


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

    slices: int
    capstone_iou: float
    predict_nothing: float
    foreground_iou: Mapping[str, float | None]
    foreground_slices: Mapping[str, int]


@dataclass(frozen=True)
class PatientScore:
    """Scores of one arm on one test patient."""

    patient: str
    regions: Mapping[str, RegionScore]
    slices: SliceScores


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
    """

    arm: Arm
    patients: tuple[PatientScore, ...]
    validation_score: float
    steps: int
    seconds: float
    training_patients: int
    history: tuple[Mapping[str, float], ...] = ()

    def to_json(self) -> dict[str, Any]:
        """The scores as plain JSON values; `from_json` is the inverse."""
        content = asdict(self) | {"arm": self.arm.model_dump()}
        return {"version": VERSION} | content | {key: list(content[key]) for key in ("patients", "history")}

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
        if version != VERSION:
            raise StoreError(place, f"scores have version {version}, not {VERSION}", "run 'evaluate' again")
        try:
            fields = {key: value for key, value in content.items() if key != "version"}
            patients = tuple(_patient(item) for item in fields.pop("patients"))
            history = tuple(fields.pop("history"))
            return cls(arm=Arm.model_validate(fields.pop("arm")), patients=patients, history=history, **fields)
        except (AttributeError, KeyError, TypeError, ValueError) as error:
            raise StoreError(place, f"scores are broken ({error!r})", "run 'evaluate' again") from None


def score_regions(
    predicted: Mapping[str, Bool[np.ndarray, "slice height width"]],
    truth: Mapping[str, Bool[np.ndarray, "slice height width"]],
    *,
    spacing: Spacing,
    tolerances: Mapping[str, float],
    vanished: Mapping[str, float] | None = None,
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
            scores[region] = RegionScore(0.0, 0.0, None, lost, int(np.count_nonzero(found)) * milliliters)
            continue
        surface = surface_scores(found, marked, spacing=spacing, tolerance=tolerance)
        scores[region] = RegionScore(
            dice=volume_dice(found, marked),
            surface_dice=surface.dice,
            hd95=surface.hd95,
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


def _patient(content: Mapping[str, Any]) -> PatientScore:
    regions = {name: RegionScore(**score) for name, score in content["regions"].items()}
    return PatientScore(content["patient"], regions, SliceScores(**content["slices"]))
