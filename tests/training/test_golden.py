"""Golden runs: fixed seed, processor, float32, three steps. They change only when the method changes on purpose."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from nephrite.config import Config
from nephrite.recording import SilentRun
from nephrite.segmentation.in_process.fitting import SegmentationModule
from nephrite.stages.train_segmenter import train_segmenter

CASES = {
    "the capstone's way": (
        ("arm=real+geometric/light/1.0/0", "schedule=plateau", "weights=best", "foreground=null"),
        [0.877394, 0.878489, 0.875092],
    ),
    "the defaults, on windows": (
        ("arm=real+standard/light/1.0/0", "window=24"),
        [0.865749, 0.807513, 0.855502],
    ),
}


@pytest.mark.parametrize("case", CASES)
def test_three_steps_have_the_stored_losses(
    load: Callable[..., Config], pairs: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, case: str
) -> None:
    losses: list[float] = []

    def keep(self: SegmentationModule, outputs: dict[str, torch.Tensor], *_: object) -> None:
        losses.append(float(outputs["loss"]))

    monkeypatch.setattr(SegmentationModule, "on_train_batch_end", keep)
    (arm, *settings), golden = CASES[case]
    sets = "trial.training_sets.real=[real, real+geometric, real+standard]"
    more = (f"train_segmenter.{setting}" for setting in ("epochs=1", *settings))
    train_segmenter(load(sets, "trial.seed=7", arm, *more), SilentRun(), pairs=pairs, segmenter=tmp_path / "segmenter")
    assert losses == pytest.approx(golden, abs=1e-4)
