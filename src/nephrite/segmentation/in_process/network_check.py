"""Whether a network that settings name is a segmenter at all: tried once, on random slices, before any work.

Libraries also hold classifiers, networks that return lists, and networks that fail on one slice. Users learn it in one
line, not after an hour.
"""

from __future__ import annotations

import warnings
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn

from nephrite.config import ComputeSettings, Config
from nephrite.errors import ConfigError
from nephrite.files import digest
from nephrite.segmentation.backend import SliceShape
from nephrite.segmentation.in_process.features import logits_and_features
from nephrite.segmentation.in_process.networks import Segmenter, mirror_center

if TYPE_CHECKING:
    from nephrite.segmentation.in_process.family import InProcess

SMALL = 64  # pixels per side: what most networks take, and any processor computes in a moment
TOLERANCE = 1e-4  # largest difference of logits between a network and its graph
OTHER = "take another network"
_passed: set[str] = set()  # digests of what was found good in this process


class _FaultError(Exception):
    """What is wrong with a network, and what helps."""

    def __init__(self, finding: str, remedy: str = OTHER) -> None:
        super().__init__(finding)
        self.finding, self.remedy = finding, remedy


def check_network(backend: InProcess[Any], config: Config, shape: SliceShape) -> None:
    """Check that a network can do what trainings, predictions and the registry of models need.

    Logits [b, c, h, w] of the input's size for two slices and for one, finite gradients, features where its kind has
    them, and a graph that takes any number of slices and equals the network. Small slices are tried first; a network
    that refuses them is asked for slices of the size that the settings want.

    Args:
        backend: of the network, which is made without pretrained weights.
        config: settings with the batch size and the devices.
        shape: of the slices; where windows are learned from, they are tried.

    Raises:
        ConfigError: names the kind, the finding and a remedy.
    """
    # once per process for the same network
    size, channels = min(shape.size, config.train_segmenter.window or shape.size), shape.channels
    batch = _smallest_batch(config.train_segmenter.batch_size, config.compute)
    asked = digest([backend.settings.model_dump(mode="json"), channels, size, batch])
    if asked in _passed:
        return
    # the small size first, being quick; a network may need the full one
    for side in [size] if backend.TRIED else sorted({min(SMALL, size), size}):
        try:
            with torch.random.fork_rng(), warnings.catch_warnings():
                warnings.simplefilter("ignore")  # warnings of the library about its own code
                _try_size(backend, channels, side, batch) if backend.TRIED else _try_network(
                    backend, channels, side, batch
                )
        except _FaultError as fault:
            found = fault
        else:
            _passed.add(asked)
            return
    settings = ", ".join(f"{key} {value}" for key, value in backend.settings.model_dump().items() if key != "kind")
    raise ConfigError(f"segmenter of kind '{backend.settings.kind}' ({settings})", found.finding, found.remedy)


def _smallest_batch(batch_size: int, compute: ComputeSettings) -> int:
    """Slices that a device gets at a time in training: 1 or 2 make a difference."""
    devices = compute.devices if isinstance(compute.devices, int) and compute.devices > 0 else 1
    return 1 if batch_size // devices <= 1 else 2


def _try_size(backend: InProcess[Any], channels: int, side: int, batch: int) -> None:
    """One training step without values, which costs nothing: do the shapes fit?"""
    with torch.device("meta"):
        network = backend.bare().build(channels).train()
        slices = torch.empty(batch, 1, side, side)
    try:
        network(slices)
    except Exception as error:
        remedy = "raise 'train_segmenter.batch_size', lower the network's depth, or take larger slices"
        raise _FaultError(f"cannot learn from {_slices(slices)} ({_reason(error)})", remedy) from error


def _try_network(backend: InProcess[Any], channels: int, side: int, batch: int) -> None:
    network = backend.bare().build(channels).eval()
    slices = torch.rand(2, 1, side, side)
    for count in (2, 1):
        _try_logits(network, slices[:count], channels)
    _try_gradients(network, slices[:batch])
    network.eval()
    if backend.settings.FEATURES:
        _try_features(network, slices, backend.deepest(network.network))
    _try_export(network, slices)


def _try_logits(network: Segmenter, slices: Tensor, channels: int) -> None:
    """Test the logits of the network without its wrapper, which would crop logits that are too large."""
    # the size that the network takes
    side = network.input_size(slices.shape[-1])
    framed = mirror_center(slices, side, side)
    try:
        with torch.no_grad():
            found = network.network(framed)
    except Exception as error:
        raise _FaultError(f"refuses {_slices(framed)} ({_reason(error)})") from error
    if not isinstance(found, Tensor):
        raise _FaultError(f"returns a {type(found).__name__} for {_slices(framed)}, and a segmenter returns logits")
    # one finite number per pixel and channel
    wanted = (len(slices), channels, side, side)
    if tuple(found.shape) != wanted:
        finding = f"returns {tuple(found.shape)} for {_slices(framed)}, and a segmenter returns logits {wanted}"
        raise _FaultError(finding)
    if not found.isfinite().all():
        raise _FaultError(f"returns values that are no numbers for {_slices(framed)}")


def _try_gradients(network: nn.Module, slices: Tensor) -> None:
    # one backward pass
    network.train()
    try:
        torch.autograd.backward(network(slices).square().mean())
    except Exception as error:
        remedy = "raise 'train_segmenter.batch_size', or take another network" if len(slices) == 1 else OTHER
        raise _FaultError(f"cannot learn from {_slices(slices)} ({_reason(error)})", remedy) from error
    # some gradients, all finite
    gradients = [weights.grad for weights in network.parameters() if weights.grad is not None]
    if not gradients:
        raise _FaultError("has no parameter that learns")
    if not all(gradient.isfinite().all() for gradient in gradients):
        raise _FaultError("has gradients that are no numbers")


def _try_features(network: nn.Module, slices: Tensor, source: nn.Module) -> None:
    try:
        with torch.no_grad():
            _, features = logits_and_features(network, slices, source)
    except Exception as error:
        raise _FaultError(f"gives no features ({_reason(error)})") from error
    if features.ndim != 2 or not features.isfinite().all():
        raise _FaultError("gives no features that are numbers")


def _try_export(network: nn.Module, slices: Tensor) -> None:
    """Export as `registry` does, from two slices: a graph made from one would accept only one."""
    try:
        exported = torch.export.export(network, (slices,), dynamic_shapes=({0: torch.export.Dim.AUTO},)).module()
        with torch.no_grad():
            for count in (2, 1):
                if not torch.allclose(exported(slices[:count]), network(slices[:count]), atol=TOLERANCE):
                    raise _FaultError(f"differs from its exported graph for {_slices(slices[:count])}")
    except _FaultError:
        raise
    except Exception as error:
        raise _FaultError(f"cannot be exported as a graph for any number of slices ({_reason(error)})") from error


def _slices(slices: Tensor) -> str:
    count, side = len(slices), slices.shape[-1]
    return f"{count} {'slice' if count == 1 else 'slices'} of {side} x {side}"


def _reason(error: Exception) -> str:
    return str(error).strip().partition("\n")[0] or type(error).__name__
