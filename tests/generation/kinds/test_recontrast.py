"""Nothing is trained; a whole synthetic patient gets one contrast."""

from __future__ import annotations

from typing import Any

import numpy as np

from nephrite.generation.fitting import training_of
from nephrite.generation.kinds.recontrast import Recontrast, RecontrastSettings
from nephrite.synthesis.lesions import Run

CLASSES = {1: "kidney", 2: "tumor"}
STILL = {"shift": (0.0, 0.0), "gain": (1.0, 1.0), "gamma": (1.0, 1.0)}


def settings(**values: Any) -> RecontrastSettings:
    return RecontrastSettings.model_validate({"kind": "recontrast", **values})


def scene() -> tuple[np.ndarray, Run]:
    label = np.zeros((3, 32, 32), np.uint8)
    label[:, 8:24, 8:24] = 1
    label[:, 12:18, 12:18] = 2
    image = np.choose(label, [0.2, 0.5, 0.4]).astype(np.float32)
    return image, Run(label, np.arange(3), (1.0, 1.0, 1.0), {2: 1})


def composed(seed: int = 1, **values: Any) -> np.ndarray:
    image, run = scene()
    made = Recontrast(settings(**values)).compose(image, run, CLASSES, seed)
    assert np.array_equal(made.label, scene()[1].label)
    assert not made.edits
    change: np.ndarray = made.image - image
    return change


def test_all_slices_of_a_patient_change_alike_and_follow_from_the_seed() -> None:
    change = composed()
    assert np.allclose(change[0], change[2], atol=1e-6)
    assert np.array_equal(change, composed())
    assert not np.allclose(change, composed(2), atol=0.01)


def test_each_part_has_settings_of_its_own() -> None:
    moved = {**STILL, "shift": (0.1, 0.1)}
    organ = composed(classes=moved, lesions=STILL, background=STILL, border=0.3)
    assert np.allclose(organ[:, 9, 9:23], 0.1, atol=0.02)
    assert np.allclose(organ[:, 14, 14], 0.1, atol=0.02)  # the lesion shares its organ's shift
    assert np.allclose(organ[:, :6], 0, atol=1e-6)
    lesion = composed(classes=STILL, lesions=moved, background=STILL, border=0.3)
    assert np.allclose(lesion[:, 14, 14], 0.1, atol=0.02)
    assert np.allclose(lesion[:, 9, 9:23], 0, atol=0.02)
    named = composed(classes=STILL, lesions=moved, background=STILL, border=0.3, by_class={"tumor": STILL})
    assert np.allclose(named, 0, atol=1e-6)


def test_nothing_is_trained() -> None:
    assert training_of(settings()) is None
    assert settings().lesion_free_share == 0
