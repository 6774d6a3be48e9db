from __future__ import annotations

from collections.abc import Callable

import pytest
import torch

from nephrite.config import Config
from nephrite.segmentation.in_process.step_time import step_seconds
from nephrite.segmentation.volumes import step_time as timing

Load = Callable[..., Config]
SMALL = "train_segmenter.segmenters.heavy={kind: segresnet_3d, blocks: [1, 1], patch: [4, 16, 16], batch: 1}"
LARGE = "train_segmenter.segmenters.heavy={kind: segresnet_3d, width: 16, patch: [16, 64, 64], batch: 2}"


def test_a_short_step_is_measured(load: Load) -> None:
    assert 0 < step_seconds(load(SMALL), "heavy") < 5


def test_a_long_step_is_extrapolated_and_never_taken(load: Load, monkeypatch: pytest.MonkeyPatch) -> None:
    taken = []

    def training_seconds(config: Config, network: torch.nn.Module, *, batch: int, space: tuple[int, ...]) -> float:
        taken.append((batch, *space))
        return 0.5

    monkeypatch.setattr(timing, "training_seconds", training_seconds)
    assert step_seconds(load(LARGE), "heavy") == 0.5 * 2 * (64 / 16) ** 2 * (16 / 8) ** 2
    assert taken == [(1, 16, 16, 16)]
