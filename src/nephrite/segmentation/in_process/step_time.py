"""How long an optimizer step of a segmenter takes on this machine, measured before a trial is run."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import nn

from nephrite.augment import geometric, standard
from nephrite.augment.spatial import SpatialRanges
from nephrite.config import Augmentation, Config
from nephrite.models.losses import dice_loss
from nephrite.segmentation.backend import backend_of
from nephrite.segmentation.in_process.networks import Segmenter
from nephrite.training.devices import pick_device, resolve_precision

if TYPE_CHECKING:
    from nephrite.segmentation.in_process.family import InProcess

LEAST_CALLS, MOST_CALLS, ENOUGH = 3, 20, 1.0  # timed calls, and seconds after which they are enough
PROBE_SIZE, PROBE_WIDTH = 64, 16  # slice and network that any processor trains in a moment
PROBE_BATCH = 2  # the fewest slices from which batch normalization can learn
LONGEST_STEP = 1.0  # seconds; on a processor a longer step is extrapolated from the probe


def step_seconds(config: Config, segmenter: str) -> float:
    """Seconds of one optimizer step on one thread, or on the GPU; without augmentation."""
    return backend_of(config.train_segmenter.segmenters[segmenter]).step_seconds(config)


def network_step_seconds(config: Config, backend: InProcess[Any]) -> float:
    """The same of a network that is trained in this process, measured on made-up slices.

    On a processor a step that would take long is extrapolated from a small one, since cost grows with the pixels, the
    slices, and as the kind says of itself.
    """
    size, batch = config.learned_size, config.train_segmenter.batch_size
    if pick_device(config.compute) == "cpu":
        # on a processor, a cheap network tells if a step would take too long to be timed
        probe, factor = backend.cheap()
        network = _network(config, probe)
        small = min(size, PROBE_SIZE)
        pixels = (network.input_size(size) / network.input_size(small)) ** 2
        measured = training_seconds(config, network, batch=PROBE_BATCH, space=(small, small))
        expected = factor * batch / PROBE_BATCH * pixels * measured
        if expected > LONGEST_STEP:
            return expected
    # else time the network itself
    taken = max(batch, PROBE_BATCH)
    return batch / taken * training_seconds(config, _network(config, backend), batch=taken, space=(size, size))


def augmentation_seconds(config: Config, augmentation: Augmentation) -> float:
    """Seconds that a batch's augmentation takes; pasted lesions are not counted."""
    # a made-up batch, augmented as in training
    settings, size = config.train_segmenter, config.learned_size
    batch, generator = settings.batch_size, torch.Generator().manual_seed(0)
    image, label = torch.rand(batch, 1, size, size), torch.zeros(batch, size, size, dtype=torch.uint8)
    if augmentation == "standard":
        turns = SpatialRanges(**settings.spatial.model_dump())
        ranges = standard.IntensityRanges(**settings.intensity.model_dump())
        return _mean_seconds(
            lambda: standard.apply(standard.draw(batch, moves=turns, ranges=ranges, generator=generator), image, label)
        )
    if augmentation == "geometric":
        moves = settings.geometric.model_dump()
        return _median_seconds(
            lambda: geometric.apply(geometric.draw(batch, **moves, generator=generator), image, label)
        )
    return 0.0


def _network(config: Config, backend: InProcess[Any]) -> Segmenter:
    """The network with random weights: pretrained ones would have to be fetched."""
    network = backend.bare().build(len(config.prepare.channels))
    return network.to(pick_device(config.compute)).to(memory_format=torch.channels_last)


def training_seconds(config: Config, network: nn.Module, *, batch: int, space: tuple[int, ...]) -> float:
    """Seconds of one step of a network on its device, with made-up images of some size."""
    # tiny steps: time matters, not weights
    device, channels = pick_device(config.compute), len(config.prepare.channels)
    half = resolve_precision(config.compute) == "bf16-mixed"
    optimizer = torch.optim.Adam(network.parameters(), lr=1e-9, fused=True)
    image = torch.rand(batch, 1, *space, device=device)
    target = torch.zeros(batch, channels, *space, device=device)

    def step() -> None:
        with torch.autocast(device, torch.bfloat16, enabled=half):
            loss = dice_loss(network(image), target)
        optimizer.zero_grad()
        torch.autograd.backward(loss)
        optimizer.step()
        if device == "cuda":
            torch.cuda.synchronize()

    return _median_seconds(step)


def _median_seconds(call: Callable[[], object]) -> float:
    """Median of a few calls on one thread, as in the runner's processes."""
    return float(np.median(_times(call)))


def _mean_seconds(call: Callable[[], object]) -> float:
    """Their mean, where calls differ by what is drawn."""
    return float(np.mean(_times(call)))


def _times(call: Callable[[], object]) -> list[float]:
    """Seconds of a few calls on one thread; the first call does not count."""
    threads, times = torch.get_num_threads(), list[float]()
    torch.set_num_threads(1)
    try:
        # the first call warms up
        call()
        while len(times) < LEAST_CALLS or (len(times) < MOST_CALLS and sum(times) < ENOUGH):
            started = time.perf_counter()
            call()
            times.append(time.perf_counter() - started)
    finally:
        torch.set_num_threads(threads)
    return times
