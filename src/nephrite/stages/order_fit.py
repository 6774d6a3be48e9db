"""Writes what a program in an image of its own is given for the training of one arm, and what it is asked to do."""

from __future__ import annotations

from pathlib import Path

from nephrite.config import Config
from nephrite.files import whole_folder
from nephrite.recording import Run, SilentRun
from nephrite.segmentation.arm_inputs import open_stores
from nephrite.segmentation.arm_task import arm_task, free_additions, synthetic_additions
from nephrite.segmentation.demands import check_segmenters, shape_of
from nephrite.segmentation.own_image import backend_apart


def order_fit(config: Config, run: Run, *, pairs: Path, order: Path, synthetic: Path | None = None) -> dict[str, float]:
    """Write the cases of one arm, and a script of what the program of 'own_image' is to do with them.

    In the image, `sh ORDER/run.sh ORDER DONE` trains; then `train_segmenter` takes DONE as `done`. Nothing of a test
    patient is in the order.

    Raises:
        ConfigError: the arm's segmenter has no image of its own; or see `train_segmenter`.
        LeakageError: a synthetic slice was derived from a patient outside the arm's training set.
        StoreError: a store is missing, broken, or does not fit the other one.
    """
    # the guard of a training, before anything is written
    inputs = open_stores(config, pairs, synthetic)
    check_segmenters(config, shape_of(inputs.real.manifest), arms=[config.this_arm])
    backend = backend_apart(config)
    additions = [*synthetic_additions(config, inputs), *free_additions(config, inputs)]
    with whole_folder(order, "order") as folder:
        task = arm_task(config, inputs, additions, folder=folder, run=SilentRun(), text=str(config.this_arm))
        backend.order_fit(task, folder)
    return {"training_patients": float(len(task.training.patients))}
