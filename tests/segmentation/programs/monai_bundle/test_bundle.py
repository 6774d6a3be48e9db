from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch

from nephrite.segmentation.programs.monai_bundle.bundle import Bundle, keep_bundle, kept_bundle, read_bundle
from tests.conftest import ROOT

EXAMPLE = ROOT / "examples" / "monai_bundle"


def changed(folder: Path, **changes: Any) -> Path:
    """The example with other parts; None takes one away."""
    content = json.loads((EXAMPLE / "configs" / "train.json").read_text()) | changes
    (folder / "configs").mkdir()
    kept = {name: value for name, value in content.items() if value is not None}
    (folder / "configs" / "train.json").write_text(json.dumps(kept))
    return folder


def test_the_example_is_a_network_of_as_many_classes_as_the_data_have() -> None:
    bundle = read_bundle(EXAMPLE)
    network = bundle.network(2)
    assert network(torch.zeros(1, 1, 8, 8, 4)).shape == (1, 2, 8, 8, 4)
    loss, optimizer = bundle.training(network)
    assert optimizer.param_groups[0]["params"][0] is next(network.parameters())
    assert loss(torch.zeros(1, 2, 8, 8, 4), torch.zeros(1, 1, 8, 8, 4)).isfinite()
    assert (bundle.dimensions, bundle.batch, bundle.inferer.roi_size) == (3, 2, [32, 32, 8])


def test_a_dynunet_of_slices_is_built_without_deep_supervision(tmp_path: Path) -> None:
    network = {"_target_": "DynUNet", "spatial_dims": 2, "in_channels": 1, "out_channels": 9, "deep_supervision": True}
    network |= {"kernel_size": [3, 3, 3], "strides": [1, 2, 2], "upsample_kernel_size": [2, 2], "filters": [4, 8, 16]}
    bundle = read_bundle(changed(tmp_path, network_def=network))
    made = bundle.network(3)
    assert made(torch.zeros(2, 1, 16, 16)).shape == (2, 3, 16, 16)
    assert bundle.dimensions == 2


def test_its_transforms_augment_and_do_not_cut(tmp_path: Path) -> None:
    cut = {"_target_": "RandCropByPosNegLabeld", "keys": ["image", "label"], "label_key": "label"}
    known = [{**cut, "spatial_size": [4, 4, 4]}, {"_target_": "RandFlipd", "keys": ["image", "label"], "prob": 1.0}]
    bundle = read_bundle(changed(tmp_path, train={"random_transforms": known}))
    image = torch.arange(8.0).reshape(1, 2, 2, 2)
    found = bundle.augmentation({"image": image, "label": image})
    assert torch.equal(torch.as_tensor(found["image"]), image.flip(1, 2, 3))


def test_it_says_where_it_learns(tmp_path: Path) -> None:
    assert read_bundle(EXAMPLE).device == torch.device("cpu")
    assert read_bundle(changed(tmp_path, device="$torch.device('meta')")).device == torch.device("meta")


def test_what_a_bundle_lacks_is_one_line(tmp_path: Path) -> None:
    with pytest.raises(SystemExit, match=r"^error: .* is no bundle to train: it has none of configs/train\.json"):
        read_bundle(tmp_path)
    with pytest.raises(SystemExit, match=r"^error: train\.json of the bundle lacks 'loss'$"):
        read_bundle(changed(tmp_path, loss=None))


def test_an_inferer_without_windows_is_refused(tmp_path: Path) -> None:
    bundle = read_bundle(changed(tmp_path, validate={"inferer": {"_target_": "SimpleInferer"}}))
    with pytest.raises(SystemExit, match="'validate#inferer' of the bundle is no SlidingWindowInferer"):
        _ = bundle.inferer


def test_a_model_stands_alone(tmp_path: Path) -> None:
    bundle = read_bundle(EXAMPLE)
    keep_bundle(bundle, tmp_path)
    assert kept_bundle(tmp_path) == bundle
    assert isinstance(kept_bundle(tmp_path), Bundle)
