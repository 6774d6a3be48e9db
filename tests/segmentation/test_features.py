from __future__ import annotations

import pytest
import torch

from nephrite.segmentation.features import logits_and_features
from nephrite.segmentation.fpn import FPNSettings
from nephrite.segmentation.networks import build_segmenter
from nephrite.segmentation.unet import UNetSettings

NETWORKS: list[tuple[UNetSettings | FPNSettings, int]] = [
    (UNetSettings(kind="unet", base_width=4, depth=2, padding="same", normalization="batch"), 16),
    (UNetSettings(kind="unet", base_width=4, depth=1, padding="valid", normalization="none"), 8),
    (FPNSettings(kind="fpn", encoder="resnet18", weights="none"), 512),
]


@pytest.mark.parametrize(("settings", "features"), NETWORKS)
def test_every_segmenter_has_features_and_its_usual_logits(settings: UNetSettings | FPNSettings, features: int) -> None:
    network, image = build_segmenter(settings, channels=2).eval(), torch.rand(3, 1, 33, 40)
    with torch.inference_mode():
        logits, found = logits_and_features(network, image)
        assert torch.equal(logits, network(image))
    assert found.shape == (3, features)


def test_features_tell_slices_apart_and_no_hook_is_left() -> None:
    network = build_segmenter(NETWORKS[0][0], channels=1).eval()
    _, features = logits_and_features(network, torch.stack([torch.zeros(1, 32, 32), torch.rand(1, 32, 32)]))
    assert not torch.allclose(features[0], features[1])
    assert not any(module._forward_hooks for module in network.modules())
