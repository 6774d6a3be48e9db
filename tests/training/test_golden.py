"""A golden run: fixed seed, processor, float32, three steps. It changes only when the method changes on purpose."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from nephrite.config import Config
from nephrite.recording import SilentRun
from nephrite.segmentation.in_process.fitting import SegmentationModule
from nephrite.stages.train_segmenter import train_segmenter

GOLDEN = [0.877394, 0.878489, 0.875092]
CAPSTONE = (
    "train_segmenter.schedule=plateau",
    "train_segmenter.foreground=null",
    "train_segmenter.weights=best",
)  # the capstone's way of training


def test_three_steps_have_the_stored_losses(
    load: Callable[..., Config], pairs: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    losses: list[float] = []

    def keep(self: SegmentationModule, outputs: dict[str, torch.Tensor], *_: object) -> None:
        losses.append(float(outputs["loss"]))

    monkeypatch.setattr(SegmentationModule, "on_train_batch_end", keep)
    config = load("arm=real+geometric/light/1.0/0", "train_segmenter.epochs=1", "trial.seed=7", *CAPSTONE)
    train_segmenter(config, SilentRun(), pairs=pairs, segmenter=tmp_path / "segmenter")
    assert losses == pytest.approx(GOLDEN, abs=1e-4)
