"""Our training against the capstone's own loop, and against bare PyTorch steps; in turns, epoch by epoch."""

from __future__ import annotations

import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from statistics import median

import numpy as np
import torch
from capstone_loop import CapstoneLoop, SliceFiles, write_files
from interleaved import Row, interleave, median_ratio, spread
from phantom_data import bench_config, run_prepare
from torch import Tensor

from nephrite.config import Config
from nephrite.models.losses import dice_loss
from nephrite.recording import SilentRun
from nephrite.segmentation.in_process.fitting import SegmentationModule, SegmentationTask
from nephrite.segmentation.in_process.networks import Segmenter
from nephrite.segmentation.in_process.unet import UNetBackend, UNetSettings
from nephrite.store.slices import PairStore
from nephrite.training.data import Batch, Pairs, channel_masks
from nephrite.training.devices import pick_device, resolve_precision
from nephrite.training.mixing import mix
from nephrite.training.trainer import fit

NETWORK = UNetSettings(kind="unet", base_width=16, depth=4, padding="same", normalization="batch")
STEPS, BATCH = 10, 8
CAPSTONE_TARGET, BARE_TARGET = 2.5, 0.9


@dataclass(frozen=True)
class Comparison:
    """One run in which all take turns.

    Attributes:
        size: pixels per side.
        augmented: whether our training and the capstone's augment; bare steps never do.
    """

    size: int
    augmented: bool

    @property
    def name(self) -> str:
        """For the table."""
        return f"{self.size} px, {'with' if self.augmented else 'without'} geometric augmentation"


COMPARISONS = (Comparison(96, augmented=False), Comparison(96, augmented=True), Comparison(128, augmented=False))


class TimedModule(SegmentationModule):
    """Our training, unchanged; seconds of the steps of each epoch. Before each epoch the others have their turn.

    The first epoch warms caches and is left out. Validation, checkpoint and the trainer's start are not counted.
    """

    def take_turns(self, others: Mapping[str, Callable[[], object]]) -> None:
        """Set who else runs."""
        self.others = others
        self.seconds: dict[str, list[float]] = {name: [] for name in ("ours", *others)}

    def on_train_epoch_start(self) -> None:
        """The others' turn, then ours."""
        for name, run in self.others.items():
            started = time.perf_counter()
            run()
            self.seconds[name].append(time.perf_counter() - started)
        self.begun = time.perf_counter()

    def on_train_batch_end(self, outputs: object, batch: Batch, batch_idx: int) -> None:
        """The turn ends with the last optimizer step, before validation."""
        if batch_idx == STEPS - 1:
            self.seconds["ours"].append(time.perf_counter() - self.begun)


class BareSteps:
    """The least that a training step can be: one batch in memory, forward, loss, backward, Adam."""

    def __init__(
        self, network: Segmenter, batch: Batch, channels: Mapping[str, tuple[int, ...]], config: Config
    ) -> None:
        self.device = pick_device(config.compute)
        self.network = network.to(self.device).to(memory_format=torch.channels_last).train()
        self.image = batch.image.to(self.device)
        self.target = channel_masks(batch.label, channels).to(self.device)
        self.precision = resolve_precision(config.compute)
        self.optimizer = torch.optim.Adam(network.parameters(), lr=0.001, fused=True)

    def train(self, steps: int) -> None:
        """Train on the same batch for some steps."""
        for _ in range(steps):
            self.optimizer.zero_grad()
            self.loss().backward()
            self.optimizer.step()

    def loss(self) -> Tensor:
        """In the precision of our training."""
        with torch.autocast(self.device, torch.bfloat16, enabled=self.precision == "bf16-mixed"):
            return dice_loss(self.network(self.image), self.target)


def compare(raw: Path, repeats: int = 7) -> Iterator[Row]:
    """For each comparison one line against the capstone; against bare steps where nobody augments."""
    for comparison in COMPARISONS:
        with tempfile.TemporaryDirectory() as scratch:
            seconds, workers = measure(raw, Path(scratch), comparison, repeats)
        yield capstone_row(comparison, seconds, workers)
        if not comparison.augmented:
            yield bare_row(comparison, seconds)


def measure(raw: Path, folder: Path, comparison: Comparison, repeats: int) -> tuple[dict[str, list[float]], int]:
    """Seconds per turn of ours, the capstone's and bare steps; and how many reading processes suit the capstone."""
    run_prepare(raw, folder / "pairs", size=comparison.size)
    store, config = PairStore(folder / "pairs"), bench_config(comparison.size)
    module = timed_module(store, config, comparison, repeats, folder)
    files = SliceFiles(write_files(store, folder / "files"), augment=comparison.augmented)
    capstone, workers = best_capstone(files)
    bare = BareSteps(new_network(), module.task.training[list(range(BATCH))], store.manifest.channels, config)
    module.take_turns({"capstone": lambda: capstone.train(STEPS), "bare": lambda: bare.train(STEPS)})
    fit(module, config.compute, folder=folder, epochs=repeats + 1, run=SilentRun(), text="bench")
    return {name: values[1:] for name, values in module.seconds.items()}, workers


def timed_module(store: PairStore, config: Config, comparison: Comparison, repeats: int, folder: Path) -> TimedModule:
    """Our training as `train_segmenter` builds it, on the memory-mapped store."""
    pace = {"epochs": repeats + 1, "steps_per_epoch": STEPS, "batch_size": BATCH}
    slices = store.slices("train")
    task = SegmentationTask(
        training=Pairs((store, slices)),
        mixture=mix(np.ones(len(slices), bool), (), steps=pace["epochs"] * STEPS, batch_size=BATCH),
        validation=Pairs((store, store.slices("validation")[:BATCH])),
        channels=store.manifest.channels,
        region=(2,),
        threshold=0.5,
        augmentation="geometric" if comparison.augmented else "none",
    )
    settings = config.train_segmenter.model_copy(update=pace)
    return TimedModule(new_network(), task, settings, seed=0, folder=folder)


def new_network() -> Segmenter:
    """The same weights for everybody."""
    with torch.random.fork_rng():
        torch.manual_seed(0)
        return UNetBackend(NETWORK).build(2)


def best_capstone(files: SliceFiles) -> tuple[CapstoneLoop, int]:
    """The capstone's loop with no reading process or with two, whichever is quicker here."""
    loops = {workers: CapstoneLoop(new_network(), files, batch_size=BATCH, workers=workers) for workers in (0, 2)}
    trial = interleave({str(workers): lambda loop=loop: loop.train(STEPS // 2) for workers, loop in loops.items()}, 2)
    best = min(loops, key=lambda workers: median(trial[str(workers)]))
    return loops[best], best


def capstone_row(comparison: Comparison, seconds: Mapping[str, list[float]], workers: int) -> Row:
    """How many times the capstone's images per second."""
    ratio = median_ratio(seconds["capstone"], seconds["ours"])
    ratios = [slow / fast for slow, fast in zip(seconds["capstone"], seconds["ours"], strict=True)]
    rates = {name: STEPS * BATCH / median(values) for name, values in seconds.items()}
    return Row(
        f"training step against the capstone's own loop ({comparison.name})",
        f"at least {CAPSTONE_TARGET} times the images/s",
        f"{ratio:.2f} times",
        ratio >= CAPSTONE_TARGET,
        f"{spread(ratios)} times; {rates['ours']:.0f} against {rates['capstone']:.0f} images/s; "
        f"{workers or 'no'} reading processes suit it best",
    )


def bare_row(comparison: Comparison, seconds: Mapping[str, list[float]]) -> Row:
    """How much of a bare step's speed the whole loop keeps."""
    share = median_ratio(seconds["bare"], seconds["ours"])
    shares = [bare / ours for bare, ours in zip(seconds["bare"], seconds["ours"], strict=True)]
    rates = {name: STEPS * BATCH / median(values) for name, values in seconds.items()}
    return Row(
        f"training loop against bare PyTorch steps on a tensor in memory ({comparison.name})",
        f"at least {BARE_TARGET:.0%}",
        f"{share:.0%}",
        share >= BARE_TARGET,
        f"{min(shares):.0%} to {max(shares):.0%}; {rates['ours']:.0f} against {rates['bare']:.0f} images/s",
    )
