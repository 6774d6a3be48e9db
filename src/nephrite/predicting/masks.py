"""Label maps of scans by a loaded model, on the voxels of each scan."""

from __future__ import annotations

from collections.abc import Generator, Mapping
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TypeAlias

import numpy as np
from jaxtyping import Float32, UInt8

from nephrite.imaging.grid import Grid, restore_planes
from nephrite.imaging.masks import paint_labels
from nephrite.imaging.volume import ScanVolume, slice_blocks
from nephrite.predicting.model import ServedFolder, ServedGraph, ServedModel, infer
from nephrite.segmentation.serving import bring_to_grid, find_labels

Mask: TypeAlias = UInt8[np.ndarray, "slice rows columns"]


def segment_volumes(
    volumes: Mapping[str, ScanVolume], model: ServedModel, *, scratch: Path, block: int
) -> Generator[Mask]:
    """Label maps of scans, in their order, one after the other.

    Args:
        volumes: scans by their ids.
        model: ready to segment.
        scratch: a folder, below which a scan on the network's grid lies meanwhile.
        block: slices that are worked on at a time.

    Raises:
        VolumeError: a scan is not finite, truncated or damaged.
        ProgramError: the model's program failed.
    """
    if isinstance(model, ServedFolder):
        yield from find_labels(model.trained, volumes, model.recipe, scratch=scratch, block=block)
        return
    for volume in volumes.values():
        yield segment_volume(volume, model, scratch=scratch, block=block)


def segment_volume(volume: ScanVolume, model: ServedGraph, *, scratch: Path, block: int) -> Mask:
    """Label map of a scan, `block` slices at a time; the scan on the network's grid lies in a file below `scratch`."""
    mask = np.zeros(volume.shape, np.uint8)
    with TemporaryDirectory(dir=scratch) as folder:
        scan = bring_to_grid("", volume, model.recipe, Path(folder) / "image.npy", block=block)
        for part in slice_blocks(len(mask), block):
            planes = scan.windowed(range(part.start, part.stop))
            mask[part] = label_planes(model, planes, scan.grid, volume.shape[1:])
    return mask


def label_planes(
    model: ServedGraph, planes: Float32[np.ndarray, "slice size size"], grid: Grid, shape: tuple[int, int]
) -> Mask:
    """Label map of slices in [0, 1]: probabilities are brought to the scan's rows and columns, then cut."""
    recipe, probabilities = model.recipe, infer(model, planes)
    channels = (restore_planes(probabilities[:, number], grid, shape) for number in range(len(recipe.channels)))
    return paint_labels(np.stack([channel >= recipe.threshold for channel in channels]), recipe.channels)
