"""What a stage can record about a run; tracking.py keeps it in MLflow."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Protocol, TypedDict

NOTE = "mlflow.note.content"  # the text on a run's page


def captions(pictures: Mapping[str, str]) -> dict[str, str]:
    """Tags that say on a run's page what its pictures show: MLflow has no place beside a picture.

    Args:
        pictures: artifact to what it shows.
    """
    return {NOTE: "\n".join(f"* `{name}`: {text}" for name, text in pictures.items())}


class ArmRow(TypedDict):
    """An arm as the page shows it, of plain values.

    Attributes:
        arm: as written, e.g. 'real/light/1.0/0'.
        digest: of the segmenter that was scored; '' where the scores do not say.
        metrics: its scores.
    """

    arm: str
    digest: str
    metrics: dict[str, float]


class Run(Protocol):
    """The record of one stage on one arm."""

    @property
    def id(self) -> str | None:
        """The record's id, to be kept in outputs for lineage; None where nothing is recorded."""

    def settings(self, values: Mapping[str, object]) -> None:
        """Record settings, flattened to dotted names."""

    def metrics(self, values: Mapping[str, float], *, step: int) -> None:
        """Record a batch of metrics at an optimizer step: one call per epoch, not per step."""

    def artifact(self, path: Path, *, folder: str = "") -> None:
        """Keep a file, or a folder with all that it holds."""

    def tags(self, values: Mapping[str, str]) -> None:
        """Record short facts to search runs by."""

    def dataset(self, path: Path, *, name: str, digest: str) -> None:
        """Record an input data set with the digest of its content."""

    def judged(self, title: str, note: str, arms: Sequence[ArmRow]) -> None:
        """Show a verdict, and all arms that it rests on, side by side."""


class SilentRun:
    """Records nothing: for code that needs no record."""

    @property
    def id(self) -> str | None:
        """No record, no id."""
        return None

    def settings(self, values: Mapping[str, object]) -> None:
        """Drop the settings."""

    def metrics(self, values: Mapping[str, float], *, step: int) -> None:
        """Drop the metrics."""

    def artifact(self, path: Path, *, folder: str = "") -> None:
        """Drop the file."""

    def tags(self, values: Mapping[str, str]) -> None:
        """Drop the tags."""

    def dataset(self, path: Path, *, name: str, digest: str) -> None:
        """Drop the data set."""

    def judged(self, title: str, note: str, arms: Sequence[ArmRow]) -> None:
        """Drop the verdict."""
