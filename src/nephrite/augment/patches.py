"""A lesion as it is pasted: turned, rescaled, bent, changed in gamma, with a border that fades."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import torch
from jaxtyping import Bool, Float32
from scipy import ndimage

from nephrite.augment.deform import DeformParameters, move_image, move_map, sampling_grid
from nephrite.augment.lesions import RING, Lesion, grown, ring_of

SMALLEST = 1e-6


@dataclass(frozen=True, eq=False)
class Patch:
    """A square crop with a changed lesion in its middle.

    Attributes:
        image: in [0, 1]; around the lesion, what it was cut out with.
        mask: the lesion; may be empty if it was small and became smaller.
    """

    image: Float32[np.ndarray, "side side"]
    mask: Bool[np.ndarray, "side side"]

    @cached_property
    def near(self) -> Bool[np.ndarray, "side side"]:
        """The lesion and its ring."""
        return grown(self.mask, RING)

    @cached_property
    def ring(self) -> Bool[np.ndarray, "side side"]:
        """What surrounds it, as in the bank."""
        return ring_of(self.mask)

    @cached_property
    def alpha(self) -> Float32[np.ndarray, "side side"]:
        """How much of the crop is to be seen: all of the lesion, and less and less of its rim over two pixels."""
        fading = 1.5 * ndimage.gaussian_filter(self.mask.astype(np.float32), 1.0, truncate=RING)
        result: np.ndarray = np.where(self.mask, np.float32(1), fading.clip(0, 1) * self.near)
        return result


def make_patch(lesion: Lesion, warp: DeformParameters, gamma: float) -> Patch:
    """Change a lesion.

    Args:
        lesion: of the bank.
        warp: of one slice; shares of the side are those of the crop's.
        gamma: exponent of the lesion's intensities between their own limits.
    """
    image, mask = _centered(lesion, float(warp.affine.scale))
    grid = sampling_grid(warp, *mask.shape)
    moved = move_map(grid, torch.from_numpy(mask.astype(np.uint8))[None], outside="border")[0].numpy() > 0
    seen = move_image(grid, torch.from_numpy(image)[None, None], outside="border")[0, 0].numpy()
    if moved.any():
        low, high = seen[moved].min(), seen[moved].max()
        extent = max(high - low, SMALLEST)
        seen[moved] = low + extent * ((seen[moved] - low) / extent) ** gamma
    return Patch(seen, moved)


def _centered(lesion: Lesion, scale: float) -> tuple[Float32[np.ndarray, "side side"], Bool[np.ndarray, "side side"]]:
    """The lesion in the middle of a square that holds it however it is turned; its crop's border goes on outwards."""
    side = math.ceil(math.hypot(*lesion.mask.shape) * max(1.0, scale))
    middle = np.argwhere(lesion.mask).mean(0).round().astype(int)
    wide = [np.arange(side) - side // 2 + center for center in middle]
    inside = [line.clip(0, size - 1) for line, size in zip(wide, lesion.mask.shape, strict=True)]
    rows, columns = (line == clipped for line, clipped in zip(wide, inside, strict=True))
    box = np.ix_(*inside)
    return lesion.image[box], lesion.mask[box] & np.logical_and.outer(rows, columns)
