from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch

from nephrite.config import ResizeSettings, WindowSettings
from nephrite.errors import StoreError
from nephrite.segmentation.artifacts import (
    CARD,
    HISTORY,
    WEIGHTS,
    SegmenterCard,
    load_segmenter,
    read_card,
    write_card,
)
from nephrite.segmentation.in_process.family import TrainedNetwork
from nephrite.segmentation.in_process.networks import Segmenter
from nephrite.segmentation.in_process.unet import UNetBackend, UNetSettings
from nephrite.training.weights import save_weights

NETWORK = UNetSettings(kind="unet", base_width=4, depth=1, padding="same", normalization="batch")
MADE = SegmenterCard(
    arm="real/light/1.0/0",
    settings=NETWORK,
    classes={1: "kidney", 2: "tumor"},
    channels={"kidney": (1,), "tumor": (2,)},
    intensity=WindowSettings(kind="window", center=0, width=400),
    in_plane=ResizeSettings(kind="resize", size=32),
    training_patients=("a1",),
    synthesizer=None,
    pairs="digest",
    validation_score=0.5,
    region="tumor",
    threshold=0.5,
    steps=6,
    seconds=1.5,
    run_id=None,
    version="0",
)
CURVE = [{"step": 6.0, "validation_dice": 0.5}]


def write(folder: Path) -> Segmenter:
    network = UNetBackend(NETWORK).build(2).to(memory_format=torch.channels_last)
    save_weights(folder / WEIGHTS, network.state_dict())
    write_card(folder, MADE, CURVE)
    return network


def test_segmenter_comes_back_as_it_was(tmp_path: Path) -> None:
    network, image = write(tmp_path).eval(), torch.rand(2, 1, 32, 32)
    loaded = load_segmenter(tmp_path)
    assert isinstance(loaded.trained, TrainedNetwork)
    assert (loaded.card, loaded.trained.history) == (MADE, CURVE)
    assert not loaded.trained.network.training
    found = loaded.trained.network(image)
    assert torch.allclose(found, network(image), atol=1e-5)  # another memory layout rounds otherwise


@pytest.mark.parametrize("name", [CARD, WEIGHTS, HISTORY])
def test_missing_file_is_named(tmp_path: Path, name: str) -> None:
    write(tmp_path)
    (tmp_path / name).unlink()
    with pytest.raises(StoreError, match=name):
        load_segmenter(tmp_path)


@pytest.mark.parametrize("name", [CARD, WEIGHTS, HISTORY])
def test_truncated_file_is_named(tmp_path: Path, name: str) -> None:
    write(tmp_path)
    (tmp_path / name).write_bytes((tmp_path / name).read_bytes()[:-20])
    with pytest.raises(StoreError, match=name):
        load_segmenter(tmp_path)


@pytest.mark.parametrize("changes", [{"format": 2}, {"steps": "many"}, {"settings": {"kind": "transformer"}}])
def test_other_version_and_wrong_types_are_refused(tmp_path: Path, changes: dict[str, Any]) -> None:
    write(tmp_path)
    (tmp_path / CARD).write_text(json.dumps(json.loads((tmp_path / CARD).read_text()) | changes))
    with pytest.raises(StoreError, match=next(iter(changes))):
        read_card(tmp_path)


def test_weights_of_another_network_are_refused(tmp_path: Path) -> None:
    write(tmp_path)
    save_weights(tmp_path / WEIGHTS, UNetBackend(NETWORK).build(3).state_dict())
    write_card(tmp_path, MADE, CURVE)
    with pytest.raises(StoreError, match="cannot be loaded"):
        load_segmenter(tmp_path)
