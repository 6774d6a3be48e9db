"""Any program as a generator: folders in, folders out, and exit codes; docs/bring-your-own.md is its contract.

COMMAND fit-generator --train DIR --seed K [--steps N] --threads T --out MODEL
COMMAND paint         --model MODEL --masks DIR --seed K --threads T --out DIR
"""

from __future__ import annotations

import logging
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import ClassVar, Literal

import numpy as np
from jaxtyping import Float32
from pydantic import Field

from nephrite.config import GeneratorSettings, Positive
from nephrite.errors import DataError, ProgramError
from nephrite.generation.kind import VolumeKind
from nephrite.imaging.nifti import open_nifti
from nephrite.programs.case_folders import (
    ENDING,
    MEND,
    Case,
    Mask,
    Wanted,
    emptied,
    label_path,
    open_written,
    write_cases,
    write_masks,
)
from nephrite.programs.settings import LARGEST_SEED, ProgramSettings

logger = logging.getLogger(__name__)
ROUNDING = 1e-3  # of the window's width; what lies further beyond it was painted so


class CommandPainterSettings(ProgramSettings, GeneratorSettings):
    """Any program that keeps the contract of docs/bring-your-own.md."""

    LEARNS_WITHOUT_LABELS: ClassVar[bool] = False  # its folder holds labeled patients alone
    PAINTS_VOLUMES: ClassVar[bool] = True

    kind: Literal["command"] = Field(description="Any program that keeps the contract of docs/bring-your-own.md.")
    steps: Positive | None = Field(
        default=None, description="Handed on as '--steps'; null = the program knows itself how long it learns."
    )


class CommandPainter(VolumeKind[CommandPainterSettings]):
    """A program, started once to learn and once to paint all masks of a painter."""

    def check(self) -> None:
        """Refuse a program that is not there."""
        self.settings.check_program()

    def fit(self, cases: Iterable[Case], classes: Mapping[int, str], model: Path, seed: int) -> None:
        """Let it learn.

        Raises:
            ProgramError: it failed, took too long, or left no file.
        """
        with TemporaryDirectory(prefix="nephrite-") as scratch:
            train = Path(scratch) / "train"
            write_cases(train, cases, self._wanted(classes))
            steps = {} if self.settings.steps is None else {"steps": self.settings.steps}
            self._run("fit-generator", {"train": train}, seed, {**steps, "out": model}, Path(scratch))
        if not any(path.is_file() for path in model.rglob("*")):
            finding = "holds no file, and 'paint' would have nothing to start from"
            raise ProgramError("model folder of 'fit-generator'", finding, MEND)

    def paint_volumes(
        self, model: Path, masks: Iterable[Mask], classes: Mapping[int, str], seed: int
    ) -> Iterator[Float32[np.ndarray, "slice h w"]]:
        """Let it paint; what lies beyond a mask's window is cut off, and said.

        Raises:
            ProgramError: it failed, took too long, or left out or spoiled a mask.
        """
        with TemporaryDirectory(prefix="nephrite-") as scratch:
            given, found = Path(scratch) / "masks", emptied(Path(scratch) / "found")
            windows = write_masks(given, masks, self._wanted(classes))
            self._run("paint", {"model": model, "masks": given}, seed, {"out": found}, Path(scratch))
            # all are looked at before one is used
            beyond = [_beyond(given, found, name, window) for name, window in windows.items()]
            if any(beyond):
                text = "%s: %.2g %% of what it painted lies beyond the window, and was cut off"
                logger.warning(text, self.settings.place, 100 * np.mean(beyond))
            for name, window in windows.items():
                yield _painted(given, found, name, window).clip(0, 1)

    def _wanted(self, classes: Mapping[int, str]) -> Wanted:
        return Wanted({name: (value,) for value, name in classes.items()}, image=self.settings.image)

    def _run(
        self, verb: str, first: Mapping[str, object], seed: int, last: Mapping[str, object], scratch: Path
    ) -> None:
        drawn = {"seed": seed % LARGEST_SEED, "threads": self.settings.threads}
        self.settings.program.run(verb, {**first, **drawn, **last}, scratch, lambda: None)


def _beyond(masks: Path, found: Path, name: str, window: tuple[float, float]) -> float:
    """Share of the voxels that lie beyond the window."""
    painted = _painted(masks, found, name, window)
    return float(np.mean((painted < -ROUNDING) | (painted > 1 + ROUNDING)))


def _painted(
    masks: Path, found: Path, name: str, window: tuple[float, float]
) -> Float32[np.ndarray, "slice height width"]:
    """What was painted on one mask: 0 and 1 are the ends of its window.

    Raises:
        ProgramError: it is missing or damaged, lies on another grid, or holds what is no number.
    """
    path, (low, high) = found / f"{name}{ENDING}", window
    try:
        file = open_written(open_nifti(label_path(masks, name)), path, f"painted {path.name}")
        values: Float32[np.ndarray, "slice height width"] = file.scaled(file.oriented(file.read()), np.float32)
    except DataError as error:
        raise ProgramError(f"painted {Path(error.place).name}", error.finding, MEND) from error
    return (values - np.float32(low)) / np.float32(high - low)


SETTINGS = CommandPainterSettings
KIND = CommandPainter
