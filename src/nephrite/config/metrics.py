"""Metrics that can be asked for."""

from __future__ import annotations

from typing import Literal

Metric = Literal[
    "dice", "surface_dice", "native_dice", "native_surface_dice", "recall", "cpm", "sensitivity", "brier", "calibration"
]
Where = Literal["home", "external"]  # whose patients: the trial's own, or those of another hospital
OF_SETS: frozenset[Metric] = frozenset({"cpm", "sensitivity", "calibration"})  # one patient has none
OF_PROBABILITIES: frozenset[Metric] = frozenset({"cpm", "brier", "calibration"})  # yes and no is not enough
OF_LESIONS: frozenset[Metric] = frozenset({"cpm", "sensitivity"})  # lesions are found one by one
NATIVE: frozenset[Metric] = frozenset({"native_dice", "native_surface_dice"})  # on each scan's own voxels
OF_DISTANCES: frozenset[Metric] = frozenset({"surface_dice", "native_surface_dice"})  # in millimeters
