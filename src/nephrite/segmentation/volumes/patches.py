"""Patches of volumes to learn from: drawn by seed and step, then cut while reading; and whole volumes.

Some patches have a voxel of a class in their middle, each class of the volume being as likely, the others any voxel
(Isensee et al. 2021, nnU-Net, methods). A volume that is smaller than a patch is continued by its outermost slices,
rows or columns, which do not count.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import torch
from jaxtyping import Float, Int64, Integer, UInt8
from monai.transforms.utils import generate_label_classes_crop_centers
from torch import Tensor
from torch.utils.data import Dataset

from nephrite.config import IGNORED
from nephrite.seeds import derive_seed
from nephrite.segmentation.backend import StoredScan
from nephrite.segmentation.fit_task import LabeledSource
from nephrite.store.runs import Run
from nephrite.store.thinning import thin
from nephrite.training.data import SteppedBatches

MOST = 10_000  # voxels of a class that are remembered, evenly over the volume; nnU-Net's number
SEEDS = 2**32  # exclusive: what NumPy's older generator, which MONAI asks, takes

PatchSize = tuple[int, int, int]


class VolumeBatch(NamedTuple):
    """Some patches, or a whole volume.

    Attributes:
        image: windowed to [0, 1].
        label: label values; `IGNORED` where nothing is known, and beyond the volume.
        volume: for each patch, the place of its volume.
    """

    image: Float[Tensor, "batch 1 slice height width"]
    label: UInt8[Tensor, "batch slice height width"]
    volume: Integer[Tensor, " batch"]


class PatchDraw(NamedTuple):
    """A patch of a volume, by its place; where it lies follows from the seed."""

    place: int
    seed: int


class PatchBatches(SteppedBatches[PatchDraw]):
    """Batches of patches: volumes as other batches choose them, and seeds that follow from seed and step.

    Args:
        volumes: choose the volumes.
        seed: of the draws.
    """

    def __init__(self, volumes: SteppedBatches[int], *, seed: int) -> None:
        super().__init__(volumes.steps, rank=volumes.rank, ranks=volumes.ranks, done=volumes.done)
        self.volumes, self.seed = volumes, seed

    def batch(self, step: int) -> list[PatchDraw]:
        """The whole batch of one step, counted from the start of the training."""
        places = self.volumes.batch(step)
        return [PatchDraw(place, derive_seed(self.seed, step, row) % SEEDS) for row, place in enumerate(places)]


class Volumes(Dataset[VolumeBatch]):
    """Runs of neighboring slices, each a volume; an item is one of them, whole.

    Args:
        parts: where scans and label maps lie, and the runs that are taken from each.
    """

    def __init__(self, *parts: tuple[LabeledSource, Sequence[Run]]) -> None:
        self._runs = [(source, run) for source, runs in parts for run in runs]
        self._found: dict[int, list[Int64[np.ndarray, " voxel"]]] = {}

    def __len__(self) -> int:
        """Number of volumes."""
        return len(self._runs)

    @property
    def patients(self) -> list[str]:
        """The patient of each volume."""
        return [run.patient for _, run in self._runs]

    def __getitem__(self, places: Sequence[int]) -> VolumeBatch:
        """Read whole volumes, which have one shape: mostly a single one."""
        whole = [self.read(place, (range(len(self.label(place))),)) for place in places]
        return _to_batch(whole, list(places))

    def label(self, place: int) -> UInt8[np.ndarray, "slice height width"]:
        """The label map of a volume."""
        source, run = self._runs[place]
        return source.label(run.patient)[run.part.start : run.part.stop]

    def read(self, place: int, box: tuple[range, ...]) -> tuple[np.ndarray, np.ndarray]:
        """Image and label map of a part of a volume: of some slices, or rows and columns of these."""
        source, run = self._runs[place]
        slices, *plane = box
        within = tuple(slice(side.start, side.stop) for side in plane)
        planes = StoredScan(source.volumes, run.patient, part=run.part).windowed(slices)
        return planes[:, *within], np.asarray(self.label(place)[slices.start : slices.stop, *within])

    def voxels(self, place: int) -> list[Int64[np.ndarray, " voxel"]]:
        """Voxels of each class of a volume, by their place in it; read once."""
        if place not in self._found:
            label = np.asarray(self.label(place))
            classes = [value for value in np.unique(label) if value not in (0, IGNORED)]
            self._found[place] = [_some(np.flatnonzero(label == value)) for value in classes]
        return self._found[place]


class Patches(Dataset[VolumeBatch]):
    """Patches of volumes; an item is a whole batch.

    Args:
        volumes: to cut from.
        size: slices, rows and columns of a patch.
        forced: probability that a patch has a voxel of a class in its middle, if its volume holds some.
    """

    def __init__(self, volumes: Volumes, size: PatchSize, *, forced: float) -> None:
        self.volumes, self.size, self.forced = volumes, size, forced

    def __getitem__(self, draws: Sequence[PatchDraw]) -> VolumeBatch:
        """Read the patches that were drawn as one batch."""
        return _to_batch([self._cut(draw) for draw in draws], [draw.place for draw in draws])

    def _cut(self, draw: PatchDraw) -> tuple[np.ndarray, np.ndarray]:
        shape = self.volumes.label(draw.place).shape
        center = self._center(draw, shape)
        # the part of the patch that lies in the volume
        taken = [min(side, length) for side, length in zip(self.size, shape, strict=True)]
        first = [
            min(max(middle - side // 2, 0), length - side)
            for middle, side, length in zip(center, taken, shape, strict=True)
        ]
        box = tuple(range(start, start + side) for start, side in zip(first, taken, strict=True))
        image, label = self.volumes.read(draw.place, box)
        # what is missing
        lacking = [(lack // 2, lack - lack // 2) for lack in np.subtract(self.size, taken).tolist()]
        return np.pad(image, lacking, mode="edge"), np.pad(label, lacking, constant_values=IGNORED)

    def _center(self, draw: PatchDraw, shape: tuple[int, ...]) -> tuple[int, ...]:
        """The voxel in the middle: of a class, or any."""
        found = self.volumes.voxels(draw.place)
        shares = [self.forced / len(found) for _ in found]
        (center,) = generate_label_classes_crop_centers(
            self.size,
            1,
            shape,
            [*found, range(math.prod(shape))],  # type: ignore[list-item] # indexed as an array is, without its memory
            [*shares, 1 - self.forced if found else 1.0],
            np.random.RandomState(draw.seed),
            allow_smaller=True,
            warn=False,
        )
        return tuple(int(middle) for middle in center)


def _some(voxels: Int64[np.ndarray, " voxel"]) -> Int64[np.ndarray, " voxel"]:
    return voxels[thin(range(len(voxels)), MOST)]


def _to_batch(cuts: Sequence[tuple[np.ndarray, np.ndarray]], places: list[int]) -> VolumeBatch:
    images, labels = zip(*cuts, strict=True)
    image = torch.from_numpy(np.stack(images))[:, None]
    return VolumeBatch(image, torch.from_numpy(np.stack(labels)), torch.tensor(places))
