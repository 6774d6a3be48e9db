"""How long a training step of a synthesizer takes on this machine, measured before a trial is run."""

from __future__ import annotations

import time
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory

import numpy as np
import torch
from jaxtyping import Float32, UInt8
from lightning.pytorch import Callback

from nephrite.config import Config, TrainGanSettings
from nephrite.generation.conditioning import Conditioning
from nephrite.generation.fitting import training_of
from nephrite.recording import SilentRun
from nephrite.segmentation.in_process.step_time import LONGEST_STEP, PROBE_BATCH, PROBE_WIDTH
from nephrite.store.slices import SliceRef
from nephrite.terminal import quiet
from nephrite.training.data import Pairs
from nephrite.training.devices import pick_device
from nephrite.training.trainer import fit

WARM, TIMED = 2, 3  # steps of a measurement
PATIENT = "made up"


class MadeUpSlices:
    """Noise, with a square of each class; enough where only time is measured."""

    def __init__(self, size: int, values: tuple[int, ...]) -> None:
        self.image = np.random.default_rng(0).random((size, size), dtype=np.float32)
        self.map = np.zeros((1, size, size), np.uint8)
        side = size // (len(values) + 1)
        for place, value in enumerate(values):
            self.map[0, place * side : (place + 1) * side, :side] = value

    def windowed(self, ref: SliceRef) -> Float32[np.ndarray, "height width"]:
        """One slice in [0, 1]."""
        return self.image

    def label(self, patient: str) -> UInt8[np.ndarray, "slice height width"]:
        """The one label map."""
        return self.map


class StepClock(Callback):
    """Seconds of each step, from batch to batch."""

    def __init__(self) -> None:
        self.seconds: list[float] = []

    def on_train_batch_start(self, *_: object) -> None:
        """Start."""
        self.started = time.perf_counter()

    def on_train_batch_end(self, *_: object) -> None:
        """Stop."""
        if torch.cuda.is_available():
            torch.cuda.synchronize()
        self.seconds.append(time.perf_counter() - self.started)


def synthesizer_step_seconds(config: Config, synthesizer: str) -> float:
    """Seconds of one step of generator and discriminator on one thread, or on the GPU; 0 where nothing is trained.

    On a processor a step that would take long is extrapolated from a narrow network and few slices, since cost grows
    with the slices and the square of the width.
    """
    settings = config.train_gan[synthesizer]
    if training_of(settings.method) is None:
        return 0.0
    if pick_device(config.compute) == "cpu":
        narrow, factor = probe(settings)
        expected = factor * settings.batch_size / PROBE_BATCH * _measured(config, narrow)
        if expected > LONGEST_STEP:
            return expected
    return _measured(config, settings)


def probe(settings: TrainGanSettings) -> tuple[TrainGanSettings, float]:
    """Settings of networks that cost little, and the factor by which those asked for cost more."""
    (method, factor), discriminator = settings.method.narrowed(PROBE_WIDTH), settings.discriminator
    changes = {
        "method": method,
        "discriminator": discriminator.model_copy(update={"base_width": min(discriminator.base_width, PROBE_WIDTH)}),
        "batch_size": PROBE_BATCH,
    }
    return settings.model_copy(update=changes), factor


def _measured(config: Config, settings: TrainGanSettings) -> float:
    """Median of a few steps of the training itself, on made-up slices."""
    clock = StepClock()
    size, classes = config.prepare.in_plane.size, tuple(config.prepare.classes)
    train_on_made_up_slices(config, settings, WARM + TIMED, clock, size=size, classes=classes)
    return median(clock.seconds[WARM:])


def train_on_made_up_slices(
    config: Config, settings: TrainGanSettings, steps: int, *callbacks: Callback, size: int, classes: tuple[int, ...]
) -> None:
    """Train for a few steps on noise, on one device and one thread; nothing is kept."""
    # a training on made-up slices
    training = training_of(settings.method)
    assert training is not None
    slices = [SliceRef(PATIENT, 0)] * (steps * settings.batch_size)
    module = training(
        settings.model_copy(update={"epochs": 1}),
        Pairs((MadeUpSlices(size, classes), slices)),
        conditioning=_conditioning(settings, classes),
        size=size,
        seed=0,
        callbacks=callbacks,
    )
    # others would wait for each other
    alone = config.compute.model_copy(update={"devices": 1, "strategy": "auto"})  # others would run 'plan' as well
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        with TemporaryDirectory(prefix="nephrite-") as folder, quiet(True):
            fit(module, alone, folder=Path(folder), epochs=1, run=SilentRun(), text="A few steps on noise")
    finally:
        torch.set_num_threads(threads)


def _conditioning(settings: TrainGanSettings, classes: tuple[int, ...]) -> Conditioning:
    """The conditioning of the training, with made-up borders between tissues."""
    edges = None
    if settings.condition == "anatomy":
        edges = tuple(np.linspace(0, 1, settings.tissue.classes + 1)[1:-1].tolist())
    smoothing, rim = settings.tissue.smoothing, settings.method.region_rim
    return Conditioning(classes, edges, smoothing, lesions=classes, rim=rim)
