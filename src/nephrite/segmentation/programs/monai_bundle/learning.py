"""The verb 'fit': patches of the inferer's size, as often of a case's foreground as of anywhere."""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Sequence

import monai
import numpy as np
import torch
from monai.transforms.compose import Compose
from monai.utils.misc import set_determinism
from safetensors.torch import save_file
from torch import Tensor

from nephrite.segmentation.programs.fit_record import PROGRESS, RECORD
from nephrite.segmentation.programs.monai_bundle.bundle import Bundle, keep_bundle
from nephrite.segmentation.programs.monai_bundle.cases import Folder, open_folder

WEIGHTS, VALUES = "weights.safetensors", "values"
TOLD = 20  # lines of progress
Case = tuple[np.ndarray, np.ndarray]


def fit(bundle: Bundle, given: argparse.Namespace) -> None:
    """Train, and write the folder of the model.

    Args:
        bundle: whose network learns.
        given: options of the verb.

    Raises:
        SystemExit: the loss became NaN or infinite.
    """
    # the same seed, the same weights
    set_determinism(given.seed)
    rng, started = np.random.default_rng(given.seed), time.perf_counter()
    shares = {"train": 1 - given.share - given.extra_share, "synthetic": given.share, "extra": given.extra_share}
    folders = {name: open_folder(getattr(given, name)) for name in shares if getattr(given, name)}
    values = sorted({value for folder in folders.values() for value in folder.values})
    cases = {name: list(folder.cases(values)) for name, folder in folders.items()}
    chances = np.array([shares[name] for name in cases]) / sum(shares[name] for name in cases)
    # train
    network = bundle.network(len(values) + 1).to(bundle.device)
    (loss, optimizer), size = bundle.training(network), window_of(bundle, next(iter(folders.values())))
    augmentation = bundle.augmentation if given.augmentation == "standard" else Compose([])
    augmentation.set_random_state(given.seed)
    every = max(1, given.steps // TOLD)
    with (given.out / PROGRESS).open("w", encoding="utf-8") as progress:
        for step in range(1, given.steps + 1):
            chosen = [rng.choice(list(cases), p=chances) for _ in range(bundle.batch)]
            drawn = [draw_patch(cases[name], size, bundle.dimensions, rng) for name in chosen]
            image, label = stack([augmentation({"image": a, "label": b}) for a, b in drawn])
            optimizer.zero_grad()
            found = loss(network(image.to(bundle.device)), label.to(bundle.device))
            if not torch.isfinite(found):
                raise SystemExit(f"error: the loss of step {step} is {found.item()}; lower the learning rate")
            found.backward()
            optimizer.step()
            if step % every == 0:
                progress.write(json.dumps({"step": step, "train_loss": found.item()}) + "\n")
                progress.flush()
    # what predicts, and what was done
    save_file({name: value.contiguous() for name, value in network.state_dict().items()}, given.out / WEIGHTS)
    keep_bundle(bundle, given.out)
    record = {
        "steps": given.steps,
        "seed": given.seed,
        "cases": sum(map(len, cases.values())),
        "seconds": time.perf_counter() - started,
        "version": f"monai {monai.__version__}",
        VALUES: values,
    }
    (given.out / RECORD).write_text(json.dumps(record), encoding="utf-8")


def window_of(bundle: Bundle, folder: Folder) -> tuple[int, ...]:
    """Voxels of a patch: the inferer's window, or one number for all sides; -1 is the whole side of the first case."""
    roi, (_, _, image) = bundle.inferer.roi_size, next(folder.images())
    sides = [roi] * bundle.dimensions if isinstance(roi, int) else list(roi)
    return tuple(whole if side < 1 else side for side, whole in zip(sides, image.shape, strict=False))


def draw_patch(
    cases: Sequence[Case], size: Sequence[int], dimensions: int, rng: np.random.Generator
) -> tuple[Tensor, Tensor]:
    """A patch of a case that is drawn: about a voxel of some class in half of the draws, else about any; padded with 0.

    Args:
        cases: scans and their classes.
        size: of the patch, in voxels.
        dimensions: 3 for volumes, 2 for a slice of one.
        rng: draws.

    Returns:
        Image and classes, each with one channel.
    """
    image, label = cases[int(rng.integers(len(cases)))]
    places = np.flatnonzero(label) if rng.random() < 0.5 else ()
    index = places[rng.integers(len(places))] if len(places) else rng.integers(label.size)
    center = np.unravel_index(index, label.shape)
    if dimensions == 2:
        image, label = image[..., center[2]], label[..., center[2]]
    taken, padding = [], []
    for middle, side, whole in zip(center, size, image.shape, strict=False):
        start = int(np.clip(middle - rng.integers(side), 0, max(whole - side, 0)))
        taken.append(slice(start, start + side))
        padding.append((0, max(side - whole, 0)))
    parts = [np.pad(part[tuple(taken)], padding)[None] for part in (image, label)]
    return torch.from_numpy(parts[0]), torch.from_numpy(parts[1])


def stack(samples: Sequence[dict[str, Tensor]]) -> tuple[Tensor, Tensor]:
    """Samples as one batch, without what MONAI's transforms note down of each."""
    images, labels = (torch.stack([torch.as_tensor(each[name]) for each in samples]) for name in ("image", "label"))
    return images, labels
