"""Arms whose program lies in an image of its own: stages hand it folders, and take what it made of them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from nephrite.config import Config
from nephrite.errors import ConfigError
from nephrite.programs.orders import FOUND
from nephrite.segmentation.artifacts import TrainedSegmenter
from nephrite.segmentation.backend import StoredScan, backend_of
from nephrite.segmentation.command import CommandBackend, TrainedProgram


def backend_apart(config: Config) -> CommandBackend:
    """The program of the settings' arm.

    Raises:
        ConfigError: it is no program in an image of its own.
    """
    name = config.this_arm.segmenter
    backend = backend_of(config.train_segmenter.segmenters[name])
    if not isinstance(backend, CommandBackend) or backend.settings.lies_in is None:
        finding = f"has no 'own_image', so nobody else needs to be asked for arm {config.this_arm}"
        raise ConfigError(f"train_segmenter.segmenters.{name}", finding, "run train-segmenter and evaluate")
    return backend


def answered(config: Config, segmenter: TrainedSegmenter, done: Path) -> TrainedSegmenter:
    """A trained program that is not asked: what it found in the judged scans lies in `done`.

    Raises:
        ConfigError: it is no program in an image of its own.
    """
    backend_apart(config)
    return replace(segmenter, trained=replace(_program(segmenter), found=done / FOUND))


def order_scans(config: Config, segmenter: TrainedSegmenter, scans: Sequence[StoredScan], folder: Path) -> None:
    """Write scans, the model, and a script that has the program segment them.

    Raises:
        ConfigError: it is no program in an image of its own.
    """
    backend_apart(config).order_predict(_program(segmenter), scans, folder)


def _program(segmenter: TrainedSegmenter) -> TrainedProgram:
    assert isinstance(segmenter.trained, TrainedProgram)
    return segmenter.trained
