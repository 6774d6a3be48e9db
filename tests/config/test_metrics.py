from __future__ import annotations

from typing import get_args

from nephrite.config import NATIVE, OF_LESIONS, Metric


def test_metrics_of_lesions_are_metrics() -> None:
    assert {*get_args(Metric)} > OF_LESIONS
    assert {*get_args(Metric)} - OF_LESIONS - NATIVE == {"dice", "surface_dice", "recall", "brier", "calibration"}
