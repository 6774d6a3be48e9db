"""Nothing is trained; what is drawn follows from the settings."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from pydantic import ValidationError

from nephrite.generation.fitting import training_of
from nephrite.generation.kinds.lesion_painter import LesionPainter, LesionPainterSettings, stretches
from nephrite.synthesis.lesions import Run


def settings(**values: Any) -> LesionPainterSettings:
    return LesionPainterSettings.model_validate({"kind": "lesion_painter", **values})


def run(slices: int = 6, spacing: float = 1.0) -> Run:
    return Run(np.zeros((slices, 64, 64), np.uint8), np.arange(slices), (spacing, spacing, spacing), {1: None})


def lung(slices: int = 6) -> np.ndarray:
    image = np.full((slices, 64, 64), 0.6, np.float32)
    image[:, 4:60, 4:54] = 0.1
    return image


def areas(seed: int = 1, spacing: float = 1.0, **values: Any) -> np.ndarray:
    made = LesionPainter(settings(**values)).compose(lung(), run(spacing=spacing), {1: "nodule"}, seed)
    found: np.ndarray = (made.label == 1).sum((1, 2))
    return found


def test_every_slice_apart_gets_as_many_lesions_as_wanted() -> None:
    made = LesionPainter(settings(slices="apart", lesions=(2, 2), sizes=[{"radius": (2, 3)}])).compose(
        lung(), run(), {1: "nodule"}, 1
    )
    assert len(made.edits) == 12
    assert (made.label == 1).any((1, 2)).all()
    assert made.image.min() >= 0


def test_neighbors_share_lesions() -> None:
    apart = areas(slices="apart", lesions=(1, 1), sizes=[{"radius": (5, 6)}], axis_ratio=(1, 1))
    together = areas(lesions=(1, 1), sizes=[{"radius": (5, 6)}], axis_ratio=(1, 1), bend=0)
    assert (apart > 60).all()
    assert (together > 0).sum() > 1
    assert np.unique(together).size > 2  # it shrinks towards its ends


def test_a_seed_is_repeated() -> None:
    assert np.array_equal(areas(1), areas(1))
    assert not np.array_equal(areas(1), areas(2))


def test_millimeters_are_brought_to_pixels() -> None:
    same: dict[str, Any] = {"slices": "apart", "lesions": (1, 1), "axis_ratio": (1, 1), "bend": 0.0}
    pixels = areas(spacing=2.0, sizes=[{"radius": (5, 5)}], **same)
    millimeters = areas(spacing=2.0, sizes=[{"radius": (10, 10)}], unit="millimeters", **same)
    assert np.array_equal(pixels, millimeters)


def test_stretches_are_neighbors_and_not_too_long() -> None:
    found = stretches(np.array([0, 1, 2, 7, 8, *range(20, 50)]))
    assert [part.tolist() for part in found[:2]] == [[0, 1, 2], [3, 4]]
    assert [len(part) for part in found[2:]] == [12, 12, 6]


def test_nothing_is_trained_and_the_share_of_lesion_free_scans_is_its_own() -> None:
    chosen = settings(lesion_free=0.4)
    assert training_of(chosen) is None
    assert chosen.lesion_free_share == 0.4
    assert chosen.COMPOSES
    assert not [*LesionPainter(chosen).build(3, 32).parameters()]


@pytest.mark.parametrize(
    ("values", "finding"),
    [
        ({"sizes": [{"radius": (0, 3)}]}, "begin at 0"),
        ({"sizes": []}, "at least 1 item"),
        ({"looks": [{"step": (0.5, 0.2)}]}, "is above the second"),
        ({"lesions": (3, 2)}, "is above the second"),
        ({"axis_ratio": (0.5, 1.5)}, "does not lie between 0 and 1"),
        ({"lesion_free": 1.2}, "less than or equal to 1"),
    ],
)
def test_settings_that_cannot_be_drawn_are_refused(values: dict[str, Any], finding: str) -> None:
    with pytest.raises(ValidationError, match=finding):
        settings(**values)
