"""A segmenter of any kind on scans that no store holds: label maps on the voxels of each scan."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
from jaxtyping import Float32, Int16, UInt8

from nephrite.errors import StoreError
from nephrite.imaging.grid import Grid, plan_grid
from nephrite.imaging.intensity import apply_window
from nephrite.imaging.quantize import StoredScale, store_image
from nephrite.imaging.recipe import Recipe
from nephrite.imaging.volume import ScanVolume, slice_blocks
from nephrite.programs.settings import program_digest
from nephrite.segmentation.artifacts import PROGRAM, TrainedSegmenter
from nephrite.segmentation.backend import Trained
from nephrite.segmentation.native import own_labels
from nephrite.store.arrays import create_array


@dataclass(frozen=True)
class GridScan:
    """A scan on the grid of a segmenter; see `backend.Scan`.

    Attributes:
        patient: id.
        image: stored values, in a file.
        scale: what they mean.
        grid: that the slices were brought to.
    """

    patient: str
    image: Int16[np.ndarray, "slice size size"]
    scale: StoredScale
    grid: Grid

    @property
    def shape(self) -> tuple[int, int, int]:
        """Slices, height and width."""
        slices, height, width = self.image.shape
        return slices, height, width

    @property
    def channel_names(self) -> Sequence[str]:
        """None: the scan has one channel."""
        return ()

    @property
    def channels(self) -> Sequence[GridScan]:
        """The scan itself: a segmenter of several channels is not registered."""
        return [self]

    @property
    def spacing(self) -> tuple[float, float, float]:
        """Millimeters between slices, rows and columns."""
        return self.grid.spacing

    @property
    def intensity_window(self) -> tuple[float, float]:
        """The intensities that `windowed` makes 0 and 1: Hounsfield units of CT, else those of the scan."""
        low, high = (end * self.scale.slope + self.scale.intercept for end in self.scale.window)
        return low, high

    def windowed(self, part: range) -> Float32[np.ndarray, "slice size size"]:
        """Some slices in [0, 1]."""
        return apply_window(self.image[list(part)], *self.scale.window)


def bring_to_grid(patient: str, volume: ScanVolume, recipe: Recipe, path: Path, *, block: int) -> GridScan:
    """A scan as a segmenter was shown scans in training.

    Args:
        patient: id.
        volume: the scan.
        recipe: what the segmenter takes.
        path: of the file that gets the stored values.
        block: slices that are brought there at a time.

    Raises:
        VolumeError: the scan is not finite, truncated or damaged.
    """
    grid = plan_grid(recipe.in_plane, volume.shape, volume.spacing)
    image = create_array(path, np.int16, (volume.shape[0], grid.size, grid.size))
    return GridScan(patient, image, store_image(volume, grid, recipe.intensity, image, block=block), grid)


def find_labels(
    trained: Trained, volumes: Mapping[str, ScanVolume], recipe: Recipe, *, scratch: Path, block: int
) -> Iterator[UInt8[np.ndarray, "slice rows columns"]]:
    """Label maps of scans, in their order; a program is started once for all of them.

    Args:
        trained: ready to predict.
        volumes: scans by their patients' ids.
        recipe: what it takes.
        scratch: a folder, below which scans on its grid lie meanwhile.
        block: slices that are worked on at a time.

    Raises:
        VolumeError: a scan is not finite, truncated or damaged.
        ProgramError: its program failed.
    """
    with TemporaryDirectory(dir=scratch) as folder:
        scans = [
            bring_to_grid(patient, volume, recipe, Path(folder) / f"{number}.npy", block=block)
            for number, (patient, volume) in enumerate(volumes.items())
        ]
        found = trained.backend.predict_all(trained, scans)
        for scan, volume, prediction in zip(scans, volumes.values(), found, strict=True):
            mask = np.zeros(volume.shape, np.uint8)
            for part in slice_blocks(len(mask), block):
                mask[part] = own_labels(prediction, part, trained, scan.grid, volume.shape[1:])
            yield mask


def check_servable(segmenter: TrainedSegmenter, place: str) -> None:
    """Refuse a segmenter whose program is not here, or is not the one that was trained, or that takes several channels.

    Args:
        segmenter: with its card.
        place: how an error names it.

    Raises:
        ConfigError: the program is not here.
        StoreError: one of its files was changed, or it takes scans of several channels.
    """
    if names := segmenter.card.image_channels:
        finding = f"takes scans of {len(names)} channels ({', '.join(names)}), and 'predict' reads one"
        raise StoreError(place, finding, "run its own program on them, or train on one channel: 'acquire.channels'")
    segmenter.trained.backend.check_here()
    known, files = segmenter.card.inputs.get(PROGRAM), segmenter.card.settings.programs
    if known and program_digest(files) != known:
        finding = f"was trained by another version of {', '.join(path.name for path in files)}"
        raise StoreError(place, finding, "bring back the files of the program as they were")
