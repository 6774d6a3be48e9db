"""Means of an arm's scores over its patients: what its run in MLflow shows, by the same name in every arm."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from nephrite.config import Config
from nephrite.metrics.persons import scores_of_persons
from nephrite.metrics.scores import ArmScores, PatientScore, RegionScore, mean_over_slices

ELSEWHERE = "external"  # how names of means over patients of another hospital begin


def mean_scores(config: Config, scores: ArmScores) -> dict[str, float]:
    """Means over the judged patients, and over those of another hospital; 'dice' is that of the declared region."""
    patients, external = scores_of_persons(scores.patients), scores_of_persons(scores.external)
    pooled = mean_over_slices([score.slices for score in patients])
    summary = {"capstone_iou": pooled.capstone_iou, "predict_nothing": pooled.predict_nothing}
    asked = external if config.trial.asked_where == "external" else patients
    summary["dice"] = sum(patient.regions[config.trial.primary].dice for patient in asked) / len(asked)
    return summary | _means(patients, "") | _means(external, f"{ELSEWHERE}_")


def _means(patients: Sequence[PatientScore], prefix: str) -> dict[str, float]:
    """Means of each region's scores, on the grid and on the scans' own voxels."""
    on_grid = _region_means([score.regions for score in patients], prefix)
    return on_grid | _region_means([score.native for score in patients], f"{prefix}native_")


def _region_means(patients: Sequence[Mapping[str, RegionScore]], prefix: str) -> dict[str, float]:
    """Means of each region's scores; HD95 and surface Dice are left out where any patient has none."""
    found: dict[str, float] = {}
    for region in patients[0] if patients else ():
        results = [regions[region] for regions in patients]
        found[f"{prefix}{region}_dice"] = sum(result.dice for result in results) / len(results)
        for name in ("surface_dice", "hd95"):
            known = [value for result in results if (value := getattr(result, name)) is not None]
            if len(known) == len(results):
                found[f"{prefix}{region}_{name}"] = sum(known) / len(known)
    return found
