from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from nephrite.segmentation.programs.monai_bundle.bundle import Bundle, read_bundle
from nephrite.segmentation.programs.monai_bundle.finding import probabilities
from tests.conftest import ROOT


class Bright(nn.Module):
    """Class 1 where it is bright."""

    def forward(self, image: torch.Tensor) -> torch.Tensor:
        return torch.cat([torch.zeros_like(image), image * 20 - 10], dim=1)


@pytest.mark.parametrize(("dimensions", "size"), [(3, [8, 8, 4]), (2, [8, 8])])
def test_windows_cover_a_scan_that_is_larger_or_smaller(dimensions: int, size: list[int]) -> None:
    config = read_bundle(Path(ROOT / "examples" / "monai_bundle")).config
    inferer = {**config["validate"]["inferer"], "roi_size": size}
    network = {**config["network_def"], "spatial_dims": dimensions}
    bundle = Bundle({**config, "network_def": network, "validate": {"inferer": inferer}})
    image = np.random.default_rng(0).random((20, 13, 3), np.float32)
    found = probabilities(bundle, Bright(), image)
    assert found.shape == (2, 20, 13, 3)
    assert np.array_equal(found.argmax(axis=0), image > 0.5)
