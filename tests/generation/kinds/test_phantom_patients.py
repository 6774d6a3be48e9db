"""Nothing is trained; the slices are those of patients whom the phantom's program draws."""

from __future__ import annotations

import numpy as np
import pytest

from nephrite.errors import ConfigError
from nephrite.generation.fitting import training_of
from nephrite.generation.kind import Composed
from nephrite.generation.kinds.phantom_patients import PhantomPainter, PhantomPainterSettings
from nephrite.phantom.phantom import draw_patient
from nephrite.synthesis.lesions import Run

CLASSES = {1: "kidney", 2: "tumor"}
SIZE, SLICES, WINDOW = 48, 9, (-200.0, 200.0)
SETTINGS = PhantomPainterSettings(kind="phantom_patients", seed=3, matrix=64)


def composed(seed: int = 1, fill: float = 0.5) -> Composed:
    run = Run(np.zeros((SLICES, SIZE, SIZE), np.uint8), np.arange(SLICES), (4.0, 6.0, 6.0), {2: 1}, WINDOW)
    image = np.full((SLICES, SIZE, SIZE), fill, np.float32)
    return PhantomPainter(SETTINGS).compose(image, run, CLASSES, seed)


def test_patients_follow_from_the_seed_and_from_nothing_that_is_real() -> None:
    first = composed()
    assert np.array_equal(first.image, composed(fill=0.9).image)
    assert not np.array_equal(first.label, composed(2).label)
    assert not first.edits


def test_slices_are_those_of_the_phantom_in_its_window_and_with_its_labels() -> None:
    made, (scan, label, spacing) = composed(), draw_patient(SETTINGS.seed, 1, matrix=SETTINGS.matrix)
    assert made.image.shape == made.label.shape == (SLICES, SIZE, SIZE)
    assert made.image.dtype == np.float32
    assert {1, 2} <= {*np.unique(made.label)}
    # as much kidney and tumor as in the slices of the scan that were taken
    taken = label[np.linspace(0, len(label) - 1, SLICES).round().astype(int)]
    for value in CLASSES:
        area = np.count_nonzero(made.label == value) * 6.0**2
        assert area == pytest.approx(np.count_nonzero(taken == value) * spacing[1] * spacing[2], rel=0.1)
    # kidneys with contrast agent stand for their Hounsfield units
    wanted = np.clip((scan[label == 1].mean() + 200) / 400, 0, 1)
    assert made.image[made.label == 1].mean() == pytest.approx(wanted, abs=0.1)
    assert made.image[:, 0, 0].max() == 0  # air


def test_other_classes_than_the_phantom_s_are_refused() -> None:
    image = np.zeros((2, SIZE, SIZE), np.float32)
    run = Run(np.zeros((2, SIZE, SIZE), np.uint8), np.arange(2), (4.0, 6.0, 6.0), {}, WINDOW)
    with pytest.raises(
        ConfigError, match=r"draws \{1: kidney, 2: tumor\}; 'prepare.classes' is \{1: 'liver'\}; use it"
    ):
        PhantomPainter(SETTINGS).compose(image, run, {1: "liver"}, 1)


def test_nothing_is_trained() -> None:
    assert training_of(SETTINGS) is None
    assert SETTINGS.lesion_free_share == 0
