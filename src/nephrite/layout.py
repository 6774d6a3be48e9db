"""Paths of a trial below one folder: the same layout as in dvc.yaml."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from nephrite.config import Arm, GeneratorRun


@dataclass(frozen=True)
class Layout:
    """The paths of a trial, below `root`."""

    root: Path

    @property
    def outputs(self) -> tuple[Path, ...]:
        """Everything that a trial writes."""
        models = self.root / "models"
        data = tuple(self.root / "data" / name for name in ("raw", "prepared", "painted", "synthetic"))
        return (*data, models, self.scores, self.predictions, self.report, self.promotion.parent)

    @property
    def raw(self) -> Path:
        """Raw volumes."""
        return self.root / "data" / "raw"

    @property
    def pairs(self) -> Path:
        """Paired slices of real patients."""
        return self.root / "data" / "prepared"

    def synthesizer(self, painter: GeneratorRun) -> Path:
        """A trained synthesizer."""
        return self.root / "models" / "synthesizers" / str(painter)

    def painted(self, painter: GeneratorRun) -> Path:
        """All slices of a painter."""
        return self.root / "data" / "painted" / str(painter)

    @property
    def synthetic_sets(self) -> Path:
        """Folder of all accepted slices."""
        return self.root / "data" / "synthetic"

    def synthetic(self, painter: GeneratorRun) -> Path:
        """Accepted slices of one painter (a synthesizer of one label fraction and cell)."""
        return self.synthetic_sets / str(painter)

    @property
    def segmenters(self) -> Path:
        """Folder of all segmenters."""
        return self.root / "models" / "segmenters"

    def segmenter(self, arm: Arm) -> Path:
        """The segmenter of one arm."""
        return self.segmenters / str(arm)

    @property
    def scores(self) -> Path:
        """Folder of all scores."""
        return self.root / "scores"

    def score(self, arm: Arm) -> Path:
        """The scores of one arm."""
        return self.scores / f"{arm}.json"

    @property
    def predictions(self) -> Path:
        """Folder of all label maps that arms found."""
        return self.root / "predictions"

    def prediction(self, arm: Arm) -> Path:
        """The label maps that one arm found."""
        return self.predictions / str(arm)

    @property
    def report(self) -> Path:
        """Table, figures and verdict."""
        return self.root / "reports"

    @property
    def promotion(self) -> Path:
        """File with the promotion's decision."""
        return self.root / "promotion" / "decision.json"
