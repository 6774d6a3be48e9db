"""The segmenter that screens painted slices: trained on real slices of the painter's own patients, it reads them.

b  slices of a batch    c  channels of the segmenter    f  features
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple, TypeVar

import numpy as np
import torch
from jaxtyping import Bool, Float32, UInt8

from nephrite.config import Config
from nephrite.imaging.slices import PairStore, SliceRef
from nephrite.models.features import logits_and_features
from nephrite.models.segmenters import Segmenter, build_segmenter
from nephrite.recording import SilentRun
from nephrite.synthesis.overlap import coarse_masks, mask_overlap
from nephrite.training.artifacts import WEIGHTS, load_weights
from nephrite.training.data import Pairs, derive_seed
from nephrite.training.devices import pick_device
from nephrite.training.mixing import group_counts
from nephrite.training.segmentation import SegmentationModule, SegmentationTask
from nephrite.training.trainer import fit

Item = TypeVar("Item")
EPOCHS = 4  # states of the training to choose from
CHOOSING = 128  # training slices that choose one
BATCH = 32


class Seen(NamedTuple):
    """A batch of slices, and what a segmenter makes of it.

    Attributes:
        image: windowed to [0, 1].
        label: label values that were asked for.
        found: masks of the channels.
        features: of the segmenter's deepest level, one row per slice.
    """

    image: Float32[np.ndarray, "b h w"]
    label: UInt8[np.ndarray, "b h w"]
    found: Bool[np.ndarray, "b c h w"]
    features: Float32[np.ndarray, "b f"]


def fit_examiner(config: Config, store: PairStore, slices: Sequence[SliceRef], folder: Path) -> Segmenter:
    """Train the segmenter that `screen` names, on some real slices with the standard augmentation, and on nothing else.

    Its learning rate, batch size and loss are those of the arms. What chooses the weights are training slices too, so
    that validation patients stay unseen, by whom its figures are compared.

    Args:
        config: the settings; the painter is that of the stage.
        store: of real slices.
        slices: training slices of the patients whose labels the painter knows.
        folder: of checkpoints; a training that was killed goes on from there.

    Returns:
        In evaluation mode, on the device that predicts.

    Raises:
        NonFiniteLossError: the loss became NaN or infinite.
    """
    epochs = min(EPOCHS, config.screen.steps)
    each = -(-config.screen.steps // epochs)
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
    seed = derive_seed(config.trial.seed, config.this_painter, "screen")
    module = SegmentationModule(_initialized(config, task, seed), task, settings, seed=seed, folder=folder)
    compute = config.compute.model_copy(update={"devices": 1, "strategy": "auto"})
    fit(module, compute, folder=folder, epochs=epochs, run=SilentRun(), text=f"Examiner of {config.this_painter}")
    load_weights(module.network, folder / WEIGHTS)
    return module.network.to(pick_device(config.compute)).eval()


def examine(examiner: Segmenter, store: PairStore, slices: Sequence[SliceRef], *, threshold: float) -> Iterator[Seen]:
    """Show slices to the examiner, one batch at a time; float32, whatever its training's precision was.

    Args:
        examiner: in evaluation mode; its device is used.
        store: where the slices are.
        slices: to be shown, in this order.
        threshold: of the sigmoid.
    """
    pairs, device = Pairs((store, slices)), next(examiner.parameters()).device
    for start in range(0, len(pairs), BATCH):
        batch = pairs[range(start, min(start + BATCH, len(pairs)))]
        with torch.inference_mode():
            logits, features = logits_and_features(examiner, batch.image.to(device))
            found = (logits.sigmoid() >= threshold).cpu().numpy()
        yield Seen(batch.image[:, 0].numpy(), batch.label.numpy(), found, features.cpu().numpy())


def nearest_masks(
    store: PairStore, slices: Sequence[SliceRef], training: PairStore, references: Sequence[SliceRef]
) -> Float32[np.ndarray, " slice"]:
    """Dice of each mask with the training mask that it is most like; NaN for a mask without any class.

    Args:
        store: of the masks that are looked up.
        slices: theirs.
        training: store of the training masks.
        references: theirs; those without any class are left aside.
    """
    classes = list(store.manifest.classes)
    known = _coarse(training, references, classes)
    overlap = np.full(len(slices), np.nan, np.float32)
    for start in range(0, len(slices), BATCH):
        rows = slice(start, start + BATCH)
        new = _coarse(store, slices[rows], classes)
        dice = mask_overlap(new, known[:, known.any(dim=2).any(dim=0)]).dice.clamp(0, 1)
        overlap[rows] = torch.where(new.any(dim=2).any(dim=0), dice, torch.nan).numpy()
    return overlap


def thin(items: Sequence[Item], most: int) -> list[Item]:
    """At most so many of them, evenly over all."""
    places = np.linspace(0, len(items) - 1, min(most, len(items))).round().astype(int)
    return [items[place] for place in places]


def _initialized(config: Config, task: SegmentationTask, seed: int) -> Segmenter:
    with torch.random.fork_rng():
        torch.manual_seed(derive_seed(seed, "weights"))
        settings = config.train_segmenter.segmenters[config.screen.segmenter]
        return build_segmenter(settings, channels=len(task.channels))


def _coarse(store: PairStore, slices: Sequence[SliceRef], classes: Sequence[int]) -> torch.Tensor:
    parts = []
    for start in range(0, len(slices), BATCH):
        labels = [store.label(ref.patient)[ref.position] for ref in slices[start : start + BATCH]]
        parts.append(coarse_masks(torch.from_numpy(np.stack(labels)), classes))
    return torch.cat(parts, dim=1)
