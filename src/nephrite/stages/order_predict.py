"""Writes the scans that a program in an image of its own is to segment, and the model that it learned."""

from __future__ import annotations

from pathlib import Path

from nephrite.config import Config
from nephrite.files import whole_folder
from nephrite.recording import Run
from nephrite.segmentation.judged import open_judged
from nephrite.segmentation.own_image import order_scans
from nephrite.segmentation.scoring import judged_scans


def order_predict(config: Config, run: Run, *, pairs: Path, segmenter: Path, order: Path) -> dict[str, float]:
    """Write the scans of the judged patients, without any label, and a script that has the program segment them.

    In the image, `sh ORDER/run.sh ORDER DONE` does so; then `evaluate` takes DONE as `done`.

    Raises:
        ConfigError: the arm's segmenter has no image of its own; or see `evaluate`.
        StoreError: store or segmenter is missing or broken, or they do not belong together.
        LeakageError: the segmenter was trained on a judged patient, or knows one of another hospital.
    """
    store, trained = open_judged(config, pairs, segmenter)
    scans = judged_scans(config, store)
    with whole_folder(order, "order") as folder:
        order_scans(config, trained, scans, folder)
    return {"scans": float(len(scans))}
