from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from nephrite.config import ResizeSettings, WindowSettings
from nephrite.imaging.recipe import Recipe
from nephrite.imaging.sources import Scan, open_scan
from nephrite.predicting.masks import segment_volumes
from nephrite.predicting.model import Origin, ServedGraph
from tests.conftest import write_series

WINDOW = WindowSettings(kind="window", center=0, width=400)
RECIPE = Recipe({1: "bright"}, {"bright": (1,)}, WINDOW, ResizeSettings(kind="resize", size=16), 0.5)


class Bright(nn.Module):
    """Foreground at or above 0 HU."""

    def forward(self, image: torch.Tensor) -> torch.Tensor:
        """Logits of one channel."""
        return (image - 0.5) * 1000


@pytest.mark.parametrize("block", [1, 2, 5])
def test_a_graph_marks_every_slice_whatever_the_block(tmp_path: Path, block: int) -> None:
    voxels = np.random.default_rng(0).integers(-300, 300, (5, 16, 16))
    write_series(tmp_path / "p", voxels)
    volume, model = (
        open_scan(Scan("p", "dicom", tmp_path / "p")),
        ServedGraph(Origin("x", 1, None), RECIPE, Bright(), "cpu"),
    )
    (mask,) = segment_volumes({"p": volume}, model, scratch=tmp_path, block=block)
    assert np.array_equal(mask, voxels[::-1] >= 0)  # the series begins below
