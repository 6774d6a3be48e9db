"""The scores of an arm, as trial.json has them: means over its cells, on the trial's own patients and on others."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from nephrite.metrics.scores import ArmScores, PatientScore, RegionScore, dice_by_patient, mean_over_slices
from nephrite.report.arm_record import ArmRecord, ExternalRecord, RegionRecord
from nephrite.verdict.trial import Trial


def arm_record(runs: Sequence[ArmScores], trial: Trial) -> ArmRecord:
    """One training set and segmenter, averaged over its cells."""
    # means over cells and patients
    slices = mean_over_slices([score.slices for run in runs for score in run.patients])
    regions = tuple(runs[0].patients[0].regions)
    dice = np.mean([dice_by_patient(run, trial.plan.region) for run in runs], axis=0)
    return ArmRecord(
        training_set=runs[0].arm.training_set,
        segmenter=runs[0].arm.segmenter,
        fraction=runs[0].arm.fraction,
        cells=tuple(run.arm.cell for run in runs),
        training_patients=tuple(run.training_patients for run in runs),
        steps=tuple(run.steps for run in runs),
        seconds=tuple(run.seconds for run in runs),
        validation_score=_mean([run.validation_score for run in runs]),
        regions=_regions([score.regions for run in runs for score in run.patients]),
        dice_by_patient=dict(zip(trial.patients, dice.tolist(), strict=True)),
        dice_by_cell={
            region: tuple(tuple(dice_by_patient(run, region).tolist()) for run in runs) for region in regions
        },
        external=_external(runs),
        native=_native([score for run in runs for score in run.patients]),
        capstone_iou=slices.capstone_iou,
        predict_nothing=slices.predict_nothing,
        foreground_iou=dict(slices.foreground_iou),
    )


def _external(runs: Sequence[ArmScores]) -> ExternalRecord | None:
    """The same runs on the external test set; None where there is none."""
    if not runs[0].external:
        return None
    sides = [sorted(run.external, key=lambda score: score.patient) for run in runs]
    regions = tuple(sides[0][0].regions)
    return ExternalRecord(
        regions=_regions([score.regions for side in sides for score in side]),
        dice_by_cell={
            region: tuple(tuple(score.regions[region].dice for score in side) for side in sides) for region in regions
        },
        native=_native([score for side in sides for score in side]),
    )


def _native(scores: Sequence[PatientScore]) -> dict[str, RegionRecord] | None:
    """Scores on the scans' own voxels; None where one of the runs has none."""
    return _regions([score.native for score in scores]) if all(score.native for score in scores) else None


def _regions(scores: Sequence[Mapping[str, RegionScore]]) -> dict[str, RegionRecord]:
    return {region: _region([score[region] for score in scores]) for region in scores[0]}


def _region(found: Sequence[RegionScore]) -> RegionRecord:
    surfaces = [score.surface_dice for score in found if score.surface_dice is not None]
    distances = [score.hd95 for score in found if score.hd95 is not None]
    return RegionRecord(
        dice=_mean([score.dice for score in found]),
        surface_dice=_mean(surfaces) if surfaces else None,
        hd95=_mean(distances) if distances else None,
        hd95_defined=len(distances),
        scored=len(found),
    )


def _mean(values: Sequence[float]) -> float:
    return float(np.mean(values))
