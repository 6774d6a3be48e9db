"""Sample sheets: label map, synthetic slice and real slice side by side, as a PNG."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
from jaxtyping import Float32, UInt8
from PIL import Image

from nephrite.files import whole_file

# Okabe and Ito 2008, "Color Universal Design": told apart by color-blind readers too. In the order of the figures.
PALETTE = {
    "orange": (230, 159, 0),
    "green": (0, 158, 115),
    "pink": (204, 121, 167),
    "red": (213, 94, 0),
    "light blue": (86, 180, 233),
    "yellow": (240, 228, 66),
    "blue": (0, 114, 178),
}
COLORS = np.array([(0, 0, 0), *PALETTE.values()], dtype=np.uint8)  # background is the first
GAP = 2  # pixels between tiles
SMALLEST_SIDE = 128  # of a tile: smaller slices are enlarged by a whole number, so that pixels stay squares


class Sample(NamedTuple):
    """One row of a sheet; the slices are windowed to [0, 1]."""

    label: UInt8[np.ndarray, "height width"]
    fake: Float32[np.ndarray, "height width"]
    real: Float32[np.ndarray, "height width"]


def write_sheet(target: Path, samples: Sequence[Sample], *, across: int = 1) -> None:
    """Write samples as a PNG, whole or not at all.

    Args:
        target: the PNG file.
        samples: at least one, all of one size.
        across: samples per row of the sheet.
    """
    sheet = Image.fromarray(compose_sheet(samples, across=across))
    with whole_file(target) as partial:
        sheet.save(partial, format="PNG")


def compose_sheet(samples: Sequence[Sample], *, across: int = 1) -> UInt8[np.ndarray, "height width 3"]:
    """Tile samples on white: label map in color, then synthetic and real slice in gray, `across` samples per row."""
    triplets = [
        _join([color_label(label), gray_slice(fake), gray_slice(real)], axis=1) for label, fake, real in samples
    ]
    blank = np.full_like(triplets[0], 255)
    triplets += [blank] * (-len(triplets) % across)
    rows = [_join(triplets[start : start + across], axis=1) for start in range(0, len(triplets), across)]
    return _join(rows, axis=0)


def color_legend(classes: Mapping[int, str]) -> str:
    """Label values' names, each with its color: 'kidney orange, tumor green'."""
    names = list(PALETTE)
    return ", ".join(f"{name} {names[(value - 1) % len(names)]}" for value, name in classes.items())


def color_label(label: UInt8[np.ndarray, "height width"]) -> UInt8[np.ndarray, "tall wide 3"]:
    """A label map in one color per value, black for background; values beyond the palette take its colors again."""
    wrapped = np.where(label == 0, 0, (label.astype(int) - 1) % (len(COLORS) - 1) + 1)
    return _enlarge(COLORS[wrapped])


def gray_slice(image: Float32[np.ndarray, "height width"]) -> UInt8[np.ndarray, "tall wide 3"]:
    """A windowed slice in gray: 0 is black, 1 is white."""
    gray = np.rint(np.clip(image, 0, 1) * 255).astype(np.uint8)
    return _enlarge(np.repeat(gray[:, :, None], 3, axis=2))


def _enlarge(tile: UInt8[np.ndarray, "height width 3"]) -> UInt8[np.ndarray, "tall wide 3"]:
    times = -(-SMALLEST_SIDE // max(tile.shape[:2]))
    return tile.repeat(times, axis=0).repeat(times, axis=1)


def _join(tiles: Sequence[UInt8[np.ndarray, "height width 3"]], axis: int) -> UInt8[np.ndarray, "tall wide 3"]:
    between = list(tiles[0].shape)
    between[axis] = GAP
    gap = np.full(between, 255, dtype=np.uint8)
    return np.concatenate([part for tile in tiles for part in (gap, tile)][1:], axis=axis)
