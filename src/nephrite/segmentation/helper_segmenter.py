"""Helper segmenters, which label slices for other stages: trained on real slices of a painter's own patients alone.

`screen` asks one whether painted slices show what was asked for, `synthesize` what scans without labels hold.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import torch

from nephrite.config import Config
from nephrite.recording import SilentRun
from nephrite.segmentation.artifacts import WEIGHTS, load_weights
from nephrite.segmentation.fitting import SegmentationModule, SegmentationTask
from nephrite.segmentation.networks import Segmenter, build_segmenter
from nephrite.store.slices import PairStore, SliceRef
from nephrite.store.thinning import thin
from nephrite.training.data import Pairs, derive_seed
from nephrite.training.devices import pick_device
from nephrite.training.mixing import group_counts
from nephrite.training.trainer import fit

EPOCHS = 4  # states of the training to choose from
CHOOSING = 128  # training slices that choose one


def fit_helper(
    config: Config, store: PairStore, slices: Sequence[SliceRef], folder: Path, *, segmenter: str, steps: int, seed: int
) -> Segmenter:
    """Train a segmenter on some real slices with the standard augmentation, and on nothing else.

    Its learning rate, batch size and loss are those of the arms. What chooses the weights are training slices too, so
    that validation patients stay unseen, by whom its figures are compared.

    Args:
        config: the settings.
        store: of real slices.
        slices: training slices of the patients whose labels are known.
        folder: of checkpoints; a training that was killed goes on from there.
        segmenter: a name under 'train_segmenter.segmenters'.
        steps: optimizer steps.
        seed: of weights and order.

    Returns:
        In evaluation mode, on the device that predicts.

    Raises:
        NonFiniteLossError: the loss became NaN or infinite.
    """
    epochs = min(EPOCHS, steps)
    each = -(-steps // epochs)
    settings = config.train_segmenter.model_copy(
        update={"epochs": epochs, "steps_per_epoch": each, "early_stopping": None}
    )
    task = SegmentationTask(
        training=Pairs((store, slices)),
        groups=(len(slices),),
        counts=group_counts([], steps=epochs * each, batch_size=settings.batch_size),
        validation=Pairs((store, thin(slices, CHOOSING))),
        channels=store.manifest.channels,
        region=config.evaluate.regions[config.trial.primary].labels,
        threshold=config.evaluate.threshold,
        augmentation="standard",
    )
    folder.mkdir(parents=True, exist_ok=True)
    with torch.random.fork_rng():
        torch.manual_seed(derive_seed(seed, "weights"))
        network = build_segmenter(config.train_segmenter.segmenters[segmenter], channels=len(task.channels))
    module = SegmentationModule(network, task, settings, seed=seed, folder=folder)
    compute = config.compute.model_copy(update={"devices": 1, "strategy": "auto"})
    fit(module, compute, folder=folder, epochs=epochs, run=SilentRun(), text=f"Reader of {config.this_painter}")
    load_weights(module.network, folder / WEIGHTS)
    return module.network.to(pick_device(config.compute)).eval()
