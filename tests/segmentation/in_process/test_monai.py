from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from nephrite.config import Config
from nephrite.errors import ConfigError
from nephrite.recording import SilentRun
from nephrite.segmentation.artifacts import load_segmenter
from nephrite.segmentation.backend import StoredScan
from nephrite.segmentation.in_process.monai import MonaiBackend, MonaiSettings
from nephrite.stages.train_segmenter import train_segmenter
from nephrite.store.slices import PairStore

Load = Callable[..., Config]
ARM = ("trial.segmenters=[light, heavy]", "arm=real/heavy/1.0/0")
LAYERS = {"channels": [4, 8], "strides": [2]}
UNET = "train_segmenter.segmenters.heavy={kind: monai, network: UNet, arguments: {channels: [4, 8], strides: [2]}}"


def backend(network: str, **arguments: Any) -> MonaiBackend:
    return MonaiBackend(MonaiSettings(kind="monai", network=network, arguments=arguments))


def test_it_is_trained_as_any_segmenter_is_and_comes_back(load: Load, pairs: Path, tmp_path: Path) -> None:
    config = load(UNET, *ARM, "train_segmenter.epochs=1")
    train_segmenter(config, SilentRun(), pairs=pairs, segmenter=tmp_path / "s")
    loaded = load_segmenter(tmp_path / "s")
    found = loaded.trained.backend.predict(loaded.trained, StoredScan(PairStore(pairs), "c1"))
    assert isinstance(loaded.card.settings, MonaiSettings)
    assert found.labels.shape == (6, 32, 32)


def test_dimensions_and_channels_are_filled_in_and_any_in_plane_size_goes() -> None:
    network = backend("UNet", **LAYERS).build(3).eval()
    assert network(torch.rand(2, 1, 33, 50)).shape == (2, 3, 33, 50)


def test_sides_are_multiples_of_the_stride() -> None:
    settings = MonaiSettings(kind="monai", network="UNet", arguments=LAYERS, stride=16)
    assert [MonaiBackend(settings).build(2).input_size(size) for size in (1, 16, 17)] == [16, 16, 32]


@pytest.mark.parametrize(
    ("network", "arguments", "message"),
    [
        ("Nothing", {}, r"network 'Nothing': is no network of monai.networks.nets; take e.g. 'UNet'"),
        ("UNet", {}, r"network 'UNet': cannot be built of {} \(TypeError: .*'channels' and 'strides'\); correct"),
        ("UNet", {"out_channels": 2}, r"network 'UNet': is given 'out_channels', which is filled in; leave it out"),
    ],
)
def test_what_cannot_be_built_is_one_line(network: str, arguments: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        backend(network, **arguments).build(2)


def test_a_classifier_is_refused_before_it_is_trained(load: Load, pairs: Path, tmp_path: Path) -> None:
    arguments = "{in_shape: [1, 32, 32], classes: 2, channels: [2], strides: [2]}"
    config = load(
        f"train_segmenter.segmenters.heavy={{kind: monai, network: Classifier, arguments: {arguments}}}",
        *ARM,
        "prepare.in_plane={kind: resize, size: 32}",
    )
    with pytest.raises(ConfigError, match=r"segmenter of kind 'monai' .*returns \(2, 2\) for 2 slices of 32 x 32"):
        train_segmenter(config, SilentRun(), pairs=pairs, segmenter=tmp_path / "s")
    assert not list(tmp_path.glob("s*"))
